"""How a decided payment moves money: postings, payment row and once-only rows, in one work."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from backend.db import Work
from backend.payments import admission, rows
from backend.payments.model import (
    Payer,
    Payment,
    PaymentUnknown,
    Refund,
    RefundPayment,
    Reversal,
    Sell,
)
from backend.payments.states import Event as Change
from backend.payments.states import State, TransitionRefused, advance
from backend.wallet import (
    Journal,
    payable_account,
    payment_transfer,
    refund_transfer,
    reversal_transfer,
)

HOLD_TTL = timedelta(days=7)
HOLD_EXPIRES = "payment_hold_expires"


def settle(work: Work, payment: Payment, payer: Payer, sale: Sell | None) -> Payment:
    """Lock both accounts, check what may be used once, move the money, write it all down."""
    journal = Journal(work)
    payable = payable_account(payment.merchant_id, payment.business_date)
    journal.open_account(payable)
    # Everybody who spends from this wallet queues here: the checks below see what is true.
    journal.accounts((payment.wallet_id, payable.account_id))
    admission.check_unused(work, payment, payer, sale)
    transfer = payment_transfer(
        payment.payment_id,
        payment.wallet_id,
        payable.account_id,
        payment.amount_fen,
        payment.shop_name,
    )
    if sale is None or sale.capture:
        after = journal.post(transfer)
        payment = replace(payment, state=State.CAPTURED, captured_fen=payment.amount_fen)
    else:
        expires_at = work.now + HOLD_TTL
        after = journal.hold(payment.payment_id, transfer.legs[0], expires_at)
        work.tell(HOLD_EXPIRES, due_at=expires_at, payment_id=payment.payment_id)
    payment = replace(payment, balance_fen=after[payment.wallet_id].available_fen)
    rows.add_payment(work, payment)
    admission.use_up(work, payment, payer, sale)
    return payment


def capture(work: Work, payment: Payment) -> Payment:
    """Post the hold to the merchant's day that is open now: that of the hold may be paid out."""
    journal = Journal(work)
    payable = payable_account(payment.merchant_id, journal.day())
    journal.open_account(payable)
    transfer = payment_transfer(
        payment.payment_id,
        payment.wallet_id,
        payable.account_id,
        payment.captured_fen,
        payment.shop_name,
    )
    after = journal.post_hold(payment.payment_id, transfer)
    balance_fen = after[payment.wallet_id].available_fen
    return replace(payment, business_date=journal.day(), balance_fen=balance_fen)


def refund(work: Work, payment: Payment, state: State, command: RefundPayment) -> Refund:
    """Give part or all back, at the cost of the merchant's day that is open now."""
    journal = Journal(work)
    payable = payable_account(payment.merchant_id, journal.day())
    journal.open_account(payable)
    journal.post(
        refund_transfer(
            command.refund_id,
            payment.payment_id,
            wallet_id=payment.wallet_id,
            payable_id=payable.account_id,
            amount_fen=command.amount_fen,
            memo=payment.shop_name,
        )
    )
    refunded = replace(payment, state=state, refunded_fen=payment.refunded_fen + command.amount_fen)
    rows.save_payment(work, refunded)
    refund = Refund(
        refund_id=command.refund_id,
        payment_id=payment.payment_id,
        amount_fen=command.amount_fen,
        state="posted",
        business_date=journal.day(),
        created_at=work.now,
        remaining_fen=refunded.refundable_fen,
    )
    rows.add_refund(work, refund, command.reason)
    return refund


def reverse(work: Work, payment: Payment) -> None:
    """Take a payment back whole, the same day; its bill may be paid again."""
    state = advance(payment.state, Change.REVERSE)
    if payment.state is State.AUTHORISED:
        void(work, payment, state)
        return
    journal = Journal(work)
    if journal.day() != payment.business_date:
        # Yesterday's books are with settlement: what is left is an ordinary refund.
        raise TransitionRefused(state=payment.state.value, event=Change.REVERSE.value)
    payable = payable_account(payment.merchant_id, payment.business_date)
    journal.post(
        reversal_transfer(
            payment.payment_id,
            payment.wallet_id,
            payable.account_id,
            payment.captured_fen,
            payment.shop_name,
        ),
        # The wallet's own money comes home: a ceiling reached since the sale cannot keep it out.
        checked=(),
    )
    taken_back = replace(payment, state=state, refunded_fen=payment.captured_fen)
    rows.save_payment(work, taken_back)
    rows.free_bill(work, payment.payment_id, payment.shop_id, payment.bill_number)


def reverse_unseen(work: Work, payment_id: str, terminal_id: str) -> Reversal:
    """Remember the reversal of a payment that never arrived: a late one finds it."""
    known = rows.find_reversal(work, payment_id)
    if known is None:
        rows.add_reversal(work, payment_id, terminal_id)
    elif known != terminal_id:
        raise PaymentUnknown
    return Reversal(payment_id)


def void(work: Work, payment: Payment, state: State) -> Payment:
    """Release the hold."""
    after = Journal(work).void_hold(payment.payment_id)
    balance_fen = after[payment.wallet_id].available_fen
    voided = replace(payment, state=state, balance_fen=balance_fen)
    rows.save_payment(work, voided)
    return voided
