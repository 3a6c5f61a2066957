"""What becomes of a payment: captured, voided, expired, refunded, reversed; each at most once."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from backend.db import AnsweredBefore
from backend.kernel import DomainError, new_id
from backend.kernel.ids import IdInvalid
from backend.merchants import TerminalFacts
from backend.payments import PaymentUnknown
from backend.payments.model import (
    CaptureTooMuch,
    Owner,
    PaymentReversed,
    RefundExists,
    RefundPayment,
    RefundTooMuch,
)
from backend.payments.states import State, TransitionRefused
from backend.wallet import CeilingExceeded
from backend.wallet.ledger import AccountState
from tests.simulation.books import dump
from tests.simulation.money_world import Citizen, World, operation, owner_of

TOMORROW = date(2026, 11, 24)


def refund(
    world: World, owner: Owner, payment_id: str, fen: int, refund_id: str | None = None
) -> Any:
    wanted = RefundPayment(payment_id, refund_id or new_id("ref"), fen, "坏了")
    return world.sales.refund(wanted, owner, operation())


def capture(world: World, till: TerminalFacts, payment_id: str, fen: int | None = None) -> Any:
    return world.sales.capture(payment_id, fen, owner_of(till), operation())


def void(world: World, till: TerminalFacts, payment_id: str) -> Any:
    return world.sales.void(payment_id, owner_of(till), operation())


def reverse(world: World, till: TerminalFacts, payment_id: str) -> Any:
    return world.sales.reverse(payment_id, owner_of(till), operation())


def state_of(world: World, till: TerminalFacts, payment_id: str) -> Any:
    return world.sales.get(payment_id, owner_of(till))


def nothing_more_is_possible(
    world: World, till: TerminalFacts, payment_id: str, *, reversal: type[DomainError] | None
) -> None:
    """Every command on a payment that is over is refused and changes nothing."""
    before = dump(world.units)
    for refused in (
        lambda: capture(world, till, payment_id),
        lambda: void(world, till, payment_id),
    ):
        with pytest.raises(TransitionRefused):
            refused()
    with pytest.raises((TransitionRefused, RefundTooMuch)):
        refund(world, owner_of(till), payment_id, 1)
    if reversal:
        with pytest.raises(reversal):
            reverse(world, till, payment_id)
    else:
        assert reverse(world, till, payment_id).state == "reversed"
    assert dump(world.units) == before


# --- hold, capture, void, expiry --------------------------------------------------------------


@pytest.mark.parametrize("fen", [None, 4_000, 3_999, 1])
def test_a_hold_is_captured_once_and_the_rest_is_free(
    world: World, till: TerminalFacts, citizen: Citizen, fen: int | None
) -> None:
    held = world.tap_sale(till, citizen, 4_000, capture=False)
    assert (held.state, held.captured_fen, held.balance_fen) == (State.AUTHORISED, 0, 6_000)
    assert world.balance(citizen) == (10_000, 6_000)
    assert world.payable_fen(till.merchant_id) == 0
    done = capture(world, till, held.payment_id, fen)
    taken = fen or 4_000
    assert (done.state, done.captured_fen) == (State.CAPTURED, taken)
    assert done.balance_fen == 10_000 - taken
    assert world.balance(citizen) == (10_000 - taken, 10_000 - taken)
    assert world.payable_fen(till.merchant_id) == taken
    before = dump(world.units)
    for again in (
        lambda: capture(world, till, held.payment_id, 1),
        lambda: void(world, till, held.payment_id),
    ):
        with pytest.raises(TransitionRefused):
            again()
    assert dump(world.units) == before


def test_a_capture_cannot_exceed_its_hold(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    held = world.tap_sale(till, citizen, 4_000, capture=False)
    before = dump(world.units)
    with pytest.raises(CaptureTooMuch) as refusal:
        capture(world, till, held.payment_id, 4_001)
    assert refusal.value.data == {"amount_fen": 4_000}
    with pytest.raises(RefundTooMuch) as too_much:
        refund(world, owner_of(till), held.payment_id, 1)
    assert too_much.value.data == {"remaining_fen": 0}  # what was not captured is not refunded
    assert dump(world.units) == before


def test_a_void_gives_all_back(world: World, till: TerminalFacts, citizen: Citizen) -> None:
    held = world.tap_sale(till, citizen, 4_000, capture=False)
    voided = void(world, till, held.payment_id)
    assert (voided.state, voided.captured_fen, voided.balance_fen) == (State.VOIDED, 0, 10_000)
    assert world.balance(citizen) == (10_000, 10_000)
    nothing_more_is_possible(world, till, held.payment_id, reversal=TransitionRefused)


def test_a_hold_expires_after_a_week_and_only_then(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    held = world.tap_sale(till, citizen, 4_000, capture=False)
    kept = world.tap_sale(till, citizen, 1_000, capture=False)
    world.clock.advance(timedelta(days=7) - timedelta(seconds=1))
    world.worker.deliver_due()
    assert world.balance(citizen) == (10_000, 5_000)
    capture(world, till, kept.payment_id)
    world.clock.advance(timedelta(seconds=1))
    assert world.worker.deliver_due() == 2
    assert state_of(world, till, held.payment_id).state is State.VOIDED
    assert state_of(world, till, kept.payment_id).state is State.CAPTURED
    assert world.balance(citizen) == (9_000, 9_000)
    assert world.worker.parked() == 0
    nothing_more_is_possible(world, till, held.payment_id, reversal=TransitionRefused)


def test_a_capture_counts_for_the_day_it_is_made_on(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    """Goal: no transfer falls into a day that settlement has paid out already."""
    held = world.tap_sale(till, citizen, 4_000, capture=False)
    world.clock.advance(timedelta(days=1))
    done = capture(world, till, held.payment_id, 3_000)
    assert done.business_date == TOMORROW
    assert state_of(world, till, held.payment_id) == done
    assert world.payable_fen(till.merchant_id) == 3_000
    yesterday = world.statements.of_day(till.merchant_id, date(2026, 11, 23), limit=9, after=None)
    assert (yesterday.totals.net_fen, yesterday.data) == (0, [])
    reverse(world, till, held.payment_id)  # still the day of the capture
    assert world.balance(citizen) == (10_000, 10_000)
    assert world.payable_fen(till.merchant_id) == 0


def test_others_may_not_touch_a_payment(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    """Goal: a neighbour's terminal and another merchant hear what they hear of no payment."""
    held = world.tap_sale(till, citizen, 400, capture=False).payment_id
    paid = world.tap_sale(till, citizen, 400).payment_id
    neighbour = world.terminal(till.shop_id)
    stranger = world.terminal(world.shop(world.merchant("城西超市")))
    before = dump(world.units)
    for other in (neighbour, stranger):
        for payment_id in (held, paid, new_id("pay")):
            for command in (
                lambda one=payment_id, at=other: capture(world, at, one),
                lambda one=payment_id, at=other: void(world, at, one),
                lambda one=payment_id, at=other: refund(world, owner_of(at), one, 1),
            ):
                with pytest.raises(PaymentUnknown):
                    command()
        for payment_id in (held, paid):
            with pytest.raises(PaymentUnknown):
                reverse(world, other, payment_id)
    with pytest.raises(PaymentUnknown):
        refund(world, Owner(merchant_id=stranger.merchant_id), paid, 1)
    assert dump(world.units) == before
    assert refund(world, Owner(merchant_id=till.merchant_id), paid, 1).remaining_fen == 399


