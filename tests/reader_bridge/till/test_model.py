"""The table of stages is total, and what a receipt means never turns unknown into free."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from threading import Barrier

import pytest

from reader_bridge import Outcome, Receipt
from reader_bridge.acceptance.order import Order, OrderKind
from reader_bridge.receipt import Heading
from reader_bridge.till import FLOW, ResultState, Stage, StageEvent, advance
from reader_bridge.till.channel import Gate
from reader_bridge.till.faults import MESSAGES
from reader_bridge.till.model import SIGNALS, StageRefused, result_of

SALE = Order(OrderKind.SALE, "R1", 100)
HEADING = Heading("m", "s", "1", "en")


@pytest.mark.parametrize(("stage", "event"), list(product(Stage, StageEvent)))
def test_every_pair_is_decided(stage: Stage, event: StageEvent) -> None:
    if (stage, event) in FLOW:
        assert advance(stage, event) is FLOW[stage, event]
    else:
        with pytest.raises(StageRefused):
            advance(stage, event)


def test_every_stage_is_reached_and_left() -> None:
    assert set(FLOW.values()) == set(Stage)
    assert {stage for stage, _ in FLOW} == set(Stage)
    assert (Stage.ASKING, StageEvent.CANCEL) not in FLOW


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_means_something(outcome: Outcome) -> None:
    result = result_of(SALE, Receipt(HEADING, outcome, 100), MESSAGES)
    is_good = outcome.value in {"captured", "posted", "accepted", "passed"}
    assert (result.state is ResultState.PAID) == is_good
    assert result.message.read("en")
    assert result.signal is SIGNALS[result.state]


def test_a_balance_is_never_a_payment() -> None:
    order = Order(OrderKind.BALANCE, "B1")
    result = result_of(order, Receipt(HEADING, Outcome.CAPTURED, 0, balance_fen=5), MESSAGES)
    assert (result.state, result.code) == (ResultState.READ, "balance_read")


def test_one_side_passes_the_gate() -> None:
    first, second = Gate(), Gate()
    assert [first.commit(), first.cancel(), first.commit()] == [True, False, True]
    assert [second.cancel(), second.commit(), second.cancel()] == [True, False, True]


def test_the_gate_has_one_winner_among_threads() -> None:
    with ThreadPoolExecutor(2) as pool:
        for _ in range(300):
            gate, line = Gate(), Barrier(2)
            sides = [lambda g=gate, b=line: (b.wait(5), g.commit())[1]]
            sides += [lambda g=gate, b=line: (b.wait(5), g.cancel())[1]]
            assert sorted(pool.map(lambda side: side(), sides)) == [False, True]


def test_every_state_has_a_signal() -> None:
    assert set(SIGNALS) == set(ResultState)
