"""Redemption: held first, paid once by the bank's word, given back when it says no."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from life_world import (
    DECLINES,
    LATE,
    LATE_DECLINE,
    PAYS,
    TERMS,
    UNREACHABLE,
    Life,
)
from sqlalchemy import select

from backend.db import METADATA, AnsweredBefore, OutboxWorker, Which
from backend.kernel import AmountOutOfRange, business_date, new_id
from backend.wallet import AccountFrozen, InsufficientFunds, WalletUnknown
from backend.wallet.accounts import CHANNEL_BANK, CUSTODY
from backend.wallet.bank import ChargeState
from backend.wallet.bank.patience import BankSilent
from backend.wallet.bank.payouts import PayoutOutcome
from backend.wallet.ledger import AccountState
from backend.wallet.life import REQUESTED
from backend.wallet.life.errors import (
    RedemptionExists,
    RedemptionNotAllowed,
    RedemptionTooEarly,
    RedemptionUnknown,
)
from backend.wallet.life.model import Redeem
from backend.wallet.life.service import BankPaidOtherwise
from backend.wallet.life.states import RedemptionState
from backend.wallet.topups.model import BankCardInvalid
from tests.simulation.books import dump
from tests.simulation.money_world import BANK_CARD, operation


@pytest.mark.parametrize(
    ("fen", "failure_code"),
    [
        (PAYS, None),
        (LATE, None),
        (UNREACHABLE, None),
        (DECLINES, "bank_account_closed"),
        (LATE_DECLINE, "bank_name_differs"),
    ],
)
def test_every_manner_of_the_bank(life: Life, fen: int, failure_code: str | None) -> None:
    citizen = life.rich()
    asked = life.redeem(citizen, fen)
    assert (asked.state, asked.bank_card_masked) == (
        RedemptionState.PROCESSING,
        f"····{BANK_CARD[-4:]}",
    )
    assert life.world.balance(citizen) == (20_000, 20_000 - fen)  # held before any order
    life.bank_speaks()
    done = life.redemptions.get(asked.redemption_id, citizen.person_id)
    left = 20_000 if failure_code else 20_000 - fen
    assert life.world.balance(citizen) == (left, left)
    assert done.failure_code == failure_code
    assert done.state is (RedemptionState.FAILED if failure_code else RedemptionState.SUCCEEDED)
    assert (done.ask_again_at, done.settled_at is not None) == (None, True)
    assert set(life.asked_names) == {citizen.person_id}
    before = dump(life.world.units)
    for state in (ChargeState.PAID, ChargeState.DECLINED):  # its word again, and another
        life.redemptions.settle(asked.redemption_id, PayoutOutcome(state, "bnk", "x", fen))
    life.bank_speaks()
    assert dump(life.world.units) == before
    assert life.payouts.paid_out_fen() == (0 if failure_code else fen)


def test_the_history_shows_the_card_end_and_the_proof_holds(life: Life) -> None:
    citizen = life.rich()
    life.redeem(citizen, PAYS)
    life.bank_speaks()
    lines, _ = life.world.wallets.lines(citizen.wallet_id, citizen.person_id, limit=1, after=None)
    assert [(one.code, one.amount_fen, one.counterparty) for one in lines] == [
        ("redemption", -PAYS, f"····{BANK_CARD[-4:]}")
    ]
    paid_on = business_date(life.world.clock.now())
    topped_up_on = business_date(life.world.clock.now() - timedelta(days=100))
    life.world.proof.match_custody(topped_up_on, operation())
    assert not life.proof.prove().custody_equals_owed
    first = life.matches.match(paid_on, operation())
    assert (first.matched, first.amount_fen, first.unmatched) == (1, PAYS, [])
    assert life.matches.match(paid_on, operation()).matched == 0  # safe to repeat
    assert life.proof.prove().custody_equals_owed
    assert (life.account(CUSTODY).balance_fen, life.account(CHANNEL_BANK).balance_fen) == (
        20_000 - PAYS,
        0,
    )


def test_a_line_the_bank_invented_is_named_and_not_booked(life: Life) -> None:
    foreign = new_id("red")
    life.payouts.pay_out(foreign, BANK_CARD, "某人", PAYS)
    before = dump(life.world.units)
    match = life.matches.match(business_date(life.world.clock.now()), operation())
    assert (match.matched, match.unmatched) == (0, [foreign])
    assert dump(life.world.units) == before


def test_held_money_cannot_be_spent_nor_redeemed_twice(life: Life) -> None:
    citizen = life.rich()
    life.redeem(citizen, 15_000)
    with pytest.raises(InsufficientFunds):
        life.redeem(citizen, 5_100)
    with pytest.raises(InsufficientFunds):
        life.pay(citizen, 5_100)


def test_a_worker_killed_between_order_and_settling_is_repaired_by_asking(life: Life) -> None:
    citizen = life.rich()
    asked = life.redeem(citizen, PAYS)
    life.payouts.pay_out(asked.redemption_id, BANK_CARD, "林晓岚", PAYS)  # ordered, then killed
    life.bank_speaks()
    assert life.world.balance(citizen) == (20_000 - PAYS, 20_000 - PAYS)
    assert life.payouts.paid_out_fen() == PAYS  # not ordered twice


def test_days_without_a_word_are_a_matter_for_a_person(life: Life) -> None:
    class Silent:
        def query(self, order_id: str) -> PayoutOutcome:
            return PayoutOutcome(ChargeState.PROCESSING)

    citizen = life.rich()
    life.redeem(citizen, PAYS)
    silent = replace(life.redemptions, bank=Silent())
    worker = OutboxWorker(life.world.units, {REQUESTED: silent.instruct})
    worker.deliver_due()
    assert life.world.balance(citizen) == (20_000, 20_000 - PAYS)
    life.world.clock.advance(timedelta(days=4))
    worker.deliver_due()
    outbox = METADATA[Which.LEDGER].tables["outbox"].c
    with life.world.units.read(Which.LEDGER) as work:
        failure = select(outbox.failure).where(outbox.topic == REQUESTED)
        assert work.execute(failure).scalar_one() == BankSilent.__name__


def test_another_amount_than_ordered_is_not_posted(life: Life) -> None:
    citizen = life.rich()
    asked = life.redeem(citizen, PAYS)
    before = dump(life.world.units)
    outcome = PayoutOutcome(ChargeState.PAID, "bnk", amount_fen=PAYS + 1)
    with pytest.raises(BankPaidOtherwise):
        life.redemptions.settle(asked.redemption_id, outcome)
    assert dump(life.world.units) == before
    with pytest.raises(ValueError, match="how much"):
        PayoutOutcome(ChargeState.PAID, "bnk")


def test_three_months_and_the_day_decide(life: Life) -> None:
    citizen = life.world.citizen(20_000)  # opened 2026-11-23 in Shanghai
    with pytest.raises(RedemptionTooEarly) as refusal:
        life.redeem(citizen, PAYS)
    assert refusal.value.data == {"first_day": "2027-02-23"}
    assert refusal.value.article == TERMS.article
    life.world.clock.advance(timedelta(days=92) - timedelta(hours=10, seconds=1))
    with pytest.raises(RedemptionTooEarly):  # 23:59:59 of the day before
        life.redeem(citizen, PAYS)
    life.world.clock.advance(timedelta(seconds=1))
    assert life.redeem(citizen, PAYS).state is RedemptionState.PROCESSING


@pytest.mark.parametrize(
    ("opened", "first"),
    [
        (date(2026, 11, 30), date(2027, 2, 28)),
        (date(2027, 11, 30), date(2028, 2, 29)),
        (date(2026, 9, 30), date(2026, 12, 30)),
        (date(2026, 10, 1), date(2027, 1, 1)),
        (date(2026, 12, 31), date(2027, 3, 31)),
    ],
)
def test_months_are_calendar_months(opened: date, first: date) -> None:
    assert TERMS.first_day(opened) == first


@pytest.mark.parametrize(("balance_fen", "is_allowed"), [(9_999, True), (10_000, False)])
def test_an_unregistered_wallet_only_below_the_figure(balance_fen: int, is_allowed: bool) -> None:
    today = date(2026, 11, 23)
    if is_allowed:
        TERMS.check("unregistered", today, balance_fen, today)
    else:
        with pytest.raises(RedemptionNotAllowed) as refusal:
            TERMS.check("unregistered", today, balance_fen, today)
        assert refusal.value.article == TERMS.unregistered_article


def test_refusals_change_nothing(life: Life) -> None:
    citizen, other = life.rich(), life.rich()
    before = dump(life.world.units)
    wanted = Redeem(citizen.person_id, new_id("red"), citizen.wallet_id, PAYS, BANK_CARD)
    for refusal, changed in [
        (WalletUnknown, replace(wanted, wallet_id=other.wallet_id)),
        (WalletUnknown, replace(wanted, wallet_id="wal_x' OR 1=1")),
        (BankCardInvalid, replace(wanted, bank_card=BANK_CARD[:-1] + "0")),
        (InsufficientFunds, replace(wanted, amount_fen=20_001)),
        (AmountOutOfRange, replace(wanted, amount_fen=2**40)),
    ]:
        with pytest.raises(refusal):
            life.redemptions.redeem(changed, operation())
    with pytest.raises(RedemptionUnknown):
        life.redemptions.get(wanted.redemption_id, citizen.person_id)
    assert dump(life.world.units) == before
    life.world.set_state(citizen.wallet_id, AccountState.FROZEN)
    with pytest.raises(AccountFrozen):
        life.redemptions.redeem(wanted, operation())


def test_the_id_decides(life: Life) -> None:
    citizen, other = life.rich(), life.rich()
    redemption_id = new_id("red")
    asked = life.redeem(citizen, PAYS, redemption_id=redemption_id, key="k")
    with pytest.raises(AnsweredBefore):
        life.redeem(citizen, PAYS, redemption_id=redemption_id, key="k")
    assert life.redeem(citizen, PAYS, redemption_id=redemption_id) == asked
    for who, fen in ((citizen, PAYS + 1), (other, PAYS)):
        with pytest.raises(RedemptionExists):
            life.redeem(who, fen, redemption_id=redemption_id)
    assert life.world.balance(citizen) == (20_000, 20_000 - PAYS)
    with pytest.raises(RedemptionUnknown):
        life.redemptions.get(redemption_id, other.person_id)


def test_the_card_number_is_sealed_and_not_printed(life: Life) -> None:
    citizen = life.rich()
    life.redeem(citizen, PAYS)
    assert BANK_CARD not in repr(dump(life.world.units))
    wanted = Redeem(citizen.person_id, new_id("red"), citizen.wallet_id, PAYS, BANK_CARD)
    assert BANK_CARD not in repr(wanted)
