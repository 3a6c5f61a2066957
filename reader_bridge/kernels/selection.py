"""Which application of a card a tap uses: the terminal's priority decides; knows no kernel's work.

A tap selects once, and the kernel of what was selected is the only one that runs: a phone that
carries both applications is charged once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, unique
from typing import Any, Final

from card_protocol import tlv
from card_protocol.apdu import ResponseApdu
from card_protocol.commands import Select
from card_protocol.errors import MalformedBytes
from card_protocol.fci import (
    TAG_AID,
    TAG_DISCRETIONARY,
    TAG_ENTRY,
    TAG_FCI,
    TAG_NAME,
    TAG_PRIORITY,
    TAG_PROPRIETARY,
)
from card_protocol.mobile_card import EPURSE_AID, PPSE_NAME
from card_protocol.status import StatusWord
from reader_bridge.exchange import Exchange, require_done
from reader_bridge.faults import CardFault

DIRECTORY_ENTRIES_MAX: Final = 16
SELECTIONS_MAX: Final = 4
# T-Union purses under international or dual algorithms, and under SM algorithms alone; City Union.
PURSE_AIDS: Final = frozenset(
    {
        EPURSE_AID,
        bytes.fromhex("A000000632010107"),
        bytes.fromhex("A00000000386980701"),
        bytes.fromhex("A00000000386980702"),
        bytes.fromhex("A00000000386980703"),
    }
)
_NO_DIRECTORY: Final = frozenset(
    {
        StatusWord.FILE_NOT_FOUND,
        StatusWord.INS_NOT_SUPPORTED,
        StatusWord.CLA_NOT_SUPPORTED,
    }
)
_BY_AID: Any = None


@unique
class Kernel(Enum):
    """Who speaks to an application once it is selected."""

    MOBILE_CARD = "mobile_card"
    EPURSE = "epurse"


@dataclass(frozen=True, slots=True)
class AcceptedApplication:
    """One application that the terminal's profile accepts; the lowest priority goes first."""

    aid: bytes
    label: str
    priority: int
    kernel: Kernel = _BY_AID  # known from the AID unless the profile says

    def __post_init__(self) -> None:
        if self.kernel is None:
            object.__setattr__(self, "kernel", kernel_of(self.aid))


@dataclass(frozen=True, slots=True)
class Selected:
    """The one application a tap goes on with, and what its SELECT answered."""

    application: AcceptedApplication
    fci: bytes


def kernel_of(aid: bytes) -> Kernel:
    """A city may give its mobile card any AID of its own; purses have those of the nation."""
    return Kernel.EPURSE if aid in PURSE_AIDS else Kernel.MOBILE_CARD


def select(
    exchange: Exchange, accepted: Sequence[AcceptedApplication], *, tries_by_aid: bool = False
) -> Selected:
    """The first accepted application that opens.

    Order: the terminal's priority, then the card's, then the directory's order. With
    `tries_by_aid` a card without a directory (plastic of some cities) is asked for each accepted
    AID instead. Raises CardFault(card_foreign, application_missing, application_blocked,
    card_declined, card_answer_malformed) or ReaderFault.
    """
    try:
        answer = exchange.send("select_directory", Select(PPSE_NAME).to_apdu())
        if answer.sw not in _NO_DIRECTORY:
            return _select(exchange, _candidates(require_done(answer), accepted))
        if not tries_by_aid:
            raise CardFault("card_foreign")
        return _select(exchange, sorted(accepted, key=lambda item: item.priority))
    except MalformedBytes:
        raise CardFault("card_answer_malformed") from None


def _candidates(
    directory_fci: bytes, accepted: Sequence[AcceptedApplication]
) -> tuple[AcceptedApplication, ...]:
    """What both sides know, in the order to try. Raises CardFault(application_missing)."""
    directory = tlv.get(directory_fci, (TAG_FCI, TAG_PROPRIETARY, TAG_DISCRETIONARY))
    by_aid = {application.aid: application for application in accepted}
    found: list[tuple[int, int, AcceptedApplication]] = []
    for entry in tlv.parse(directory)[:DIRECTORY_ENTRIES_MAX]:
        aid = tlv.find(entry.value, (TAG_AID,)) if entry.tag == TAG_ENTRY else None
        if aid is not None and aid in by_aid:
            wish = tlv.find(entry.value, (TAG_PRIORITY,)) or b"\0"
            # EMV Book 1, 12.2.3: the low nibble; 0 is "no wish" and goes last
            rank = wish[0] & 0x0F or 16
            application = by_aid[aid]
            found.append((application.priority, rank, application))
    if not found:
        raise CardFault("application_missing")
    found.sort(key=lambda item: item[:2])
    return tuple(dict.fromkeys(application for _, _, application in found))


def _select(exchange: Exchange, candidates: Iterable[AcceptedApplication]) -> Selected:
    """The first candidate that opens. Raises CardFault when none does."""
    fault = CardFault("application_missing")
    for application in tuple(candidates)[:SELECTIONS_MAX]:
        answer = exchange.send("select_application", Select(application.aid).to_apdu())
        if answer.sw == StatusWord.OK:
            if tlv.find(answer.data, (TAG_FCI, TAG_NAME)) != application.aid:
                raise CardFault("card_answer_malformed")
            return Selected(application, answer.data)
        fault = _selection_fault(answer)
    raise fault


def _selection_fault(answer: ResponseApdu) -> CardFault:
    if answer.sw in {
        StatusWord.WARNING_BLOCKED,
        StatusWord.FUNCTION_NOT_SUPPORTED,
        StatusWord.APPLICATION_LOCKED,
    }:
        return CardFault("application_blocked")
    if answer.sw == StatusWord.FILE_NOT_FOUND:
        return CardFault("application_missing")
    return CardFault("card_declined", status=f"{answer.sw:04X}")
