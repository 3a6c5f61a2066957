"""A mobile card's state and its rules, pure; knows no file and no clock."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace

from card_protocol.checks import U16_MAX, require, require_whole
from card_protocol.mobile_card import Certificate
from hce.errors import CardSuspended, CounterExhausted, KeyNotNewer, NoKeysLeft
from hce.ports import CardView, LimitedUseKey

ATC_MAX = U16_MAX
CODE = "card_state_malformed"


@dataclass(frozen=True, slots=True)
class CardState:
    """`atc` is the last one given out, 0 when none was. One card, one suite: its key's is its
    certificate's.

    Raises `MalformedBytes` "card_state_malformed".
    """

    certificate: Certificate
    atc: int = 0
    key: LimitedUseKey | None = None
    is_suspended: bool = False

    def __post_init__(self) -> None:
        require_whole(self.atc, 0, ATC_MAX, CODE, "atc")
        is_one_suite = self.key is None or self.key.suite is self.certificate.suite
        require(is_one_suite, CODE, "the key is of another suite than the certificate")

    def view(self) -> CardView:
        return CardView(self.certificate, self.is_suspended, self.key)

    def counted(self) -> CardState:
        """One ATC further, one use of the key spent.

        Raises CardSuspended, NoKeysLeft, CounterExhausted.
        """
        if self.is_suspended:
            raise CardSuspended
        if self.key is None or self.key.uses_left == 0:
            raise NoKeysLeft
        if self.atc == ATC_MAX:
            raise CounterExhausted
        key = replace(self.key, uses_left=self.key.uses_left - 1)
        return replace(self, atc=self.atc + 1, key=key)

    def with_key(self, key: LimitedUseKey) -> CardState:
        """The state with a newly delivered key.

        The same key delivered again changes nothing, so that no repeated answer gives spent uses
        back. Raises KeyNotNewer for an older key, or another one under the index in use;
        `MalformedBytes` for one of another suite.
        """
        if self.key is None:
            return replace(self, key=key)
        held, new = (self.key.version, self.key.index), (key.version, key.index)
        if new == held and hmac.compare_digest(self.key.value, key.value):
            return self
        if new <= held:
            raise KeyNotNewer(f"key {key.index} is not newer than {self.key.index}")
        return replace(self, key=key)

    def with_suspended(self, is_suspended: bool) -> CardState:
        return replace(self, is_suspended=is_suspended)

    def with_certificate(self, certificate: Certificate) -> CardState:
        """A renewed certificate. Raises ValueError when it is for another token."""
        if certificate.token_number != self.certificate.token_number:
            raise ValueError("the certificate is for another token")
        return replace(self, certificate=certificate)
