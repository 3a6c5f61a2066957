"""Buses and flat gates: one price, transfers, the second tap."""

from __future__ import annotations

import pytest

from card_protocol.epurse.files import SFI_JOURNEYS, LogRecord
from card_protocol.errors import MalformedBytes
from card_protocol.fares import FlatFare
from card_protocol.terminal_profile import Mode
from reader_bridge.faults import CardFault
from reader_bridge.kernels.epurse import moment_at
from reader_bridge.modes import (
    Concession,
    Direction,
    Held,
    MobileTap,
    Ride,
    RideKind,
    Rounding,
    Transfer,
)
from tests.reader_bridge.modes.world import (
    BICYCLE_FARE,
    BUS_FARE,
    HOUR,
    MINUTE,
    NOON,
    Purse,
    book,
    entry_gate,
    exit_gate,
    place,
)

TRANSFER = Transfer(within_seconds=HOUR, discount_fen=100)


def bus(line: int = 1, number: int = 1, **rules):
    return book(Mode.BUS, BUS_FARE, place(number, line=bytes((0, line))), **rules)


def test_a_ride():
    purse = Purse()
    ride = purse.ride(bus(), NOON)
    assert (ride.amount_fen, ride.full_fare_fen, ride.concession_fen) == (200, 200, 0)
    assert ride.kind is RideKind.SINGLE
    assert ride.told.read("zh-CN") == "付款 2.00 元,余额 98.00 元"
    assert ride.told.read("en") == "Paid 2.00 yuan, balance 98.00 yuan"
    assert [record.sfi for record in ride.records] == [SFI_JOURNEYS]
    journey = purse.journeys[0]
    assert (journey.kind, journey.vehicle, journey.amount_fen) == (0x02, 0x02, 200)
    assert (journey.balance_fen, journey.line, journey.city) == (9_800, b"\x00\x01", b"\x33\x10")
    assert journey.terminal.hex() == "0000331000000001"
    assert journey.moment.hex() == "20261123120000"


@pytest.mark.parametrize(
    ("later", "number", "is_held"),
    [
        (0, 1, True),
        (5, 1, True),
        (-100, 1, True),  # the validator's clock was set back
        (6, 1, False),
        (-200, 1, False),  # no clock is set back so far: it is another ride
        (3, 2, False),  # the next bus
    ],
)
def test_the_second_tap(later, number, is_held):
    purse = Purse()
    purse.ride(bus(), NOON)
    again = bus(number=number).decide(purse.tap(), NOON + later)
    assert isinstance(again, Held) is is_held
    if isinstance(again, Held):
        assert again.may_pass
        assert again.told.read("en") == "Paid already: no need to tap again"


def test_two_passengers_on_one_card_where_the_profile_says_so():
    purse = Purse()
    for later in (0, 2):
        purse.ride(bus(again_seconds=1), NOON + later)
    assert purse.balance_fen == 9_600


@pytest.mark.parametrize(
    ("later", "line", "discount_fen"),
    [
        (MINUTE, 2, 100),
        (HOUR, 2, 100),
        (HOUR + 1, 2, 0),
        (MINUTE, 1, 0),  # back again on the same line
        (-HOUR, 2, 0),  # a journey from the future
    ],
)
def test_transfer(later, line, discount_fen):
    purse = Purse()
    purse.ride(bus(), NOON)
    ride = purse.ride(bus(line, number=2, transfer=TRANSFER), NOON + later)
    assert (ride.transfer_fen, ride.amount_fen) == (discount_fen, 200 - discount_fen)
    assert ride.full_fare_fen == 200


def test_a_transfer_gives_no_transfer():
    purse = Purse()
    paid = [
        purse.ride(bus(line, line, transfer=TRANSFER), NOON + line * MINUTE).amount_fen
        for line in (1, 2, 3, 4)
    ]
    assert paid == [200, 100, 200, 100]


def test_a_discount_is_no_more_than_the_fare():
    purse = Purse()
    purse.ride(bus(), NOON)
    dear = Transfer(within_seconds=HOUR, discount_fen=500)
    ride = purse.ride(bus(2, 2, transfer=dear), NOON + MINUTE)
    assert (ride.amount_fen, ride.transfer_fen) == (0, 200)
    third = purse.ride(bus(3, 3, transfer=dear), NOON + 2 * MINUTE)
    assert third.amount_fen == 200  # nothing was paid for the second