# --- refunds ------------------------------------------------------------------------------------


def test_refunds_in_parts_never_exceed_the_payment(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    paid = world.tap_sale(till, citizen, 1_000).payment_id
    for fen, remaining_fen, state in (
        (300, 700, State.PARTIALLY_REFUNDED),
        (699, 1, State.PARTIALLY_REFUNDED),
    ):
        assert refund(world, owner_of(till), paid, fen).remaining_fen == remaining_fen
        assert state_of(world, till, paid).state is state
    before = dump(world.units)
    for fen in (2, 1_000, 2**31 - 1):
        with pytest.raises(RefundTooMuch) as refusal:
            refund(world, owner_of(till), paid, fen)
        assert refusal.value.data == {"remaining_fen": 1}
    assert dump(world.units) == before
    refund(world, owner_of(till), paid, 1)
    assert state_of(world, till, paid).state is State.REFUNDED
    assert world.balance(citizen) == (10_000, 10_000)
    assert world.payable_fen(till.merchant_id) == 0
    nothing_more_is_possible(world, till, paid, reversal=TransitionRefused)


def test_a_refund_of_a_partial_capture_ends_at_what_was_captured(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    held = world.tap_sale(till, citizen, 4_000, capture=False).payment_id
    capture(world, till, held, 1_500)
    with pytest.raises(RefundTooMuch):
        refund(world, owner_of(till), held, 1_501)
    refund(world, owner_of(till), held, 1_500)
    assert world.balance(citizen) == (10_000, 10_000)


def test_a_refund_id_means_one_refund(world: World, till: TerminalFacts, citizen: Citizen) -> None:
    """Goal: asked again it is the first answer; for another sum or payment it is refused."""
    first, second = (world.tap_sale(till, citizen, 1_000).payment_id for _ in range(2))
    refund_id = new_id("ref")
    made = refund(world, owner_of(till), first, 400, refund_id)
    refund(world, owner_of(till), first, 100)
    before = dump(world.units)
    assert refund(world, owner_of(till), first, 400, refund_id) == made
    for payment_id, fen in ((first, 399), (second, 400)):
        with pytest.raises(RefundExists):
            refund(world, owner_of(till), payment_id, fen, refund_id)
    wanted = RefundPayment(first, refund_id, 400, "another reason")
    with pytest.raises(RefundExists):
        world.sales.refund(wanted, owner_of(till), operation())
    assert dump(world.units) == before
    refund(world, owner_of(till), first, 500)
    assert refund(world, owner_of(till), first, 400, refund_id) == made  # and when all is refunded
    assert world.balance(citizen) == (9_000, 9_000)


def test_a_refund_with_its_key_again_is_answered_again(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    paid = world.tap_sale(till, citizen, 1_000).payment_id
    wanted = RefundPayment(paid, new_id("ref"), 400, "")
    world.sales.refund(wanted, owner_of(till), operation("r"))
    with pytest.raises(AnsweredBefore):
        world.sales.refund(replace(wanted, refund_id=new_id("ref")), owner_of(till), operation("r"))
    assert world.balance(citizen) == (9_400, 9_400)


def test_a_refund_counts_for_its_own_day_and_may_make_it_negative(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    paid = world.tap_sale(till, citizen, 1_000).payment_id
    world.clock.advance(timedelta(days=1))
    made = refund(world, owner_of(till), paid, 1_000)
    assert made.business_date == TOMORROW
    assert world.payable_fen(till.merchant_id) == -1_000
    assert world.balance(citizen) == (10_000, 10_000)


def test_money_comes_home_above_the_ceiling_and_into_a_frozen_wallet(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    """Goal: a ceiling reached since the payment never keeps the citizen's own money out."""
    paid = world.tap_sale(till, citizen, 1_000).payment_id
    world.fund(citizen, 490_500)
    refund(world, owner_of(till), paid, 501)
    assert world.balance(citizen) == (500_001, 500_001)
    with pytest.raises(CeilingExceeded):  # a top-up is not money that comes home
        world.request_topup(citizen, 100)
    world.set_state(citizen.wallet_id, AccountState.FROZEN)
    refund(world, owner_of(till), paid, 499)
    assert world.balance(citizen) == (500_500, 500_500)


# --- reversals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("capture_now", [True, False])
def test_a_reversal_takes_all_back_once(
    world: World, till: TerminalFacts, citizen: Citizen, capture_now: bool
) -> None:
    sale = world.tap_sale(till, citizen, 4_000, capture=capture_now, counter=5)
    for _ in range(3):
        assert reverse(world, till, sale.payment_id).state == "reversed"
        assert world.balance(citizen) == (10_000, 10_000)
        assert world.payable_fen(till.merchant_id) == 0
    assert state_of(world, till, sale.payment_id).state is State.REVERSED
    late = world.tap_sale(till, citizen, 4_000, payment_id=sale.payment_id, counter=5)
    assert late.state is State.REVERSED  # the original again: it hears what became of it
    nothing_more_is_possible(world, till, sale.payment_id, reversal=None)


def test_a_reversal_that_comes_first_keeps_the_payment_out(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    payment_id = new_id("pay")
    assert reverse(world, till, payment_id).state == "reversed"
    before = dump(world.units)
    assert reverse(world, till, payment_id).state == "reversed"
    neighbour = world.terminal(till.shop_id)
    for _ in range(2):
        with pytest.raises(PaymentReversed):
            world.tap_sale(till, citizen, 4_000, payment_id=payment_id)
    with pytest.raises(PaymentReversed):
        world.tap_sale(neighbour, citizen, 4_000, payment_id=payment_id)
    with pytest.raises(PaymentUnknown):
        reverse(world, neighbour, payment_id)
    with pytest.raises(PaymentUnknown):
        state_of(world, till, payment_id)
    after = dump(world.units)
    assert {name for name in before if before[name] != after[name]} <= {
        "business.client",
        "business.terminal",
        "business.activation_code",
        "business.merchant_client",
    }
    assert world.balance(citizen) == (10_000, 10_000)


@pytest.mark.parametrize("refunded_fen", [1, 4_000])
def test_what_was_refunded_is_not_reversed(
    world: World, till: TerminalFacts, citizen: Citizen, refunded_fen: int
) -> None:
    paid = world.tap_sale(till, citizen, 4_000).payment_id
    refund(world, owner_of(till), paid, refunded_fen)
    before = dump(world.units)
    with pytest.raises(TransitionRefused):
        reverse(world, till, paid)
    assert dump(world.units) == before


def test_yesterdays_payment_is_refunded_not_reversed(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    paid = world.tap_sale(till, citizen, 4_000).payment_id
    held = world.tap_sale(till, citizen, 1_000, capture=False).payment_id
    world.clock.advance(timedelta(hours=14))  # midnight in Shanghai
    before = dump(world.units)
    with pytest.raises(TransitionRefused):
        reverse(world, till, paid)
    assert dump(world.units) == before
    reverse(world, till, held)  # a hold was never in anybody's day
    assert world.balance(citizen) == (6_000, 6_000)


def test_a_reversal_is_not_stopped_by_a_ceiling_reached_since(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    """Goal: a sale whose goods were never handed out cannot stay charged."""
    paid = world.tap_sale(till, citizen, 4_000).payment_id
    world.fund(citizen, 494_000)
    reverse(world, till, paid)
    assert world.balance(citizen) == (504_000, 504_000)


def test_a_reversal_of_what_was_never_an_id_writes_nothing(
    world: World, till: TerminalFacts
) -> None:
    for payment_id in ["", "x", "pay_\x00", "pay_" + "0" * 400, "ref_1", "支付"]:
        before = dump(world.units)
        with pytest.raises(IdInvalid):
            reverse(world, till, payment_id)
        assert dump(world.units) == before
