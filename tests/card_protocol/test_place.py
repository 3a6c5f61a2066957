"""Goal: a place says where a terminal stands, and is refused where it does not fit the mode."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_protocol.errors import MalformedBytes
from card_protocol.fares import Fare, FlatFare, MatrixFare, TimedFare
from card_protocol.mode_rules import Concession, ModeRules, Transfer
from card_protocol.place import CODE, Direction, TerminalPlace, place_of, require_fits
from card_protocol.terminal_profile import Mode, ProfileTerms, terms_of

HERE = TerminalPlace(
    city=b"\x33\x10",
    operator=b"\x00\x07",
    acquirer=bytes(range(8)),
    line=b"\x00\x0b",
    station="0A01",
    direction=Direction.OUT,
)
TABLE = MatrixFare(("0A01", "0A02"), ((200, 300), (300, 200)))
IN, OUT = Direction.IN, Direction.OUT


@pytest.mark.parametrize("place", [HERE, TerminalPlace(), replace(HERE, direction=None)])
def test_a_document_and_back(place: TerminalPlace) -> None:
    assert place_of(json.loads(json.dumps(place.to_document()))) == place


def test_what_is_left_out_is_zeros() -> None:
    assert place_of({}) == TerminalPlace()
    assert place_of({"city": "3310"}) == TerminalPlace(city=b"\x33\x10")


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "3310",
        {"terminal": "331000000001"},
        {"city": "331"},
        {"city": "33 10"},
        {"city": 3310},
        {"acquirer": "00" * 7},
        {"line": None},
        {"station": "101"},
        {"station": "0a01"},
        {"station": None},
        {"station": 101},
        {"direction": "up"},
        {"direction": ["in"]},
        {"direction": 1},
    ],
)
def test_documents_that_are_refused(document: Any) -> None:
    with pytest.raises(MalformedBytes) as refused:
        place_of(document)
    assert refused.value.code == CODE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=17),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        *("city", "operator", "line", "station", "direction"),
        *("rules", "gate", "transfer", "concessions", "loading"),
    ]
)


@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_any_document_is_read_or_refused(document: dict[str, Any]) -> None:
    """Goal: no document makes a terminal stumble: a value, or MalformedBytes."""
    for read in (place_of, terms_of, lambda one: terms_of({"rules": one})):
        with suppress(MalformedBytes):
            assert read(document) is not None


@pytest.mark.parametrize(
    ("mode", "fare", "place", "fits"),
    [
        (Mode.SHOP, None, {}, True),
        (Mode.BUS, FlatFare(200), {}, True),
        (Mode.BUS, FlatFare(200), {"direction": IN}, True),
        (Mode.BUS, FlatFare(200), {"direction": OUT}, False),
        (Mode.GATE, FlatFare(200), {"direction": OUT}, False),
        (Mode.GATE, TABLE, {"station": "0A02", "direction": IN}, True),
        (Mode.GATE, TABLE, {"station": "0A02", "direction": OUT}, True),
        (Mode.GATE, TABLE, {"station": "0A02"}, False),
        (Mode.GATE, TABLE, {"station": "0A03", "direction": IN}, False),
        (Mode.GATE, TABLE, {"direction": IN}, False),
        (Mode.GATE, MatrixFare(("east",), ((200,),)), {"direction": IN}, False),
        (Mode.PARKING, TimedFare(1800, 250, 900, 4_000), {}, False),
        (Mode.BICYCLE, TimedFare(1800, 250, 900, 4_000), {"direction": OUT}, True),
    ],
)
def test_what_a_mode_asks_of_its_place(
    mode: Mode, fare: Fare | None, place: dict[str, Any], *, fits: bool
) -> None:
    terms = ProfileTerms(mode=mode, fare=fare)
    if fits:
        require_fits(terms, TerminalPlace(**place))
        return
    with pytest.raises(MalformedBytes) as refused:
        require_fits(terms, TerminalPlace(**place))
    assert refused.value.code == CODE


def test_rules_are_a_part_of_the_terms() -> None:
    rules = ModeRules(
        transfer=Transfer(within_seconds=60, discount_fen=100),
        concessions={2: Concession(pays_percent=50)},
    )
    terms = ProfileTerms(mode=Mode.BUS, fare=FlatFare(200), rules=rules)
    assert terms_of(json.loads(json.dumps(terms.to_document()))) == terms
    older = terms.to_document()
    del older["rules"]
    assert terms_of(older).rules == ModeRules()
    for wrong in ([], {"again": 5}, {"again_seconds": 601}, None):
        with pytest.raises(MalformedBytes) as refused:
            terms_of({"rules": wrong})
        assert refused.value.code == "mode_rules_malformed"
