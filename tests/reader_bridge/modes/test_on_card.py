"""The rules with the software purse, a SAM and the purse's kernel: what they ask, a card does."""

from __future__ import annotations

import pytest

from card_protocol.epurse.capp import RailRecord
from card_protocol.epurse.files import SFI_CAPP, SFI_TRANSIT
from card_protocol.terminal_profile import Mode
from reader_bridge.exchange import Exchange
from reader_bridge.kernels import epurse
from reader_bridge.kernels.epurse import Terms, find_record, moment_at
from reader_bridge.kernels.selection import select
from reader_bridge.modes import Direction, GateRules, Held, ModeBook, PurseTap, Remedy, Ride
from reader_bridge.modes.records import find_stay
from tests.reader_bridge.epurse.examples import ACCEPTED, ISSUER, Cut, Scene, torn
from tests.reader_bridge.modes.world import (
    BUS_FARE,
    HOUR,
    PARKING_FARE,
    TABLE,
    at,
    book,
    place,
)
from tests.reader_bridge.sam.examples import TERMINAL

MORNING = at("2020-02-29 08:00:00")  # while the purse of the examples is good
STAY_NUMBER, RAIL_NUMBER = 1, 2
HERE = {"terminal": TERMINAL}


def gate(station: str, direction: Direction) -> ModeBook:
    where = place(station=station, direction=direction, **HERE)
    lenient = GateRules(double_entry=Remedy.MAXIMUM)
    return book(Mode.GATE, TABLE, where, gate=lenient)


def tapped(exchange: Exchange) -> PurseTap:
    facts = epurse.read(exchange, select(exchange, ACCEPTED), with_history=True)
    rail = find_record(exchange, SFI_TRANSIT, RAIL_NUMBER)
    return PurseTap(facts, rail, find_record(exchange, SFI_CAPP, STAY_NUMBER))


def ride(scene: Scene, where: ModeBook, now: int, cut: Cut | None = None) -> Ride | Held:
    exchange = scene.present(cut)
    tap = tapped(exchange)
    said = where.decide(tap, now)
    if isinstance(said, Ride):
        sale = epurse.compound(
            exchange,
            scene.sam,
            tap.facts,
            Terms(moment_at(now), frozenset({ISSUER})),
            amount_fen=said.amount_fen,
            records=said.records,
            before_debit=scene.keep,
        )
        assert sale.is_green
        assert sale.balance_after_fen == tap.facts.balance_fen - said.amount_fen
    return said


def test_a_ride_from_gate_to_gate():
    scene = Scene()
    came = ride(scene, gate("0101", Direction.IN), MORNING)
    assert isinstance(came, Ride)
    assert scene.balance_fen == 5_000
    left = ride(scene, gate("0203", Direction.OUT), MORNING + HOUR)
    assert isinstance(left, Ride)
    assert (left.amount_fen, scene.balance_fen) == (500, 4_500)
    tap = tapped(scene.present())
    assert [one.kind for one in tap.facts.journeys] == [4, 3]
    assert [one.balance_fen for one in tap.facts.journeys] == [4_500, 5_000]
    assert tap.facts.journeys[0].moment == tap.facts.log[0].moment == moment_at(MORNING + HOUR)
    assert tap.rail is not None
    assert RailRecord.decode(tap.rail).place == b"\x66"


def test_a_lost_ride_and_a_new_one_are_one_purchase():
    scene = Scene()
    ride(scene, gate("0101", Direction.IN), MORNING)
    again = ride(scene, gate("0102", Direction.IN), MORNING + HOUR)
    assert isinstance(again, Ride)
    assert scene.balance_fen == 4_500
    tap = tapped(scene.present())
    assert [one.kind for one in tap.facts.journeys] == [3, 4, 3]
    assert len(tap.facts.log) == 2


def test_a_bus_and_a_second_tap():
    scene = Scene()
    bus = book(Mode.BUS, BUS_FARE, place(**HERE))
    assert isinstance(ride(scene, bus, MORNING), Ride)
    assert isinstance(ride(scene, bus, MORNING + 3), Held)
    assert scene.balance_fen == 4_800


def test_a_parking():
    scene = Scene()
    for direction, now in ((Direction.IN, MORNING), (Direction.OUT, MORNING + HOUR)):
        where = book(Mode.PARKING, PARKING_FARE, place(direction=direction, **HERE))
        assert isinstance(ride(scene, where, now), Ride)
    assert scene.balance_fen == 4_500
    stay = find_stay(tapped(scene.present()).stay)
    assert stay is not None
    assert (stay.is_open, stay.amount_fen) == (0, 500)


@pytest.mark.parametrize("is_done", [False, True])
def test_a_torn_exit_pays_once_or_not_at_all(is_done):
    """The rule asked again says what the card did: still inside, or out and held."""
    scene = Scene()
    ride(scene, gate("0101", Direction.IN), MORNING)
    where, now = gate("0203", Direction.OUT), MORNING + HOUR
    ride_apdus = len(scene.lines)
    exchange = scene.present()
    tapped(exchange)
    reads = len(scene.lines)
    # INITIALIZE, two records, DEBIT
    cut = Cut(reads + 3, is_done)
    assert ride_apdus > reads
    assert torn(lambda: ride(scene, where, now, cut)) is not None
    again = ride(scene, where, now + 2)
    assert isinstance(again, Held if is_done else Ride)
    assert scene.balance_fen == 4_500
    assert scene.lines
