"""Places, purses and taps for the modes; a purse here does what a card does with a ride."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from card_protocol.epurse.capp import RAIL_ID, capp_record
from card_protocol.epurse.files import (
    SFI_CAPP,
    SFI_JOURNEYS,
    SFI_TRANSIT,
    JourneyRecord,
    ManagementData,
    PublicData,
)
from card_protocol.fares import Fare, FlatFare, MatrixFare, TimedFare
from card_protocol.mobile_card import EPURSE_AID
from card_protocol.terminal_profile import Mode, ProfileTerms
from reader_bridge.clock import CHINA
from reader_bridge.kernels.epurse import CappRecord, PurseFacts
from reader_bridge.modes import Direction, ModeBook, ModeRules, Place, PurseTap, Ride

PUBLIC = PublicData.decode(
    bytes.fromhex("01013310FFFFFFFF02010331017007010479138120190718204012310000")
)
CITY, OPERATOR = b"\x33\x10", b"\x00\x07"
ACQUIRER = bytes.fromhex("01013310FFFFFFFF")
TABLE = MatrixFare(("0101", "0102", "0203"), ((200, 300, 500), (300, 200, 400), (500, 400, 200)))
BUS_FARE = FlatFare(200)
PARKING_FARE = TimedFare(unit_seconds=1800, unit_fen=250, free_seconds=900, day_max_fen=4_000)
BICYCLE_FARE = TimedFare(unit_seconds=1800, unit_fen=100, free_seconds=1800, day_max_fen=2_000)
BLANK_RAIL_BYTES = capp_record(RAIL_ID, bytes(124), id_bytes=2)
BLANK_STAY_BYTES = capp_record(0xAA, bytes(40))
MINUTE, HOUR, DAY = 60, 3_600, 86_400


def at(text: str) -> int:
    """Unix seconds of a moment in China: 2026-11-23 08:00:00."""
    return int(datetime.fromisoformat(text).replace(tzinfo=CHINA).timestamp())


NOON = at("2026-11-23 12:00:00")


def place(number: int = 1, **changes: Any) -> Place:
    known: dict[str, Any] = {
        "terminal": bytes.fromhex("3310000000") + bytes((number,)),
        "city": CITY,
        "operator": OPERATOR,
        "acquirer": ACQUIRER,
        "line": b"\x00\x01",
    }
    return Place(**(known | changes))


def book(mode: Mode, fare: Fare | None, where: Place, **rules: Any) -> ModeBook:
    return ModeBook(ProfileTerms(mode=mode, fare=fare), ModeRules(**rules), where)


def gate(station: str, direction: Direction, number: int | None = None, **rules: Any) -> ModeBook:
    """Each gate has a terminal number of its own."""
    own = int(station, 16) % 100 * 2 + (direction is Direction.OUT) if number is None else number
    where = place(own, station=station, direction=direction)
    return book(Mode.GATE, rules.pop("fare", TABLE), where, **rules)


def entry_gate(station: str, number: int | None = None, **rules: Any) -> ModeBook:
    return gate(station, Direction.IN, number, **rules)


def exit_gate(station: str, number: int | None = None, **rules: Any) -> ModeBook:
    return gate(station, Direction.OUT, number, **rules)


@dataclass
class Purse:
    """What a card keeps, changed by whole rides only."""

    balance_fen: int = 10_000
    card_type: int | None = 1
    journeys: list[JourneyRecord] = field(default_factory=list)  # newest first
    rail: bytes | None = BLANK_RAIL_BYTES
    stay: bytes | None = BLANK_STAY_BYTES
    log: tuple[Any, ...] = ()

    @property
    def facts(self) -> PurseFacts:
        management = None
        if self.card_type is not None:
            management = ManagementData(
                bytes.fromhex("00000156"), b"\x33\x00", CITY, b"\x00\x01", self.card_type
            )
        journeys = tuple(self.journeys)
        return PurseFacts(EPURSE_AID, PUBLIC, management, self.balance_fen, self.log, journeys)

    def tap(self) -> PurseTap:
        return PurseTap(self.facts, self.rail, self.stay)

    def take(self, ride: Ride) -> None:
        """All of a ride, as DEBIT does it."""
        assert ride.amount_fen <= self.balance_fen
        self.balance_fen -= ride.amount_fen
        for record in ride.records:
            self._write(record)

    def _write(self, record: CappRecord) -> None:
        match record.sfi:
            case 0x1E:
                assert record.sfi == SFI_JOURNEYS
                self.journeys.insert(0, JourneyRecord.decode(record.body))
                del self.journeys[30:]
            case 0x1A:
                assert record.sfi == SFI_TRANSIT
                assert len(record.body) == 128
                self.rail = record.body
            case 0x19:
                assert record.sfi == SFI_CAPP
                assert len(record.body) == 43
                self.stay = record.body
            case other:
                raise AssertionError(f"no such file {other:02X}")

    def ride(self, where: ModeBook, now: int) -> Ride:
        """A tap that has to be a ride, done."""
        ride = where.decide(self.tap(), now)
        assert isinstance(ride, Ride), ride
        self.take(ride)
        return ride

    def with_type(self, card_type: int | None) -> Purse:
        return replace(self, card_type=card_type)
