"""Where a card is tapped, what it showed and what comes of it; decides nothing."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum, unique

from card_protocol.checks import require_bytes
from card_protocol.epurse.transactions import BALANCE_MAX_FEN, TERMINAL_BYTES
from card_protocol.place import CODE, Direction, TerminalPlace
from reader_bridge.faults import Text
from reader_bridge.kernels.epurse import CappRecord, PurseFacts

__all__ = [
    "Direction",
    "Held",
    "MobileTap",
    "Place",
    "PurseTap",
    "Reads",
    "Ride",
    "RideKind",
    "Tap",
]


@unique
class RideKind(StrEnum):
    """What a tap was."""

    SINGLE = "single"
    ENTRY = "entry"
    EXIT = "exit"
    START = "start"
    END = "end"
    PURCHASE = "purchase"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(TerminalPlace):
    """The terminal's place with its own number. Raises `MalformedBytes` "place_malformed"."""

    terminal: bytes  # 6, the SAM's terminal number

    def __post_init__(self) -> None:
        TerminalPlace.__post_init__(self)  # `super()` does not work in a class with slots
        require_bytes(self.terminal, TERMINAL_BYTES, CODE, "terminal")

    @classmethod
    def at(cls, place: TerminalPlace, terminal: bytes) -> Place:
        told = {each.name: getattr(place, each.name) for each in fields(place)}
        return cls(terminal=terminal, **told)


@dataclass(frozen=True, slots=True)
class Reads:
    """What of a purse a mode asks for beyond public data and balance: each costs time."""

    journey: bool = False  # the newest one or, where there is none, the newest line of the log
    rail: bool = False
    stay: bool = False


@dataclass(frozen=True, slots=True)
class PurseTap:
    """A purse as read, with what the mode `Reads`; records as READ RECORD gave them, or None."""

    facts: PurseFacts
    rail: bytes | None = None  # record 2712 of SFI 1A
    stay: bytes | None = None  # record AA of SFI 19


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileTap:
    """A mobile card: it carries no journey, so what is known of one comes from elsewhere.

    Times are unix seconds.
    """

    is_online: bool
    last_ride_at: int | None = None  # of this card at this terminal, from the journal
    stay_started_at: int | None = None  # as the barrier knows it, from a ticket or number plate


Tap = PurseTap | MobileTap


@dataclass(frozen=True, slots=True, kw_only=True)
class Ride:
    """What to take from the card and to write on it, together or not at all.

    `full_fare_fen` = `amount_fen` + `concession_fen` + `transfer_fen`. With records it is a
    compound purchase; without, a plain one; with neither records nor an amount, nothing is asked
    of the card. `told` is for the holder once it is done.
    """

    amount_fen: int
    full_fare_fen: int
    concession_fen: int = 0
    kind: RideKind
    records: tuple[CappRecord, ...] = ()
    told: Text
    transfer_fen: int = 0

    def __post_init__(self) -> None:
        parts = (self.amount_fen, self.concession_fen, self.transfer_fen)
        if min(parts) < 0 or sum(parts) != self.full_fare_fen:
            raise ValueError("amount, concession and transfer make the full fare")
        if self.amount_fen > BALANCE_MAX_FEN:
            raise ValueError("more than any purse holds")


@dataclass(frozen=True, slots=True)
class Held:
    """The same card again within seconds: nothing is taken or written, the words are repeated.

    `may_pass`: whether a light may be green again (a bus), or a person would get through on
    another's tap (a gate).
    """

    told: Text
    may_pass: bool
