"""What a card asks of the device it lives on: store, signing key, holder check, clock."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Protocol

from card_protocol.checks import U8_MAX, U16_MAX, U32_MAX, require, require_bytes, require_whole
from card_protocol.mobile_card import CRYPTOGRAM_KEY_BYTES, Certificate, HolderCheck, Suite
from card_protocol.signatures import Signer

__all__ = [
    "CardStore",
    "CardView",
    "Clock",
    "HolderChecker",
    "LimitedUseKey",
    "Signer",  # the device key, of either suite; a phone's keystore stands behind it
]

KEY_CODE = "limited_use_key_malformed"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LimitedUseKey:
    """The key for cryptograms, good for some taps and some hours (design A.2).

    Raises `MalformedBytes` "limited_use_key_malformed". Never printed; compared in constant time.
    """

    index: int  # u32, grows with every key delivered
    version: int  # u8: which token master key it comes from
    value: bytes  # 16 bytes
    uses_left: int  # 0..65535
    not_after: int  # unix seconds, inclusive
    suite: Suite = Suite.AES_ES256

    def __post_init__(self) -> None:
        require_whole(self.index, 0, U32_MAX, KEY_CODE, "index")
        require_whole(self.version, 0, U8_MAX, KEY_CODE, "version")
        require_bytes(self.value, CRYPTOGRAM_KEY_BYTES, KEY_CODE, "value")
        require_whole(self.uses_left, 0, U16_MAX, KEY_CODE, "uses_left")
        require_whole(self.not_after, 0, U32_MAX, KEY_CODE, "not_after")
        require(isinstance(self.suite, Suite), KEY_CODE, "unknown suite")

    def __repr__(self) -> str:
        return (
            f"LimitedUseKey(index={self.index}, version={self.version}, value=<secret>, "
            f"uses_left={self.uses_left}, not_after={self.not_after}, suite={self.suite!r})"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LimitedUseKey):
            return NotImplemented
        return self._public() == other._public() and hmac.compare_digest(self.value, other.value)

    def __hash__(self) -> int:
        return hash(self._public())

    def _public(self) -> tuple[int, int, int, int, Suite]:
        return (self.index, self.version, self.uses_left, self.not_after, self.suite)

    def is_valid_at(self, unix_seconds: int) -> bool:
        return unix_seconds <= self.not_after


@dataclass(frozen=True, slots=True)
class CardView:
    """What the card shows and decides by, read at one moment."""

    certificate: Certificate
    is_suspended: bool
    key: LimitedUseKey | None

    @property
    def token_number(self) -> str:
        return self.certificate.token_number


class CardStore(Protocol):
    """Where a mobile card's state lives. What it raises besides CardRefusal shuts the card."""

    def view(self) -> CardView:
        """The state as it stands now. Raises CardRefusal when the device holds the card no more."""

    def take_counter(self) -> tuple[int, LimitedUseKey]:
        """The next ATC (1..65535, never one given before) and the key to use with it.

        One step: durable when it returns, safe against other threads and processes; one use of
        the key is spent. Raises CardSuspended, NoKeysLeft, CounterExhausted: nothing is counted.
        """


class HolderChecker(Protocol):
    def __call__(self) -> HolderCheck:
        """How the device made sure of its holder before this tap."""


class Clock(Protocol):
    def __call__(self) -> int:
        """Unix seconds."""
