"""Goal: whatever bytes a card holds, a mode rides, holds or refuses; nothing else comes out."""

from __future__ import annotations

import zlib
from contextlib import suppress
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_protocol.epurse.capp import RailRecord, capp_record
from card_protocol.epurse.files import JourneyRecord
from card_protocol.epurse.transactions import BALANCE_MAX_FEN
from card_protocol.terminal_profile import Mode
from reader_bridge.faults import CardFault
from reader_bridge.kernels.epurse import moment_at
from reader_bridge.modes import Direction, GateRules, Held, ModeBook, Remedy, Ride, Transfer
from tests.reader_bridge.modes.world import (
    BUS_FARE,
    CITY,
    NOON,
    PARKING_FARE,
    TABLE,
    Purse,
    book,
    place,
)

LENIENT = GateRules(
    missing_entry=Remedy.MAXIMUM,
    entry_unknown=Remedy.MAXIMUM,
    double_entry=Remedy.MAXIMUM,
)
MOMENTS = st.integers(0, 10**6).map(lambda back: moment_at(NOON - back)) | st.binary(
    min_size=7, max_size=7
)
LIKELY = {
    "valid": st.sampled_from([b"\x00", b"\x01"]),
    "status": st.sampled_from([b"\x00", b"\x01", b"\x02"]),
    "place": st.sampled_from([b"\x00", b"\x55", b"\x66"]),
    "entry_city": st.sampled_from([CITY, b"\x29\x00"]),
    "entry_moment": MOMENTS,
    "exit_moment": MOMENTS,
    "entry_station": st.sampled_from([bytes(6) + b"\x01\x02", bytes(8), b"\xff" * 8]),
}
NAMES = tuple(field.name for field in fields(RailRecord))
RAILS = st.tuples(
    *(
        LIKELY.get(name, st.binary(min_size=size, max_size=size))
        for name, size in zip(NAMES, RailRecord.SIZES, strict=True)
    )
).map(lambda parts: RailRecord(*parts).encode())
STAYS = st.binary(min_size=35, max_size=35).map(
    lambda body: capp_record(
        0xAA, b"\x01" + body + zlib.crc32(b"\x01" + body).to_bytes(4), id_bytes=1
    )
)
JOURNEYS = st.lists(st.binary(min_size=48, max_size=48).map(JourneyRecord.decode), max_size=3)
PURSES = st.builds(
    Purse,
    balance_fen=st.integers(0, BALANCE_MAX_FEN),
    card_type=st.none() | st.integers(0, 255),
    journeys=JOURNEYS,
    rail=RAILS | st.binary(max_size=250),
    stay=STAYS | st.binary(max_size=250),
)


def books() -> list[ModeBook]:
    made = [
        book(
            Mode.BUS,
            BUS_FARE,
            place(),
            transfer=Transfer(within_seconds=86_400, discount_fen=50),
        )
    ]
    for direction in Direction:
        where = place(station="0102", direction=direction)
        made += [
            book(Mode.GATE, TABLE, where, gate=LENIENT),
            book(Mode.PARKING, PARKING_FARE, where, stay_seconds_max=366 * 86_400),
        ]
    return made


@pytest.mark.parametrize("where", books(), ids=lambda one: f"{one.terms.mode}")
@given(purse=PURSES)
def test_any_card(where, purse):
    before_fen = purse.balance_fen
    with suppress(CardFault):
        said = where.decide(purse.tap(), NOON)
        assert isinstance(said, Ride | Held)
        if isinstance(said, Ride):
            purse.take(said)
            assert purse.balance_fen == before_fen - said.amount_fen >= 0
            if where.terms.mode is Mode.GATE:
                assert RailRecord.decode(purse.rail).encode() == purse.rail
