"""Parking and bicycles: start, end, started units, midnight, records of others."""

from __future__ import annotations

import zlib

import pytest

from card_protocol.epurse.capp import capp_record
from card_protocol.errors import MalformedBytes
from card_protocol.terminal_profile import Mode
from reader_bridge.faults import CardFault
from reader_bridge.modes import (
    Concession,
    Direction,
    Held,
    MobileTap,
    Ride,
    RideKind,
    RideRefused,
)
from reader_bridge.modes.records import StayRecord, find_stay
from tests.reader_bridge.modes.world import (
    BICYCLE_FARE,
    DAY,
    HOUR,
    MINUTE,
    NOON,
    PARKING_FARE,
    Purse,
    at,
    book,
    place,
)

IN, OUT = Direction.IN, Direction.OUT


def parking(direction: Direction, station: str = "0007", **rules):
    where = place(50 + (direction is OUT), station=station, direction=direction)
    return book(Mode.PARKING, PARKING_FARE, where, **rules)


def dock(direction: Direction, station: str = "0011", **changes):
    where = place(int(station, 16) % 100, station=station, direction=direction, **changes)
    return book(Mode.BICYCLE, BICYCLE_FARE, where)


def parked(since: int = NOON) -> Purse:
    purse = Purse()
    assert purse.ride(parking(IN), since).amount_fen == 0
    return purse


def refusal(where, tap, now: int) -> str:
    with pytest.raises(CardFault) as refused:
        where.decide(tap, now)
    return refused.value.code


@pytest.mark.parametrize(
    ("begin", "end", "paid_fen"),
    [
        ("2026-11-23 12:00:00", "2026-11-23 12:00:00", 0),
        ("2026-11-23 12:00:00", "2026-11-23 12:15:00", 0),  # free
        ("2026-11-23 12:00:00", "2026-11-23 12:15:01", 250),  # a unit begun
        ("2026-11-23 12:00:00", "2026-11-23 12:45:00", 250),
        ("2026-11-23 12:00:00", "2026-11-23 12:45:01", 500),
        ("2026-11-23 23:50:00", "2026-11-24 00:20:00", 250),  # over midnight in China
        ("2026-11-24 07:50:00", "2026-11-24 08:20:00", 250),  # over midnight in UTC
        ("2026-12-31 23:59:59", "2027-01-01 00:15:00", 250),
        ("2028-02-28 23:00:00", "2028-03-01 00:00:00", 4_500),  # 29 February; cap, then an hour
        ("2026-11-23 00:00:00", "2026-11-23 23:59:59", 4_000),  # the day's cap
        ("2026-11-23 12:00:00", "2026-11-24 12:00:00", 4_000),
        ("2026-11-23 12:00:00", "2026-11-24 12:00:01", 4_250),
    ],
)
def test_what_a_parking_costs(begin, end, paid_fen):
    purse = parked(at(begin))
    ride = purse.ride(parking(OUT), at(end))
    assert (ride.amount_fen, ride.full_fare_fen, ride.kind) == (paid_fen, paid_fen, RideKind.END)
    assert purse.balance_fen == 10_000 - paid_fen
    assert (purse.journeys[0].kind, purse.journeys[0].vehicle) == (0x02, 0x00)
    assert purse.journeys[0].amount_fen == paid_fen


def test_the_record_of_a_stay():
    purse = parked()
    begun = purse.stay
    terminal = parking(IN).place.terminal.hex()
    assert len(begun) == 43
    assert begun[:3].hex() == "aa2900"
    assert begun[3:12].hex() == "01" + "0101" + "3310" + "0007" + "0007"
    assert begun[12:25].hex() == terminal + "20261123120000"
    assert begun[25:39] == bytes(14)
    assert begun[39:] == zlib.crc32(begun[3:39]).to_bytes(4)
    purse.ride(parking(OUT), NOON + HOUR)
    ended = purse.stay
    assert ended[5] == 0
    assert ended[12:18] == parking(OUT).place.terminal
    assert ended[18:32].hex() == "20261123120000" + "20261123130000"
    assert int.from_bytes(ended[32:36]) == 500
    stay = find_stay(ended)
    assert stay is not None
    assert stay.to_record().body == ended


def test_a_hire_ends_at_another_dock_of_the_same_operator():
    purse = Purse()
    purse.ride(dock(IN), NOON)
    foreign = dock(OUT, "0012", operator=b"\x00\x08")
    assert refusal(foreign, purse.tap(), NOON + HOUR) == "stay_elsewhere"
    assert refusal(dock(OUT, city=b"\x29\x00"), purse.tap(), NOON + HOUR) == "stay_elsewhere"
    assert purse.ride(dock(OUT, "0012"), NOON + HOUR).amount_fen == 100


def test_a_parking_ends_where_it_began():
    purse = parked()
    assert refusal(parking(OUT, "0008"), purse.tap(), NOON + HOUR) == "stay_elsewhere"
    assert refusal(dock(OUT, "0007"), purse.tap(), NOON + HOUR) == "stay_elsewhere"


