"""What a terminal says of its place, and what a loading post offers; no city is needed for that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from card_protocol.fares import FlatFare
from card_protocol.mode_rules import LoadingRules, ModeRules
from card_protocol.place import Direction
from card_protocol.terminal_profile import Mode, ProfileTerms
from reader_bridge import Outcome
from reader_bridge.acceptance.load import PAYER_SECONDS
from reader_bridge.loads import Funding, LoadPause
from reader_bridge.loads.offers import loading_rules_of
from reader_bridge.till import Post, ResultState, Stage, Till
from reader_bridge.till.post import direction_of
from tests.reader_bridge.acceptance.world import MANY, OfflineBackend, PurseCard, Stall, open_stall
from tests.reader_bridge.conftest import TestTime
from tests.reader_bridge.loads.world import load_order, tap
from tests.reader_bridge.support import PAY_CODE, CardKit
from tests.reader_bridge.till.support import Hand, wait_for, wait_for_stage

AMOUNTS = LoadingRules().amounts_fen


@pytest.fixture
def open_place(kit: CardKit, tmp_path: Path, test_time: TestTime) -> Iterator[Any]:
    """A stall under such terms."""
    opened: list[Any] = []

    def opening(terms: ProfileTerms) -> Stall:
        backend = OfflineBackend(kit, terms).__enter__()
        opened.append(backend)
        stall = open_stall(tmp_path / "place", backend, test_time)
        opened.append(stall.terminal)
        return stall

    yield opening
    for one in reversed(opened):
        one.__exit__(None, None, None)


def test_a_bus_by_its_profile(open_place: Any, test_time: TestTime) -> None:
    """Goal: nobody tells the till: the signed profile does, and every card pays its fare."""
    stall = open_place(replace(MANY, mode=Mode.BUS, fare=FlatFare(200)))
    assert stall.terminal.post() == Post(Mode.BUS, 200, None, AMOUNTS)
    test_time.forward(30)
    assert stall.terminal.status().profile_age_seconds >= 30
    hand, cards = Hand(), [PurseCard(), PurseCard()]
    with Till(stall.terminal, hand, test_time.clock()) as till:
        assert wait_for_stage(till, Stage.WAITING).amount_fen == 200
        for card in cards:
            hand.present(card.shown())
            wait_for(till, lambda screen: screen.stage is Stage.DONE and screen.balance == 4_800)
            test_time.forward(5)
            wait_for_stage(till, Stage.WAITING)
        assert [one.state for one in till.last_results(5)] == [ResultState.PAID] * 2
    assert [card.balance_fen for card in cards] == [4_800, 4_800]


def test_a_loading_post_loads_what_it_offers(open_place: Any) -> None:
    stall = open_place(replace(MANY, mode=Mode.LOADING))
    card = PurseCard()
    told = tap(stall.terminal, load_order("P1", 1_234), card.shown())
    assert told.outcome is Outcome.REFUSED
    assert told.refusal is not None
    assert told.refusal.code == "load_amount_not_offered"
    assert stall.backend.requests == []
    assert card.balance_fen == 5_000


def test_a_payer_who_waits_too_long_is_asked_again(open_place: Any, test_time: TestTime) -> None:
    stall = open_place(replace(MANY, mode=Mode.LOADING))
    order = load_order("P2", 1_000, Funding.WALLET)
    with pytest.raises(LoadPause) as known:
        stall.terminal.code(order, PAY_CODE.encode())
    assert known.value.code == "load_show_purse"
    test_time.forward(PAYER_SECONDS + 1)
    with pytest.raises(LoadPause) as again:
        tap(stall.terminal, order, PurseCard().shown())
    assert again.value.code == "load_show_payer"


def test_the_amounts_are_the_profiles() -> None:
    rules = ModeRules(loading=LoadingRules(amounts_fen=(3_000, 6_000)))
    terms: Any = SimpleNamespace(rules=rules)
    assert loading_rules_of(terms).amounts_fen == (3_000, 6_000)


@pytest.mark.parametrize(
    ("told", "way"), [(Direction.IN, "entry"), (Direction.OUT, "exit"), (None, None)]
)
def test_which_way_a_gate_lets(told: Direction | None, way: str | None) -> None:
    assert direction_of(told) == way
