"""Whether a sale may go on: its proof is genuine, is for this sale, and was never used."""

from __future__ import annotations

from datetime import datetime

from backend.db import Work
from backend.merchants import TerminalFacts
from backend.payments import rows
from backend.payments.model import (
    BillPaid,
    Method,
    Payer,
    Payment,
    PaymentExists,
    PaymentReversed,
    PayMerchantCode,
    Refund,
    RefundExists,
    RefundPayment,
    Sell,
    Tap,
    TapMismatch,
    TerminalCounterSeen,
)
from backend.virtual_card import (
    ProofKind,
    TapVerifier,
    VerifiedProof,
    check_counter,
    check_key_uses,
    proof_seen,
)
from backend.wallet import Journal
from card_protocol.mobile_card import TransactionData, TransactionType

CURRENCY_CNY = 0x0156


def verify(verifier: TapVerifier, command: Sell, facts: TerminalFacts, now: datetime) -> Payer:
    """Who pays, as the proof says. Raises what the verifier refuses, and TapMismatch."""
    if isinstance(command.proof, Tap):
        tap = command.proof
        proof = verifier.verify_tap(tap.pdol_data, tap.gpo_response, now)
        _check_agreed(proof.transaction, command, facts)
    else:
        proof = verifier.verify_pay_code(command.proof.content, now)
    return _payer(proof)


def find_same(work: Work, command: Sell) -> Payment | None:
    """The payment this command made before. Raises PaymentExists, PaymentReversed."""
    payment = _find(work, command.payment_id)
    if payment is None:
        return None
    same = (payment.terminal_id, payment.amount_fen) == (command.terminal_id, command.amount_fen)
    counter_of = rows.find_terminal_sale(work, command.terminal_id, command.terminal_counter)
    if not same or counter_of != payment.payment_id:
        raise PaymentExists
    return payment


def find_same_link(work: Work, command: PayMerchantCode) -> Payment | None:
    """The payment this command made before. Raises PaymentExists, PaymentReversed."""
    payment = _find(work, command.payment_id)
    if payment is None:
        return None
    same = (payment.wallet_id, payment.amount_fen) == (command.wallet_id, command.amount_fen)
    if not same or payment.person_id != command.person_id:
        raise PaymentExists
    return payment


def find_same_refund(work: Work, command: RefundPayment) -> Refund | None:
    """The refund this command made before. Raises RefundExists."""
    known = rows.find_refund(work, command.refund_id, command.payment_id)
    if known is None:
        if Journal(work).is_posted(command.refund_id):  # of another payment
            raise RefundExists
        return None
    refund, reason = known
    if (refund.amount_fen, reason) != (command.amount_fen, command.reason):
        raise RefundExists
    return refund


def check_unused(work: Work, payment: Payment, payer: Payer, sale: Sell | None) -> None:
    """Every once-only thing of this payment is still unused.

    Raises TerminalCounterSeen, BillPaid, AtcSeen, PayCodeUsed, AtcOutOfWindow, KeyExhausted.
    """
    if sale and rows.find_terminal_sale(work, sale.terminal_id, sale.terminal_counter):
        raise TerminalCounterSeen
    if payment.bill_number and rows.find_paid_bill(work, payment.shop_id, payment.bill_number):
        raise BillPaid
    if payer.token_id is not None:
        _check_proof_unused(work, payment, payer)


def use_up(work: Work, payment: Payment, payer: Payer, sale: Sell | None) -> None:
    """Write down that they are used now."""
    if sale:
        rows.add_terminal_sale(work, sale.terminal_id, sale.terminal_counter, payment.payment_id)
    if payment.bill_number:
        rows.add_paid_bill(work, payment.shop_id, payment.bill_number, payment.payment_id)
    use_up_proof(work, payment, payer)


def use_up_proof(work: Work, payment: Payment, payer: Payer) -> None:
    """A tap or code that was shown is used, also when the wallet then said no (design A.3)."""
    if payer.token_id is not None:
        rows.add_proof_use(
            work,
            token_id=payer.token_id,
            kind=payment.method.value,
            counter=payer.counter,
            key_index=payer.key_index,
            payment_id=payment.payment_id,
        )


def _check_proof_unused(work: Work, payment: Payment, payer: Payer) -> None:
    token_id = str(payer.token_id)
    kind: ProofKind = "tap" if payment.method is Method.TAP else "pay_code"
    assert payer.counter is not None
    assert payer.key_index is not None
    assert payer.key_uses_max is not None
    if rows.is_proof_used(work, token_id, kind, payer.counter):
        raise proof_seen(kind)
    if kind == "tap":
        check_counter(payer.counter, rows.highest_atc(work, token_id))
        check_key_uses(rows.count_key_uses(work, token_id, payer.key_index), payer.key_uses_max)


def _check_agreed(agreed: TransactionData | None, command: Sell, facts: TerminalFacts) -> None:
    """What the card signed must be this sale at this terminal."""
    assert agreed is not None
    expected = (
        ("amount_fen", agreed.amount_fen, command.amount_fen),
        ("currency", agreed.currency, CURRENCY_CNY),
        ("transaction_type", agreed.transaction_type, TransactionType.PURCHASE),
        ("terminal_number", agreed.terminal_number, facts.terminal_number),
        ("merchant_number", agreed.merchant_number, facts.merchant_number),
    )
    for name, said, wanted in expected:
        if said != wanted:
            raise TapMismatch(field=name)


def _find(work: Work, payment_id: str) -> Payment | None:
    if rows.find_reversal(work, payment_id) is not None:
        raise PaymentReversed
    return rows.find_payment(work, payment_id)


def _payer(proof: VerifiedProof) -> Payer:
    return Payer(
        wallet_id=proof.wallet_id,
        person_id=proof.person_id,
        token_id=proof.token_id,
        token_number=proof.token_number,
        counter=proof.counter,
        key_index=proof.key_index,
        key_uses_max=proof.key_uses_max,
    )