def test_one_stay_at_a_time():
    purse = parked()
    for where in (parking(IN, "0008"), dock(IN), parking(IN)):
        assert refusal(where, purse.tap(), NOON + MINUTE) == "stay_open"
    purse.ride(parking(OUT), NOON + HOUR)
    assert purse.ride(dock(IN), NOON + HOUR).kind is RideKind.START


def test_second_taps():
    purse = parked()
    assert isinstance(parking(IN).decide(purse.tap(), NOON + 5), Held)
    assert refusal(parking(IN), purse.tap(), NOON + 6) == "stay_open"
    purse.ride(parking(OUT), NOON + HOUR)
    assert isinstance(parking(OUT).decide(purse.tap(), NOON + HOUR + 5), Held)
    assert refusal(parking(OUT), purse.tap(), NOON + HOUR + 6) == "stay_not_started"
    assert refusal(parking(OUT), Purse().tap(), NOON) == "stay_not_started"


def test_bounds_of_a_stay():
    assert refusal(parking(OUT), parked().tap(), NOON + 30 * DAY + 1) == "stay_too_long"
    week = parking(OUT, stay_seconds_max=7 * DAY)
    assert refusal(week, parked().tap(), NOON + 7 * DAY + 1) == "stay_too_long"
    assert refusal(parking(OUT), parked().tap(), NOON - 121) == "stay_start_later"
    assert parked().ride(parking(OUT), NOON - 120).amount_fen == 0
    long_stay = parking(OUT).decide(parked().tap(), NOON + 2 * DAY)
    assert isinstance(long_stay, Ride)
    assert long_stay.amount_fen == 8_000
    assert refusal(parking(OUT), parked().tap(), NOON + 3 * DAY) == "purse_balance_low"


def test_concession():
    purse = Purse(card_type=3)
    half = {3: Concession(pays_percent=50)}
    purse.ride(parking(IN), NOON)
    ride = purse.ride(parking(OUT, concessions=half), NOON + HOUR)
    assert (ride.amount_fen, ride.concession_fen) == (250, 250)


def test_a_city_union_card_keeps_no_journey():
    purse = Purse(card_type=None)
    purse.ride(parking(IN), NOON)
    assert len(purse.ride(parking(OUT), NOON + HOUR).records) == 1
    assert purse.journeys == []


@pytest.mark.parametrize(
    ("stay", "code"),
    [
        (None, "stay_record_missing"),
        (b"", "stay_record_foreign"),
        (capp_record(0xAA, b"\x07" * 40), "stay_record_foreign"),  # a road toll's
        (capp_record(0xAB, bytes(40)), "stay_record_foreign"),
        (capp_record(0xAA, bytes(39)), "stay_record_foreign"),
        (capp_record(0xAA, bytes(40), 1), "purse_record_locked"),
        (parked().stay[:-1] + b"\x00", "stay_record_foreign"),
    ],
)
def test_records_of_others_are_never_overwritten(stay, code):
    for where in (parking(IN), parking(OUT)):
        assert refusal(where, Purse(stay=stay).tap(), NOON) == code


def test_another_format_of_ours_is_left_alone():
    body = b"\x02" + bytes(35)
    record = capp_record(0xAA, body + zlib.crc32(body).to_bytes(4))
    assert refusal(parking(IN), Purse(stay=record).tap(), NOON) == "stay_record_foreign"


def test_a_stay_is_checked_at_birth():
    with pytest.raises(MalformedBytes):
        StayRecord(1, 1, b"\x33", b"\x00\x07", b"\x00\x07", bytes(6), bytes(7))


@pytest.mark.parametrize(
    ("tap", "direction", "said"),
    [
        (MobileTap(is_online=False, stay_started_at=NOON - HOUR), OUT, "mobile_card_online_only"),
        (MobileTap(is_online=True), OUT, "stay_start_unknown"),
        (MobileTap(is_online=True, stay_started_at=NOON - HOUR), IN, "stay_start_unknown"),
        (MobileTap(is_online=True, stay_started_at=NOON + HOUR), OUT, "stay_start_later"),
        (MobileTap(is_online=True, stay_started_at=NOON - 31 * DAY), OUT, "stay_too_long"),
        (MobileTap(is_online=True, stay_started_at=NOON - HOUR), OUT, 500),
    ],
)
def test_parking_with_a_mobile_card(tap, direction, said):
    where = parking(direction)
    if isinstance(said, int):
        ride = where.decide(tap, NOON)
        assert isinstance(ride, Ride)
        assert (ride.amount_fen, ride.records) == (said, ())
    else:
        assert refusal(where, tap, NOON) == said


def test_a_hire_with_a_mobile_card_is_refused():
    with pytest.raises(RideRefused) as refused:
        dock(OUT).decide(MobileTap(is_online=True, stay_started_at=NOON), NOON + HOUR)
    assert refused.value.code == "mobile_card_not_taken"


def test_a_barrier_has_a_direction():
    with pytest.raises(MalformedBytes):
        book(Mode.PARKING, PARKING_FARE, place())
