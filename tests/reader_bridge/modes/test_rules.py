"""Places and rides as values, moments, and whether the demo city's profiles make a book."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from backend.config import load_config
from backend.terms import terminal_profiles
from card_protocol.errors import MalformedBytes
from card_protocol.fares import MatrixFare
from card_protocol.terminal_profile import Mode
from reader_bridge.faults import Text
from reader_bridge.kernels.epurse import moment_at
from reader_bridge.modes import (
    Direction,
    ModeBook,
    Ride,
    RideKind,
)
from reader_bridge.modes.records import find_unix
from tests.reader_bridge.modes.world import at, place


@pytest.mark.parametrize(
    "changes",
    [
        {"terminal": bytes(5)},
        {"city": b"\x33"},
        {"line": b""},
        {"station": "101"},
        {"station": "010a"},
        {"direction": "in"},
    ],
)
def test_places_that_are_none(changes):
    with pytest.raises(MalformedBytes):
        place(**changes)


@pytest.mark.parametrize(
    ("amount_fen", "full_fen", "concession_fen", "transfer_fen"),
    [(100, 200, 0, 0), (-1, 0, 1, 0), (300, 200, -100, 0), (2**31, 2**31, 0, 0)],
)
def test_a_ride_adds_up(amount_fen, full_fen, concession_fen, transfer_fen):
    with pytest.raises(ValueError, match=r"fare|purse"):
        Ride(
            amount_fen=amount_fen,
            full_fare_fen=full_fen,
            concession_fen=concession_fen,
            transfer_fen=transfer_fen,
            kind=RideKind.SINGLE,
            told=Text("", ""),
        )


@pytest.mark.parametrize(
    ("moment", "there"),
    [
        ("20261123000000", "2026-11-23 00:00:00"),
        ("20280229235959", "2028-02-29 23:59:59"),
        ("20270101000000", "2027-01-01 00:00:00"),
    ],
)
def test_moments_are_china_s(moment, there):
    assert find_unix(bytes.fromhex(moment)) == at(there)
    assert moment_at(at(there)).hex() == moment


def test_midnight_in_china_is_16_hours_utc():
    utc = datetime(2026, 11, 22, 16, tzinfo=UTC)
    assert find_unix(bytes.fromhex("20261123000000")) == int(utc.timestamp())


@pytest.mark.parametrize(
    "moment",
    [
        *("00000000000000", "20261323000000", "20270229000000", "2026112324000A"),
        *("20261123240000", "20261123006000", "20261123000060", "ffffffffffffff"),
    ],
)
def test_bytes_that_are_no_moment(moment):
    assert find_unix(bytes.fromhex(moment)) is None


def test_the_demo_city_s_profiles_fit_their_modes():
    modes = set()
    for terms in terminal_profiles(load_config({})).values():
        station = terms.fare.stations[0] if isinstance(terms.fare, MatrixFare) else "0000"
        where = place(station=station, direction=Direction.IN)
        modes.add(ModeBook(terms, terms.rules, where).terms.mode)
    assert modes == set(Mode)
