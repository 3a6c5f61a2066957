"""Where a card is tapped, what it showed and what comes of it; decides nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from card_protocol.checks import require, require_bytes
from card_protocol.epurse.transactions import BALANCE_MAX_FEN, TERMINAL_BYTES
from reader_bridge.faults import Text
from reader_bridge.kernels.epurse import CappRecord, PurseFacts
from reader_bridge.modes.rules import CODE

NO_STATION: Final = "0000"
_STATION = re.compile(r"[0-9A-F]{4}", re.ASCII)


@unique
class Direction(StrEnum):
    """Which way a gate, a barrier or a dock is used."""

    IN = "in"
    OUT = "out"


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
class Place:
    """The terminal's own place. `station`: 4 hexadecimal digits, as the fare table names it; the
    car park's number at a barrier. Raises `MalformedBytes` "mode_rules_malformed".
    """

    terminal: bytes  # 6, the SAM's terminal number
    city: bytes  # 2, UnionPay's region code
    operator: bytes  # 2
    acquirer: bytes  # 8, shaped like an issuer id
    line: bytes = bytes(2)
    station: str = NO_STATION
    direction: Direction | None = None

    def __post_init__(self) -> None:
        sizes = {"terminal": TERMINAL_BYTES, "city": 2, "operator": 2, "acquirer": 8, "line": 2}
        for name, size in sizes.items():
            require_bytes(getattr(self, name), size, CODE, name)
        require_station(self.station)
        is_known = self.direction is None or isinstance(self.direction, Direction)
        require(is_known, CODE, "a direction is in or out")

    @property
    def station_bytes(self) -> bytes:
        return bytes.fromhex(self.station)


def require_station(station: object) -> None:
    """Two bytes is what a journey record has room for. Raises `MalformedBytes`."""
    is_fit = isinstance(station, str) and _STATION.fullmatch(station) is not None
    require(is_fit, CODE, "a station is 4 hexadecimal digits, upper case")


@dataclass(frozen=True, slots=True)
class PurseTap:
    """A purse as read. `facts` with history; the records as READ RECORD gave them, or None."""

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
