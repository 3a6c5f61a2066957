"""How a decided payment moves money: postings, payment row and once-only rows, in one work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from backend.db import Rows
from backend.kernel import business_date
from backend.payments import admission, records
from backend.payments.model import (
    HOLD_TTL,
    Method,
    Payer,
    Payment,
    PaymentUnknown,
    Refund,
    RefundPayment,
    Reversal,
    Sell,
)
from backend.payments.offline import records as offline_records
from backend.payments.states import Event as Change
from backend.payments.states import State, TransitionRefused, advance
from backend.wallet import (
    Account,
    AutoTopUps,
    Ledger,
    Transfer,
    capture_transfer,
    is_shut,
    open_case,
    operation_step,
    payable_account,
    payment_transfer,
    refund_to_suspense_transfer,
    refund_transfer,
    refund_with_loss_transfer,
    reversal_transfer,
    suspense_account,
)

HOLD_EXPIRES = "payment_hold_expires"


@dataclass(frozen=True, slots=True)
class Moves:
    """Each method is what follows when nothing speaks against it any more."""

    ledger: Ledger
    automatic: AutoTopUps | None = None

    def need_sale(
        self, rows: Rows, payer: Payer, merchant_id: str, method: Method, sale: Sell | None
    ) -> None:
        """Want what `settle` reads."""
        payable = payable_account(merchant_id, business_date(rows.now)).account_id
        self.ledger.need(
            rows, (payer.wallet_id, payable), counted=payer.wallet_id, counts=method.counts
        )
        records.want_unused(rows, payer, method, sale)
        if self.automatic is not None:
            self.automatic.need(rows, payer.wallet_id)

    def need_payment(self, rows: Rows, payment_id: str) -> bool:
        """Want a payment, then what its capture, refund or reversal reads."""
        records.want_payment(rows, payment_id)
        offline_records.want_loss(rows, payment_id)
        if self.ledger.need_hold(rows, payment_id):
            return True
        payment = records.find_payment(rows, payment_id)
        if payment is not None:
            if payment.bill_number:
                records.want_bill(rows, payment.shop_id, payment.bill_number)
            today = payable_account(payment.merchant_id, business_date(rows.now)).account_id
            wallet_id, counts = payment.wallet_id, payment.method.counts
            self.ledger.need(rows, (wallet_id, today), counted=wallet_id, counts=counts)
        return False

    def need_refund(self, rows: Rows, command: RefundPayment) -> bool:
        """Want a payment and what its refund reads."""
        records.want_refund(rows, command.refund_id, command.payment_id)
        self.ledger.need_id(rows, command.refund_id)
        return self.need_payment(rows, command.payment_id)

    def settle(self, rows: Rows, payment: Payment, payer: Payer, sale: Sell | None) -> Payment:
        """Check what may be used once, move the money, write it all down."""
        admission.check_unused(rows, payment, payer, sale)
        payable_id = self._open_payable(rows, payment.merchant_id, payment.business_date)
        transfer = payment_transfer(
            payment.payment_id,
            payment.wallet_id,
            payable_id,
            payment.amount_fen,
            payment.shop_name,
            checks=payment.method.checks,
        )
        is_captured = sale is None or sale.capture
        if is_captured:
            after = self.ledger.post(rows, transfer)
        else:
            after = self._hold(rows, payment, transfer)
        payment = replace(
            payment,
            state=State.CAPTURED if is_captured else State.AUTHORISED,
            captured_fen=payment.amount_fen if is_captured else 0,
            balance_fen=after[payment.wallet_id].available_fen,
        )
        if self.automatic is not None:
            self.automatic.after_spending(rows, payment.wallet_id, payment.payment_id)
        records.add_payment(rows, payment)
        admission.use_up(rows, payment, payer, sale)
        return payment

    def _hold(self, rows: Rows, payment: Payment, transfer: Transfer) -> dict[str, Account]:
        expires_at = rows.now + HOLD_TTL
        rows.tell(HOLD_EXPIRES, due_at=expires_at, payment_id=payment.payment_id)
        return self.ledger.hold(
            rows,
            payment.payment_id,
            transfer.legs[0],
            expires_at=expires_at,
            counts=transfer.counts,
        )

    def capture(self, rows: Rows, payment: Payment) -> Payment:
        """Post the hold to the merchant's day that is open now: that of the hold may be paid."""
        today = business_date(rows.now)
        payable_id = self._open_payable(rows, payment.merchant_id, today)
        transfer = capture_transfer(
            payment.payment_id,
            payment.wallet_id,
            payable_id,
            payment.captured_fen,
            payment.shop_name,
        )
        after = self.ledger.post_hold(rows, payment.payment_id, transfer)
        balance_fen = after[payment.wallet_id].available_fen
        captured = replace(payment, business_date=today, balance_fen=balance_fen)
        records.save_payment(rows, captured)
        return captured

    def refund(self, rows: Rows, payment: Payment, state: State, command: RefundPayment) -> Refund:
        """Give part or all back, at the cost of the merchant's day that is open now."""
        today = business_date(rows.now)
        payable_id = self._open_payable(rows, payment.merchant_id, today)
        transfer = self._back(
            rows,
            payment,
            refund_id=command.refund_id,
            payable_id=payable_id,
            amount_fen=command.amount_fen,
            reason=command.reason,
        )
        # The wallet's own money comes home: a ceiling reached since cannot keep it out.
        self.ledger.post(rows, transfer, with_ceilings=False)
        refunded_fen = payment.refunded_fen + command.amount_fen
        refunded = replace(payment, state=state, refunded_fen=refunded_fen)
        records.save_payment(rows, refunded)
        refund = Refund(
            refund_id=command.refund_id,
            payment_id=payment.payment_id,
            amount_fen=command.amount_fen,
            state="posted",
            business_date=today,
            created_at=rows.now,
            remaining_fen=refunded.refundable_fen,
        )
        records.add_refund(rows, refund, command.reason)
        return refund

    def reverse(self, rows: Rows, payment: Payment) -> None:
        """Take a payment back whole, the same day; its bill may be paid again."""
        state = advance(payment.state, Change.REVERSE)
        if payment.state is State.AUTHORISED:
            self.void(rows, payment, state)
            return
        if business_date(rows.now) != payment.business_date:
            # Yesterday's books are with settlement: what is left is an ordinary refund.
            raise TransitionRefused(state=payment.state.value, event=Change.REVERSE.value)
        transfer = self._taken_back(rows, payment)
        # A hold of yesterday, captured today, was counted yesterday.
        counted_on = business_date(payment.created_at)
        self.ledger.post(rows, transfer, checked=(), counted_on=counted_on)
        taken_back = replace(payment, state=state, refunded_fen=payment.captured_fen)
        records.save_payment(rows, taken_back)
        records.free_bill(rows, payment)

    def void(self, rows: Rows, payment: Payment, state: State) -> Payment:
        """Release the hold."""
        after = self.ledger.void_hold(rows, payment.payment_id)
        balance_fen = after[payment.wallet_id].available_fen
        voided = replace(payment, state=state, balance_fen=balance_fen)
        records.save_payment(rows, voided)
        records.free_bill(rows, voided)
        return voided

    def write_down_expiry(self, rows: Rows, payment: Payment) -> None:
        """The hold has run out: it counts no more since then, now the rows say so too."""
        account = self.ledger.find_account(rows, payment.wallet_id)
        balance_fen = payment.balance_fen if account is None else account.available_fen
        records.save_payment(rows, replace(payment, balance_fen=balance_fen))

    def _back(
        self,
        rows: Rows,
        payment: Payment,
        *,
        refund_id: str,
        payable_id: str,
        amount_fen: int,
        reason: str,
    ) -> Transfer:
        """A refund to its wallet; where that is closed, to a case that waits for its owner.

        What the issuer had borne of an offline sale goes back to the issuer first.
        """
        borne_fen = offline_records.loss_fen_of(rows, payment.payment_id)
        loss_fen = min(amount_fen, max(0, borne_fen - payment.refunded_fen))
        own_fen = amount_fen - loss_fen
        case_id = self._find_case(rows, payment, refund_id, own_fen, reason)
        home_id = suspense_account(case_id).account_id if case_id else payment.wallet_id
        if loss_fen:
            return refund_with_loss_transfer(
                refund_id,
                payment.payment_id,
                home_id=home_id,
                payable_id=payable_id,
                home_fen=own_fen,
                loss_fen=loss_fen,
                memo=payment.shop_name,
            )
        back: dict[str, Any] = {
            "payable_id": payable_id,
            "amount_fen": own_fen,
            "memo": payment.shop_name,
        }
        if case_id is None:
            return refund_transfer(refund_id, payment.payment_id, wallet_id=home_id, **back)
        return refund_to_suspense_transfer(refund_id, payment.payment_id, case_id=case_id, **back)

    def _find_case(
        self, rows: Rows, payment: Payment, refund_id: str, amount_fen: int, reason: str
    ) -> str | None:
        """A fresh case for what cannot go home, where the wallet is closed."""
        if not amount_fen or not is_shut(rows, self.ledger, payment.wallet_id):
            return None
        return open_case(
            rows,
            self.ledger,
            wallet_id=payment.wallet_id,
            person_id=payment.person_id,
            operation_id=refund_id,
            amount_fen=amount_fen,
            reason=reason or payment.shop_name,
        )

    def _taken_back(self, rows: Rows, payment: Payment) -> Transfer:
        """A reversal to its wallet; where that was closed since, to a case as a refund is."""
        payable_id = self._open_payable(rows, payment.merchant_id, payment.business_date)
        fen, memo = payment.captured_fen, payment.shop_name
        is_borne = offline_records.loss_fen_of(rows, payment.payment_id) > 0
        if not is_borne and not is_shut(rows, self.ledger, payment.wallet_id):
            checks = payment.method.checks
            return reversal_transfer(
                payment.payment_id, payment.wallet_id, payable_id, fen, memo, checks=checks
            )
        into_case = self._back(
            rows,
            payment,
            refund_id=operation_step(payment.payment_id, "reversal"),
            payable_id=payable_id,
            amount_fen=fen,
            reason="",
        )
        return replace(into_case, code="reversal")

    def _open_payable(self, rows: Rows, merchant_id: str, day: date) -> str:
        payable = payable_account(merchant_id, day)
        self.ledger.open_account(rows, payable)
        return payable.account_id


def reverse_unseen(rows: Rows, payment_id: str, terminal_id: str) -> Reversal:
    """Remember the reversal of a payment that never arrived: a late one finds it."""
    known = records.find_reversal(rows, payment_id)
    if known is None:
        records.add_reversal(rows, payment_id, terminal_id)
    elif known != terminal_id:
        raise PaymentUnknown
    return Reversal(payment_id)
