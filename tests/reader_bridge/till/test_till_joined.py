"""The till over the joined terminal: a purse torn, another card in between, the same card again."""

from __future__ import annotations

import pytest

from reader_bridge.till import ResultState, Stage, Till
from tests.reader_bridge.acceptance.conftest import backend, stall  # noqa: F401
from tests.reader_bridge.acceptance.world import PurseCard
from tests.reader_bridge.till.support import Hand, deny, moving_clock, wait_for_stage


@pytest.mark.parametrize("tear", ["before", "after"])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_torn_plastic_is_paid_once(stall, tear, is_restarted):  # noqa: F811
    plastic, hand = PurseCard(), Hand()
    before_fen = plastic.balance_fen
    till = Till(stall.terminal, hand, moving_clock())
    till.start_sale("R1", 150)
    hand.present(plastic.shown(tear=tear))
    assert wait_for_stage(till, Stage.AGAIN).code == "debit_unknown"
    if is_restarted:
        till.close()
        till = Till(stall.terminal, hand, moving_clock())
        assert till.last_result("R1").state is ResultState.UNKNOWN
        assert till.start_sale("R1", 150).code == "show_same_card"
    hand.present(deny)
    hand.present(plastic.shown())
    screen = wait_for_stage(till, Stage.DONE)
    till.close()
    assert (screen.code, screen.balance) == ("paid", plastic.balance_fen)
    assert before_fen - plastic.balance_fen == 150


def test_a_balance_of_plastic(stall):  # noqa: F811
    plastic, hand = PurseCard(), Hand()
    with Till(stall.terminal, hand, moving_clock()) as till:
        till.balance("B1")
        hand.present(plastic.shown())
        screen = wait_for_stage(till, Stage.DONE)
    assert (screen.code, screen.balance) == ("balance_read", plastic.balance_fen)
    assert screen.amount_fen is None
