"""The rules of a profile: defaults, bounds, documents."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from card_protocol.errors import MalformedBytes
from card_protocol.fares import MatrixFare
from card_protocol.terminal_profile import Mode, terms_of
from reader_bridge.faults import Text
from reader_bridge.kernels.epurse import moment_at
from reader_bridge.modes import (
    Concession,
    Direction,
    GateRules,
    LoadingRules,
    ModeBook,
    ModeRules,
    Remedy,
    Ride,
    RideKind,
    Rounding,
    Transfer,
    mode_rules_of,
)
from reader_bridge.modes.records import find_unix
from tests.reader_bridge.modes.world import at, place

FULL = ModeRules(
    again_seconds=8,
    clock_slack_seconds=30,
    stay_seconds_max=86_400,
    transfer=Transfer(within_seconds=3_600, discount_fen=100),
    concessions={
        2: Concession(pays_percent=50, step_fen=10, rounds=Rounding.UP),
        3: Concession(pays_percent=0),
    },
    gate=GateRules(missing_entry=Remedy.MAXIMUM, ride_seconds_max=7_200, entry_needs_fen=200),
    loading=LoadingRules(amounts_fen=(5_000, 10_000), ceilings_fen={"main_card": 300_000}),
)


@pytest.mark.parametrize("rules", [ModeRules(), FULL])
def test_a_document_and_back(rules):
    document = json.loads(json.dumps(rules.to_document()))
    assert mode_rules_of(document) == rules


def test_an_empty_document_is_the_default():
    assert mode_rules_of({}) == ModeRules()
    assert not ModeRules().concessions
    assert ModeRules().transfer is None


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"unknown": 1},
        {"again_seconds": -1},
        {"again_seconds": 601},
        {"again_seconds": "5"},
        {"clock_slack_seconds": 3_601},
        {"stay_seconds_max": 366 * 86_400 + 1},
        {"transfer": {}},
        {"transfer": 5},
        {"transfer": {"within_seconds": 0, "discount_fen": 1}},
        {"transfer": {"within_seconds": 1, "discount_fen": 0}},
        {"concessions": {}},
        {"concessions": [{}]},
        {"concessions": [5]},
        {"concessions": [{"card_type": 1}]},
        {"concessions": [{"card_type": 256, "pays_percent": 1}]},
        {"concessions": [{"card_type": True, "pays_percent": 1}]},
        {"concessions": [{"card_type": 1, "pays_percent": 101}]},
        {"concessions": [{"card_type": 1, "pays_percent": 1, "rounds": "even"}]},
        {"concessions": [{"card_type": 1, "pays_percent": 1}] * 2},
        {"concessions": [{"card_type": n, "pays_percent": 1} for n in range(33)]},
        {"gate": {"missing_entry": "free"}},
        {"gate": {"missing_entry": "table"}},
        {"gate": {"missing_entry": ["refuse"]}},
        {"gate": {"ride_seconds_max": 59}},
        {"gate": {"entry_needs_fen": -1}},
        {"loading": {"amounts_fen": []}},
        {"loading": {"amounts_fen": [200, 100]}},
        {"loading": {"amounts_fen": [0]}},
        {"loading": {"amounts_fen": 100}},
        {"loading": {"ceilings_fen": []}},
        {"loading": {"ceilings_fen": {}}},
        {"loading": {"ceilings_fen": {"main_card": 500_001}}},
    ],
)
def test_documents_that_are_refused(document):
    with pytest.raises(MalformedBytes) as refused:
        mode_rules_of(document)
    assert refused.value.code == "mode_rules_malformed"


def test_rules_cannot_be_changed_from_outside():
    concessions = {1: Concession(pays_percent=50)}
    rules = ModeRules(concessions=concessions)
    concessions[1] = Concession(pays_percent=0)
    assert rules.concessions[1].pays_percent == 50


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
    city = tomllib.loads((Path(__file__).parents[3] / "city.toml").read_text("utf-8"))
    modes = set()
    for document in city["terminal_profiles"]:
        terms = terms_of({name: value for name, value in document.items() if name != "code"})
        station = terms.fare.stations[0] if isinstance(terms.fare, MatrixFare) else "0000"
        where = place(station=station, direction=Direction.IN)
        modes.add(ModeBook(terms, ModeRules(), where).terms.mode)
    assert modes == set(Mode)
