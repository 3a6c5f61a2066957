"""The records our terminals write into 1E, 1A and 19, byte by byte; knows no fare.

Which bytes: docs/protocol/e-purse.md, "What our terminals write".
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum, unique
from typing import ClassVar, Final

from card_protocol.epurse.capp import (
    INSIDE,
    OUTSIDE,
    RAIL_ID,
    CappHead,
    RailRecord,
    capp_record,
)
from card_protocol.epurse.files import (
    SFI_CAPP,
    SFI_JOURNEYS,
    SFI_TRANSIT,
    FileValue,
    JourneyRecord,
    Layout,
    Part,
)
from card_protocol.errors import MalformedBytes
from reader_bridge.clock import CHINA
from reader_bridge.faults import CardFault
from reader_bridge.kernels.epurse import CappRecord, PurseFacts
from reader_bridge.modes.values import Place
from reader_bridge.modes.words import RideRefused

STAY_ID: Final = 0xAA
STAY_BYTES: Final = 43
RAIL_BODY_FROM: Final = 4  # id, length, flag
STAY_BODY_FROM: Final = 3
STAY_FORMAT: Final = 1
# UNSURE: the meaning of a journey's byte 9, and whether its last six bytes are free to use.
VEHICLE_OTHER, VEHICLE_METRO, VEHICLE_BUS = 0x00, 0x01, 0x02
MARK_TRANSFER: Final = bytes.fromhex("010000000000")
MARK_NONE: Final = bytes(6)
STATUS_IN, STATUS_OUT = b"\x01", b"\x02"


@unique
class JourneyKind(IntEnum):
    """First byte of a journey. UNSURE how the two kinds of single ride differ: ours are by who
    knows both ends, 02 a ride with one tap, 06 a gate that saw the exit only.
    """

    SINGLE = 0x02
    ENTRY = 0x03
    EXIT = 0x04
    SINGLE_AT_EXIT = 0x06


@unique
class StayKind(IntEnum):
    PARKING = 0x01
    BICYCLE = 0x02


def find_unix(moment: bytes) -> int | None:
    """Seconds of a BCD moment in China (7 bytes); None for bytes that are no moment."""
    try:
        there = datetime.strptime(moment.hex(), "%Y%m%d%H%M%S").replace(tzinfo=CHINA)
    except ValueError:
        return None
    return int(there.timestamp())


@dataclass(frozen=True, slots=True)
class Written:
    """What all records of one tap have in common. `moment` is that of the purchase."""

    place: Place
    moment: bytes
    amount_fen: int
    balance_fen: int  # after the tap

    def journey(
        self, kind: JourneyKind, vehicle: int, amount_fen: int, mark: bytes = MARK_NONE
    ) -> CappRecord:
        """A record of SFI 1E, 48 bytes."""
        place = self.place
        record = JourneyRecord(
            kind=kind,
            terminal=device(place),
            vehicle=vehicle,
            line=place.line,
            station=place.station_bytes,
            operator=place.operator,
            line_reserved=0,
            amount_fen=amount_fen,
            balance_fen=self.balance_fen,
            moment=self.moment,
            city=place.city,
            acquirer=place.acquirer,
            reserved=mark,
        )
        return CappRecord(SFI_JOURNEYS, record.encode())

    def rail_in(self, old: RailRecord, facts: PurseFacts, fare_max_fen: int) -> CappRecord:
        """Record 2712 of a card that is inside; sums go on, transfer bytes stay as they were."""
        place = self.place
        entered = replace(
            BLANK_RAIL,
            **self._rail_head(facts),
            status=STATUS_IN,
            entry_city=place.city,
            entry_line=organisation_and_line(place),
            entry_station=rail_station(place.station),
            entry_device=device(place),
            entry_moment=self.moment,
            fare_max=fare_max_fen.to_bytes(4),
            entry_line_number=place.line[1:],
            entry_amount=self.amount_fen.to_bytes(4),
            entry_balance=self.balance_fen.to_bytes(4),
            cumulative_amount=added(old.cumulative_amount, self.amount_fen),
            cumulative_count=added(old.cumulative_count, 1 if is_inside(old) else 0),
            transfer=old.transfer,
            entry_flag=b"\x01",
            place=bytes((INSIDE,)),
        )
        return CappRecord(SFI_TRANSIT, entered.encode())

    def rail_out(self, old: RailRecord, facts: PurseFacts) -> CappRecord:
        """Record 2712 of a card that has left; where it entered stays to be read."""
        place = self.place
        left = replace(
            old,
            **self._rail_head(facts),
            status=STATUS_OUT,
            exit_city=place.city,
            exit_line=organisation_and_line(place),
            exit_station=rail_station(place.station),
            exit_device=device(place),
            exit_moment=self.moment,
            exit_line_number=place.line[1:],
            real_amount=self.amount_fen.to_bytes(4),
            cumulative_amount=added(old.cumulative_amount, self.amount_fen),
            cumulative_count=added(old.cumulative_count, 1),
            entry_flag=b"\x00",
            exit_flag=b"\x01",
            place=bytes((OUTSIDE,)),
        )
        return CappRecord(SFI_TRANSIT, left.encode())

    def _rail_head(self, facts: PurseFacts) -> dict[str, bytes]:
        return {
            "valid": b"\x01",
            "serial": facts.public.key_factor,
            "last_moment": self.moment,
            "last_terminal": self.place.terminal[-4:],
        }


BLANK_RAIL: Final = RailRecord(*(bytes(size) for size in RailRecord.SIZES))


def device(place: Place) -> bytes:
    """8 bytes: two zero bytes and the terminal's six."""
    return bytes(2) + place.terminal


