"""The one port through which a kernel uses a SAM; knows no key, no file and no reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from card_protocol.checks import require_bytes
from card_protocol.epurse.sam import CODE, SamOffer, SamRequest
from card_protocol.epurse.transactions import TERMINAL_SERIAL_BYTES

__all__ = ["Sam", "SamOffer", "SamRequest", "Verified"]


@dataclass(frozen=True, slots=True)
class Verified:
    """A SAM found the MAC2 of this purchase right. SAMs alone make one, and a sale needs one
    to be green: there is no way round the check. Raises `MalformedBytes` "sam_malformed".
    """

    terminal_serial: bytes  # 4

    def __post_init__(self) -> None:
        require_bytes(self.terminal_serial, TERMINAL_SERIAL_BYTES, CODE, "terminal_serial")


class Sam(Protocol):
    """One SAM, used by one tap at a time. Its own troubles are SamFault, never ReaderFault:
    a purchase that was debited is not to be mistaken for one that was not.
    """

    @property
    def is_test(self) -> bool:
        """True where the keys are published ones: nothing it vouches for is money."""

    def read_terminal_number(self) -> bytes:
        """6 bytes, the same in every MAC1. Raises SamFault."""

    def key_index(self) -> int:
        """What INITIALIZE names the card's purchase key by. Raises SamFault."""

    def begin_purchase(self, request: SamRequest) -> SamOffer:
        """A serial never given out before, durable before it leaves, and MAC1.

        A purchase begun earlier and not finished is given up. Raises SamFault, or
        CardFault(card_key_unknown) for a card of other keys.
        """

    def finish_purchase(self, mac2: bytes) -> Verified:
        """Checks the card's answer to the purchase begun last; one try.

        Raises CardFault(card_false_mac), or SamFault(sam_session_gone) when none is open.
        """

    def prove_purchase(self, request: SamRequest, offer: SamOffer, mac2: bytes) -> Verified:
        """The same check for a purchase begun earlier, after a torn tap.

        Raises CardFault(card_false_mac), or SamFault(sam_session_gone) where the SAM has gone on.
        """

    def close(self) -> None:
        """Let the SAM go. May be called again."""
