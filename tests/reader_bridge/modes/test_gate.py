"""Gates: entry, exit, and every ride that is not whole."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest

from card_protocol.epurse.capp import RailRecord
from card_protocol.errors import MalformedBytes
from card_protocol.fares import MatrixFare
from card_protocol.terminal_profile import Mode
from reader_bridge.faults import CardFault
from reader_bridge.modes import (
    Concession,
    Direction,
    GateRules,
    Held,
    MobileTap,
    Remedy,
    RideKind,
    RideRefused,
)
from tests.reader_bridge.modes.world import (
    BLANK_RAIL_BYTES,
    HOUR,
    MINUTE,
    NOON,
    TABLE,
    Purse,
    book,
    entry_gate,
    exit_gate,
    place,
)

HIGHEST_FEN = 500
LENIENT = GateRules(
    missing_entry=Remedy.MAXIMUM,
    entry_too_old=Remedy.MAXIMUM,
    entry_unknown=Remedy.MAXIMUM,
    double_entry=Remedy.MAXIMUM,
    same_station=Remedy.MAXIMUM,
)
STRICT = GateRules(
    missing_entry=Remedy.REFUSE,
    entry_too_old=Remedy.REFUSE,
    entry_unknown=Remedy.REFUSE,
    double_entry=Remedy.REFUSE,
    same_station=Remedy.REFUSE,
)


def inside(station: str = "0101", since: int = NOON) -> Purse:
    purse = Purse()
    purse.ride(entry_gate(station), since)
    return purse


def refusal(where, purse: Purse, now: int) -> str:
    with pytest.raises(CardFault) as refused:
        where.decide(purse.tap(), now)
    assert refused.value.text("zh-CN")
    assert refused.value.text("en")
    return refused.value.code


@pytest.mark.parametrize("entry", TABLE.stations)
@pytest.mark.parametrize("leaving", TABLE.stations)
def test_every_pair_of_stations(entry, leaving):
    purse = Purse()
    came = purse.ride(entry_gate(entry), NOON)
    assert (came.amount_fen, came.kind) == (0, RideKind.ENTRY)
    left = purse.ride(exit_gate(leaving), NOON + 20 * MINUTE)
    assert (left.amount_fen, left.kind) == (TABLE.fare_fen(entry, leaving), RideKind.EXIT)
    assert purse.balance_fen == 10_000 - left.amount_fen
    assert [journey.kind for journey in purse.journeys] == [0x04, 0x03]
    assert [journey.amount_fen for journey in purse.journeys] == [left.amount_fen, 0]


def test_the_rail_record_in_and_out():
    """Byte by byte at the offsets of design B.1.3."""
    purse = inside("0102")
    came = purse.rail
    assert came[:4].hex() == "27127d01"
    assert came[6:14].hex() == purse.facts.public.serial[-8:].hex()
    assert came[14:19].hex() == "01" + "3310" + "0000"
    assert came[19:27].hex() == "0007000100000000"
    assert came[35:43].hex() == "0000000000000102"
    assert came[51:59].hex() == "0000" + entry_gate("0102").place.terminal.hex()
    assert came[67:74].hex() == "20261123120000"
    assert came[74:81] == bytes(7)
    assert int.from_bytes(came[81:85]) == 400  # the highest from 0102
    assert (came[85], came[86]) == (1, 0)
    assert (int.from_bytes(came[87:91]), int.from_bytes(came[91:95])) == (0, 10_000)
    assert came[120:123].hex() == "010055"
    assert came[124:] == zlib.crc32(came[6:124]).to_bytes(4)
    purse.ride(exit_gate("0203"), NOON + 30 * MINUTE)
    left = purse.rail
    assert left[14:19].hex() == "02" + "3310" + "3310"
    assert left[43:51].hex() == "0000000000000203"
    assert left[67:81].hex() == "20261123120000" + "20261123123000"
    assert int.from_bytes(left[95:99]) == 400
    assert left[99:106].hex() == "20261123123000"
    assert left[106:110] == exit_gate("0203").place.terminal[-4:]
    assert (int.from_bytes(left[110:113]), int.from_bytes(left[113:115])) == (400, 1)
    assert left[120:123].hex() == "000166"
    assert left[124:] == zlib.crc32(left[6:124]).to_bytes(4)
    assert RailRecord.decode(left).encode() == left


def test_sums_go_on_and_stop_at_their_highest():
    purse = Purse()
    for number in range(3):
        since = NOON + number * HOUR
        purse.ride(entry_gate("0101"), since)
        purse.ride(exit_gate("0203"), since + 20 * MINUTE)
    rail = RailRecord.decode(purse.rail)
    assert (rail.cumulative_amount.hex(), rail.cumulative_count.hex()) == ("0005dc", "0003")
    full = replace(rail, cumulative_amount=b"\xff\xff\xfe", cumulative_count=b"\xff\xff")
    purse.rail = full.encode()
    purse.ride(entry_gate("0101"), NOON + 6 * HOUR)
    purse.ride(exit_gate("0203"), NOON + 7 * HOUR)
    rail = RailRecord.decode(purse.rail)
    assert (rail.cumulative_amount, rail.cumulative_count) == (b"\xff" * 3, b"\xff\xff")


def with_rail(purse: Purse, **changes: bytes) -> Purse:
    return replace(purse, rail=replace(RailRecord.decode(purse.rail), **changes).encode())


def test_another_operator_s_transfer_bytes_stay():
    purse = with_rail(inside(), transfer=b"\x01\x02\x03\x04\x05")
    purse.ride(exit_gate("0203"), NOON + HOUR)
    purse.ride(entry_gate("0203"), NOON + 2 * HOUR)
    rail = RailRecord.decode(purse.rail)
    assert rail.transfer.hex() == "0102030405"
    assert rail.exit_moment == bytes(7)  # of the ride before


def elsewhere(city: bytes = b"\x29\x00") -> Purse:
    return with_rail(inside(), entry_city=city)


FAULTY_EXITS = {
    "entry_missing": (Purse(), NOON),
    "entry_too_old": (inside(since=NOON), NOON + 4 * HOUR + 1),
    "entry_unknown": (elsewhere(), NOON + HOUR),
    "same_station": (inside("0203"), NOON + HOUR),
}


@pytest.mark.parametrize("code", FAULTY_EXITS)
def test_exits_that_are_refused(code):
    purse, now = FAULTY_EXITS[code]
    assert refusal(exit_gate("0203", gate=STRICT), purse, now) == code


@pytest.mark.parametrize("code", FAULTY_EXITS)
def test_exits_at_the_highest_fare(code):
    purse, now = FAULTY_EXITS[code]
    purse = replace(purse, journeys=list(purse.journeys))
    senior = {1: Concession(pays_percent=50)}
    ride = purse.ride(exit_gate("0203", gate=LENIENT, concessions=senior), now)
    assert (ride.amount_fen, ride.concession_fen) == (HIGHEST_FEN, 0)
    assert ride.told.read("en").startswith("The ride is not complete: highest fare, 5.00 yuan")
    assert purse.journeys[0].kind == (0x06 if code == "entry_missing" else 0x04)
    assert refusal(exit_gate("0101", gate=STRICT), purse, now) == "entry_missing"  # it is out now


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"entry_station": bytes(6) + b"\x09\x09"}, "entry_unknown"),
        ({"entry_station": b"\x01" + bytes(5) + b"\x01\x01"}, "entry_unknown"),
        ({"entry_moment": bytes(7)}, "entry_too_old"),
        ({"entry_moment": b"\xff" * 7}, "entry_too_old"),
        ({"entry_moment": bytes.fromhex("20261123140000")}, "entry_too_old"),  # an hour to come
        ({"status": b"\x02"}, "rail_record_damaged"),
        ({"place": b"\x77"}, "rail_record_damaged"),
        ({"valid": b"\x02"}, "purse_record_locked"),
    ],
)
def test_what_others_may_have_written(changes, code):
    assert refusal(exit_gate("0203", gate=STRICT), with_rail(inside(), **changes), NOON + HOUR) == (
        code
    )


@pytest.mark.parametrize(
    ("rail", "code"),
    [
        (None, "rail_record_missing"),
        (b"", "rail_record_damaged"),
        (bytes(128), "rail_record_damaged"),
        (BLANK_RAIL_BYTES[:-1] + b"\x01", "rail_record_damaged"),  # its checksum is wrong
        (inside().rail[:-1] + b"\x00", "rail_record_damaged"),
        (BLANK_RAIL_BYTES[:127], "rail_record_damaged"),
    ],
)
def test_rail_records_that_cannot_be_read(rail, code):
    for where in (entry_gate("0101"), exit_gate("0101")):
        assert refusal(where, Purse(rail=rail), NOON) == code


def test_clocks_a_little_apart():
    fare_fen = TABLE.fare_fen("0101", "0203")
    early = inside(since=NOON)
    assert early.ride(exit_gate("0203", gate=STRICT), NOON - 120).amount_fen == fare_fen
    assert refusal(exit_gate("0203", gate=STRICT), inside(since=NOON), NOON - 121) == (
        "entry_too_old"
    )
    last = inside(since=NOON)
    assert last.ride(exit_gate("0203", gate=STRICT), NOON + 4 * HOUR).amount_fen == fare_fen


def test_a_second_entry():
    purse = inside("0101")
    again = entry_gate("0101").decide(purse.tap(), NOON + 4)
    assert isinstance(again, Held)
    assert not again.may_pass
    for station in ("0101", "0203"):
        assert refusal(entry_gate(station), purse, NOON + MINUTE) == "entered_twice"
    assert refusal(entry_gate("0101", number=77), purse, NOON + 4) == "entered_twice"
    assert refusal(entry_gate("0101"), elsewhere(), NOON + MINUTE) == "entry_unknown"


def test_a_second_entry_pays_for_the_ride_that_was_lost():
    purse = inside("0101")
    ride = purse.ride(entry_gate("0203", gate=LENIENT), NOON + HOUR)
    assert (ride.amount_fen, ride.kind) == (HIGHEST_FEN, RideKind.ENTRY)
    assert [journey.kind for journey in purse.journeys] == [0x03, 0x04, 0x03]
    assert [journey.amount_fen for journey in purse.journeys] == [0, HIGHEST_FEN, 0]
    rail = RailRecord.decode(purse.rail)
    assert (rail.entry_amount.hex(), rail.cumulative_count.hex()) == ("000001f4", "0001")
    assert ride.told.read("en") == (
        "The last ride had no exit: 5.00 yuan for it. Go in, balance 95.00 yuan"
    )
    left = purse.ride(exit_gate("0102", gate=LENIENT), NOON + 2 * HOUR)
    assert left.amount_fen == TABLE.fare_fen("0203", "0102")


def test_a_second_exit():
    purse = inside()
    purse.ride(exit_gate("0203"), NOON + HOUR)
    again = exit_gate("0203", gate=LENIENT).decide(purse.tap(), NOON + HOUR + 5)
    assert isinstance(again, Held)
    assert not again.may_pass
    assert refusal(exit_gate("0203"), purse, NOON + HOUR + 6) == "entry_missing"


@pytest.mark.parametrize(
    ("balance_fen", "needs_fen", "is_let_in"),
    [(500, None, True), (499, None, False), (200, 200, True), (199, 200, False), (0, 0, True)],
)
def test_what_a_purse_must_hold_to_go_in(balance_fen, needs_fen, is_let_in):
    where = entry_gate("0101", gate=GateRules(entry_needs_fen=needs_fen))
    purse = Purse(balance_fen=balance_fen)
    if is_let_in:
        assert purse.ride(where, NOON).amount_fen == 0
    else:
        assert refusal(where, purse, NOON) == "purse_balance_low"


def test_a_purse_that_cannot_pay_its_exit():
    purse = Purse(balance_fen=300)
    purse.ride(entry_gate("0101", gate=GateRules(entry_needs_fen=200)), NOON)
    assert refusal(exit_gate("0203"), purse, NOON + HOUR) == "purse_balance_low"
    assert purse.ride(exit_gate("0102"), NOON + HOUR).amount_fen == 300


def test_concession_at_the_exit_and_at_the_entry():
    half = {3: Concession(pays_percent=50)}
    senior = Purse(balance_fen=250, card_type=3)
    senior.ride(entry_gate("0101", concessions=half), NOON)
    ride = senior.ride(exit_gate("0203", concessions=half), NOON + HOUR)
    assert (ride.amount_fen, ride.full_fare_fen, ride.concession_fen) == (250, 500, 250)


def test_mobile_cards_are_refused_in_words():
    for where in (entry_gate("0101"), exit_gate("0101")):
        with pytest.raises(RideRefused) as refused:
            where.decide(MobileTap(is_online=True), NOON)
        assert refused.value.code == "mobile_card_not_taken"


@pytest.mark.parametrize(
    ("fare", "station", "direction"),
    [
        (TABLE, "0101", None),
        (TABLE, "0999", Direction.IN),
        (MatrixFare(("0101", "West"), ((1, 1), (1, 1))), "0101", Direction.IN),
        (MatrixFare(("0101", "0a01"), ((1, 1), (1, 1))), "0101", Direction.IN),
    ],
)
def test_a_gate_that_does_not_fit_its_table(fare, station, direction):
    with pytest.raises(MalformedBytes) as refused:
        book(Mode.GATE, fare, place(station=station, direction=direction))
    assert refused.value.code == "place_malformed"