def organisation_and_line(place: Place) -> bytes:
    """8 bytes: operator, line, zeros. UNSURE: no source divides them."""
    return place.operator + place.line + bytes(4)


def rail_station(station: str) -> bytes:
    """8 bytes: zeros, then the station's two. UNSURE: no source divides them."""
    return bytes(6) + bytes.fromhex(station)


def station_of(field: bytes) -> str | None:
    """The station that `rail_station` wrote; None for another city's form."""
    return None if any(field[:6]) else field[6:].hex().upper()


def added(field: bytes, amount: int) -> bytes:
    """A sum on the card plus this; it stays at its highest rather than begin anew."""
    highest = (1 << 8 * len(field)) - 1
    return min(int.from_bytes(field) + amount, highest).to_bytes(len(field))


def rail_record_of(body: bytes | None) -> RailRecord:
    """As read from the card; one never written is all zero bytes.

    Raises RideRefused(rail_record_missing, rail_record_damaged), CardFault(purse_record_locked).
    """
    if body is None:
        raise RideRefused("rail_record_missing")
    try:
        head = CappHead.decode(body)
        if head.record_id != RAIL_ID or len(body) != RailRecord.RECORD_BYTES:
            raise RideRefused("rail_record_damaged")
        if head.is_locked:
            raise CardFault("purse_record_locked")
        # A card is born so; its checksum would not fit.
        return RailRecord.decode(body) if any(body[RAIL_BODY_FROM:]) else BLANK_RAIL
    except MalformedBytes:
        raise RideRefused("rail_record_damaged") from None


_INSIDE_BY: Final = {
    (STATUS_IN, bytes((INSIDE,))): True,
    (STATUS_OUT, bytes((OUTSIDE,))): False,
    (b"\x00", b"\x00"): False,  # never used
}


def is_inside(rail: RailRecord) -> bool:
    """Raises RideRefused(rail_record_damaged) where status and place contradict each other."""
    inside = _INSIDE_BY.get((rail.status, rail.place))
    if inside is None:
        raise RideRefused("rail_record_damaged")
    return inside


@dataclass(frozen=True, slots=True)
class StayRecord(FileValue):
    """Record AA of SFI 19 as ours: a parking or a hire. Its end is zero bytes while it lasts."""

    LAYOUT: ClassVar[Layout] = Layout(
        Part("kind", 1, is_number=True),
        Part("is_open", 1, is_number=True),
        Part("city", 2),
        Part("operator", 2),
        Part("station", 2),
        Part("terminal", 6),  # the last one that wrote
        Part("start", 7),
        Part("end", 7),
        Part("amount_fen", 4, is_number=True),
        Part("reserved", 3),
    )
    kind: int
    is_open: int  # 01 or 00
    city: bytes
    operator: bytes
    station: bytes  # where it began
    terminal: bytes
    start: bytes
    end: bytes = bytes(7)
    amount_fen: int = 0
    reserved: bytes = bytes(3)

    def to_record(self) -> CappRecord:
        """Format, fields, CRC-32 over both."""
        body = bytes((STAY_FORMAT,)) + self.encode()
        return CappRecord(SFI_CAPP, capp_record(STAY_ID, body + zlib.crc32(body).to_bytes(4)))


def find_stay(body: bytes | None) -> StayRecord | None:
    """As read from the card; None when never written.

    Raises RideRefused(stay_record_missing, stay_record_foreign), CardFault(purse_record_locked).
    """
    if body is None:
        raise RideRefused("stay_record_missing")
    if len(body) != STAY_BYTES or body[:2] != bytes((STAY_ID, STAY_BYTES - 2)):
        raise RideRefused("stay_record_foreign")
    if CappHead.decode(body).is_locked:
        raise CardFault("purse_record_locked")
    content, checksum = body[STAY_BODY_FROM:-4], body[-4:]
    if not any(content) and not any(checksum):
        return None
    if content[0] != STAY_FORMAT or zlib.crc32(content).to_bytes(4) != checksum:
        raise RideRefused("stay_record_foreign")
    return StayRecord.decode(content[1:])
