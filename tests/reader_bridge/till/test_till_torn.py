"""Torn sales at the till: the same card ends them, and nobody calls them unpaid before."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from reader_bridge import Outcome, Receipt, TerminalFault
from reader_bridge.faults import CardFault
from reader_bridge.receipt import receipt_of_fault
from reader_bridge.till import ResultState, Signal, Stage, Till, Timings
from tests.reader_bridge.till.support import (
    HEADING,
    deny,
    left_early,
    moving_clock,
    torn,
    wait_for,
    wait_for_stage,
)


class Intended:
    """A journal's word that the receipt of this release does not know yet."""

    value = "intended"


def test_torn_then_the_same_card_then_paid(till, hand, kit, acceptor, backend):
    acceptor.accidents.append(torn)
    till.start_sale("R1", 1250)
    hand.present(deny)
    screen = wait_for_stage(till, Stage.AGAIN)
    assert (screen.code, screen.signal) == ("debit_unknown", Signal.AGAIN)
    acceptor.accidents.append(left_early)  # once more too fast: it stays torn
    hand.present(kit.card().transmit)
    wait_for(till, lambda s: s.stage is Stage.AGAIN and s.code == "card_removed")
    hand.present(kit.card().transmit)
    assert wait_for_stage(till, Stage.DONE).code == "paid"
    assert backend.charges() == [1250]


def test_another_card_does_not_end_a_torn_order(till, hand, acceptor, monkeypatch):
    """Goal: "refused, nothing charged" is never said of a sale whose card may be debited."""

    def another(order, channel):
        fault = CardFault("purse_foreign")
        return receipt_of_fault(HEADING, fault, order.amount_fen, order.reference)

    unfinished = Receipt(HEADING, Outcome.UNKNOWN, 1250, "R1")
    acceptor.accidents += [torn, another]
    till.start_sale("R1", 1250)
    hand.present(deny)
    wait_for_stage(till, Stage.AGAIN)
    monkeypatch.setattr(acceptor, "ask_again", lambda reference: unfinished)
    hand.present(deny)
    wait_for(till, lambda s: s.code == "purse_foreign" and s.stage is Stage.AGAIN)
    left = till.cancel("R1")
    assert (left.state, left.code) == (ResultState.UNKNOWN, "torn_left")
    assert till.last_result("R1").state is ResultState.UNKNOWN


def test_a_torn_order_is_left_in_the_end(acceptor, hand):
    timings = Timings(again_seconds=0.05, look_seconds=0.01)
    acceptor.accidents.append(torn)
    with Till(acceptor, hand, moving_clock(), timings=timings) as till:
        till.start_sale("R1", 1250)
        hand.present(deny)
        assert wait_for_stage(till, Stage.DONE).code == "torn_left"
        assert till.last_result("R1").state is ResultState.UNKNOWN


def test_a_torn_sale_of_an_earlier_run_goes_on(till, hand, kit, acceptor, monkeypatch):
    """Goal: a restart forgets nothing: the till asks for the same card, and nobody can cancel."""
    kept = replace(Receipt(HEADING, Outcome.UNKNOWN, 1250, "R1"), outcome=Intended())
    monkeypatch.setattr(acceptor, "ask_again", lambda reference: kept)
    with pytest.raises(TerminalFault, match="reference_used_differently"):
        till.start_sale("R1", 1300)
    assert till.start_sale("R1", 1250).code == "show_same_card"
    assert till.screen().stage is Stage.AGAIN
    assert till.cancel("R1").code == "torn_left"
    assert till.start_sale("R1", 1250).code == "show_same_card"
    monkeypatch.undo()
    hand.present(kit.card().transmit)
    assert wait_for_stage(till, Stage.DONE).code == "paid"


def test_the_journals_intended_is_torn_and_dropped_is_free(till, hand, acceptor):
    """Goal: a receipt that says "torn" asks for the same card; a proof of not paid ends it."""
    unknown = Receipt(HEADING, Outcome.UNKNOWN, 1250, "R1")
    dropped = SimpleNamespace(value="dropped")
    acceptor.accidents += [
        lambda order, channel: replace(unknown, outcome=Intended()),
        lambda order, channel: replace(unknown, outcome=dropped),
    ]
    till.start_sale("R1", 1250)
    hand.present(deny)
    assert wait_for_stage(till, Stage.AGAIN).code == "show_same_card"
    hand.present(deny)
    screen = wait_for_stage(till, Stage.DONE)
    assert (screen.code, screen.signal) == ("not_charged", Signal.NO)
    assert till.start_sale("R1", 1250).state is ResultState.OPEN