def test_a_transfer_after_the_metro_and_none_after_a_parking():
    purse = Purse()
    purse.ride(entry_gate("0101"), NOON)
    late = NOON + 20 * MINUTE
    purse.ride(exit_gate("0102"), late)
    assert purse.ride(bus(9, 9, transfer=TRANSFER), late + MINUTE).transfer_fen == 100
    parked = Purse()
    start = book(Mode.BICYCLE, BICYCLE_FARE, place(40, direction=Direction.IN))
    end = book(Mode.BICYCLE, BICYCLE_FARE, place(41, direction=Direction.OUT))
    parked.ride(start, NOON - 2 * HOUR)
    assert parked.ride(end, NOON).amount_fen > 0
    assert parked.ride(bus(9, 9, transfer=TRANSFER), NOON + MINUTE).transfer_fen == 0


def test_another_city_s_ride_gives_no_transfer():
    purse = Purse()
    there = place(1, line=b"\x00\x05", city=b"\x29\x00")
    purse.ride(book(Mode.BUS, BUS_FARE, there), NOON)
    assert purse.ride(bus(2, 2, transfer=TRANSFER), NOON + MINUTE).transfer_fen == 0


@pytest.mark.parametrize(
    ("concession", "pays_fen"),
    [
        (Concession(pays_percent=50), 100),
        (Concession(pays_percent=0), 0),
        (Concession(pays_percent=33), 66),
        (Concession(pays_percent=33, step_fen=10), 60),
        (Concession(pays_percent=33, step_fen=10, rounds=Rounding.UP), 70),
        (Concession(pays_percent=99, step_fen=1000, rounds=Rounding.UP), 200),
    ],
)
def test_concession_by_card_type(concession, pays_fen):
    validator = bus(concessions={3: concession})
    senior = Purse(card_type=3).ride(validator, NOON)
    assert (senior.amount_fen, senior.concession_fen) == (pays_fen, 200 - pays_fen)
    assert Purse(card_type=1).ride(validator, NOON).concession_fen == 0
    assert Purse(card_type=None).ride(validator, NOON).concession_fen == 0


def test_a_concession_is_of_what_a_transfer_left():
    half = {3: Concession(pays_percent=50)}
    purse = Purse(card_type=3)
    purse.ride(bus(concessions=half), NOON)
    ride = purse.ride(bus(2, 2, concessions=half, transfer=TRANSFER), NOON + MINUTE)
    assert (ride.full_fare_fen, ride.transfer_fen, ride.concession_fen) == (200, 100, 50)
    assert ride.amount_fen == 50


def test_balance_too_low():
    assert Purse(balance_fen=200).ride(bus(), NOON).amount_fen == 200
    with pytest.raises(CardFault) as refused:
        bus().decide(Purse(balance_fen=199).tap(), NOON)
    assert refused.value.code == "purse_balance_low"


def test_a_city_union_card_pays_plainly_and_not_twice():
    purse = Purse(card_type=None)
    ride = purse.ride(bus(), NOON)
    assert ride.records == ()
    terminal = place(1).terminal
    purse.log = (LogRecord(7, 0, 200, 0x06, terminal, moment_at(NOON)),)
    assert isinstance(bus().decide(purse.tap(), NOON + 4), Held)
    assert isinstance(bus().decide(purse.tap(), NOON + 6), Ride)
    purse.log = (LogRecord(7, 0, 200, 0x02, terminal, moment_at(NOON)),)  # a load is no ride
    assert isinstance(bus().decide(purse.tap(), NOON + 4), Ride)


@pytest.mark.parametrize(
    ("last_ride_at", "is_held"),
    [(None, False), (NOON, True), (NOON - 5, True), (NOON - 6, False), (NOON + 60, True)],
)
def test_mobile_card(last_ride_at, is_held):
    tap = MobileTap(is_online=False, last_ride_at=last_ride_at)
    said = bus().decide(tap, NOON)
    assert isinstance(said, Held) is is_held
    if isinstance(said, Ride):
        assert (said.amount_fen, said.records) == (200, ())
        assert said.told.read("en") == "Paid 2.00 yuan"


def test_a_flat_gate():
    where = book(Mode.GATE, FlatFare(300), place(1, direction=Direction.IN))
    purse = Purse()
    assert purse.ride(where, NOON).amount_fen == 300
    assert (purse.journeys[0].kind, purse.journeys[0].vehicle) == (0x02, 0x01)
    assert isinstance(where.decide(MobileTap(is_online=False), NOON), Ride)
    with pytest.raises(MalformedBytes):
        book(Mode.GATE, FlatFare(300), place(1, direction=Direction.OUT))
