"""Many at once: money leaves a wallet once, and a wallet that closes takes nothing in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from life_world import OTHER_STAFF, STAFF, Life

from backend.kernel import DomainError, new_id
from backend.wallet.bank import ChargeState
from backend.wallet.bank.payouts import PayoutOutcome
from backend.wallet.life.model import AskCorrection, Closing
from backend.wallet.life.states import WalletState
from tests.simulation.money_world import operation


def together(attempts: list[Callable[[], object]]) -> list[object]:
    """What each was told: its answer, or the refusal."""

    def told(attempt: Callable[[], object]) -> object:
        try:
            return attempt()
        except DomainError as refusal:
            return refusal

    with ThreadPoolExecutor(len(attempts)) as pool:
        return list(pool.map(told, attempts))


def codes(answers: list[object]) -> Counter[str]:
    return Counter(getattr(one, "code", "done") for one in answers)


def test_redemptions_at_once_take_what_is_there_and_no_more(life: Life) -> None:
    citizen = life.rich(20_000)
    answers = together([lambda: life.redeem(citizen, 3_000)] * 10)
    assert codes(answers) == {"done": 6, "insufficient_funds": 4}
    life.bank_speaks()
    assert life.world.balance(citizen) == (2_000, 2_000)
    assert life.payouts.paid_out_fen() == 18_000


def test_one_order_asked_for_at_once_is_one_order(life: Life) -> None:
    citizen, redemption_id = life.rich(20_000), new_id("red")
    answers = together([lambda: life.redeem(citizen, 3_000, redemption_id=redemption_id)] * 8)
    assert len(set(map(repr, answers))) == 1
    assert life.world.balance(citizen) == (20_000, 17_000)


def test_a_closing_among_payments_and_top_ups(life: Life) -> None:
    """Whatever came first, the wallet that is shut holds nothing but the rest on its way out."""
    citizen = life.rich(20_000)
    others: list[Callable[[], object]] = [lambda: life.pay(citizen, 500)] * 4
    tops: list[Callable[[], object]] = [lambda: life.world.request_topup(citizen, 700)] * 2
    answers = together([*others, lambda: life.close(citizen), *tops])
    closing = answers[4]
    if isinstance(closing, Closing):
        assert closing.state is WalletState.CLOSING
        assert life.account(citizen.wallet_id).available_fen == 0
        assert codes(answers[5:]) == {"wallet_closed": 2}
        assert closing.redemption is not None
        paid = 4 - codes(answers[:4])["wallet_closed"]
        assert closing.redemption.amount_fen == 20_000 - 500 * paid
    else:  # a top-up was under way before
        assert codes([closing]) == {"wallet_busy": 1}
        assert codes(answers[:4]) == {"done": 4}


def test_the_banks_word_heard_by_many_settles_once(life: Life) -> None:
    citizen = life.rich(20_000)
    asked = life.redeem(citizen, 3_000)
    yes, no = (
        PayoutOutcome(one, "bnk", "x", 3_000) for one in (ChargeState.PAID, ChargeState.DECLINED)
    )
    words = [yes, no] * 4
    together([lambda one=one: life.redemptions.settle(asked.redemption_id, one) for one in words])  # type: ignore[misc]
    assert life.world.balance(citizen) in ((17_000, 17_000), (20_000, 20_000))


@pytest.mark.parametrize("requests", [1, 3])
def test_one_posting_is_corrected_once(life: Life, requests: int) -> None:
    citizen = life.world.citizen()
    topup_id = life.world.request_topup(citizen, 2_000).topup_id
    life.worker.deliver_due()
    life.world.fund(citizen, 3_000)
    asked = [
        life.corrections.ask(AskCorrection(STAFF, new_id("cor"), topup_id, "x"), operation())
        for _ in range(requests)
    ]
    answers = together(
        [
            lambda one=one: life.corrections.approve(one.correction_id, OTHER_STAFF, operation())  # type: ignore[misc]
            for one in asked * 3
        ]
    )
    assert codes(answers)["done"] == 1
    assert life.world.balance(citizen) == (3_000, 3_000)
