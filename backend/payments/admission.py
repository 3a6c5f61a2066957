"""Whether a sale may go on: its proof is genuine, is for this sale, and was never used."""

from __future__ import annotations

from datetime import datetime

from backend.db import Rows
from backend.merchants import TerminalFacts
from backend.payments import records
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
from backend.wallet import Ledger
from card_protocol.mobile_card import TransactionData, TransactionType

CURRENCY_CNY = 0x0156


def verify(
    verifier: TapVerifier,
    command: Sell,
    facts: TerminalFacts,
    now: datetime,
    *,
    is_dry_run: bool = False,
) -> Payer:
    """Who pays, as the proof says. Raises what the verifier refuses, and TapMismatch."""
    if isinstance(command.proof, Tap):
        tap = command.proof
        proof = verifier.verify_tap(tap.pdol_data, tap.gpo_response, now, is_dry_run=is_dry_run)
        check_agreed(proof.transaction, command.amount_fen, facts)
    else:
        proof = verifier.verify_pay_code(command.proof.content, now)
    return _payer(proof)


def find_same(rows: Rows, command: Sell) -> Payment | None:
    """The payment this command made before. Raises PaymentExists, PaymentReversed."""
    payment = _find(rows, command.payment_id)
    if payment is None:
        return None
    same = (payment.terminal_id, payment.amount_fen) == (command.terminal_id, command.amount_fen)
    counter_of = records.find_terminal_sale(rows, command.terminal_id, command.terminal_counter)
    if not same or counter_of != payment.payment_id:
        raise PaymentExists
    return payment


def find_same_link(rows: Rows, command: PayMerchantCode) -> Payment | None:
    """The payment this command made before. Raises PaymentExists, PaymentReversed."""
    payment = _find(rows, command.payment_id)
    if payment is None:
        return None
    same = (payment.wallet_id, payment.amount_fen) == (command.wallet_id, command.amount_fen)
    if not same or payment.person_id != command.person_id:
        raise PaymentExists
    return payment


def find_same_refund(rows: Rows, ledger: Ledger, command: RefundPayment) -> Refund | None:
    """The refund this command made before. Raises RefundExists."""
    known = records.find_refund(rows, command.refund_id, command.payment_id)
    if known is None:
        if ledger.is_posted(rows, command.refund_id):  # of another payment
            raise RefundExists
        return None
    refund, reason = known
    if (refund.amount_fen, reason) != (command.amount_fen, command.reason):
        raise RefundExists
    return refund


def check_unused(rows: Rows, payment: Payment, payer: Payer, sale: Sell | None) -> None:
    """Every once-only thing of this payment is still unused.

    Raises TerminalCounterSeen, BillPaid, AtcSeen, PayCodeUsed, AtcOutOfWindow, KeyExhausted.
    """
    if sale and records.find_terminal_sale(rows, sale.terminal_id, sale.terminal_counter):
        raise TerminalCounterSeen
    if payment.bill_number and records.find_paid_bill(rows, payment.shop_id, payment.bill_number):
        raise BillPaid
    if payer.token_id is not None:
        check_proof_unused(rows, payer, payment.method)


def use_up(rows: Rows, payment: Payment, payer: Payer, sale: Sell | None) -> None:
    """Write down that they are used now."""
    if sale:
        records.add_terminal_sale(rows, sale.terminal_id, sale.terminal_counter, payment.payment_id)
    if payment.bill_number:
        records.add_paid_bill(rows, payment.shop_id, payment.bill_number, payment.payment_id)
    use_up_proof(rows, payment, payer)


def use_up_proof(rows: Rows, payment: Payment, payer: Payer) -> None:
    """A tap or code that was shown is used, also when the wallet then said no (design A.3)."""
    if payer.token_id is not None:
        records.add_proof_use(rows, payer, payment.method, payment.payment_id)


def check_proof_unused(rows: Rows, payer: Payer, method: Method) -> None:
    """Raises AtcSeen, PayCodeUsed, AtcOutOfWindow, KeyExhausted."""
    token_id = str(payer.token_id)
    kind: ProofKind = "tap" if method is Method.TAP else "pay_code"
    assert payer.counter is not None
    assert payer.key_index is not None
    assert payer.key_uses_max is not None
    if records.is_proof_used(rows, payer, method):
        raise proof_seen(kind)
    if kind == "tap":
        check_counter(payer.counter, records.highest_atc(rows, token_id))
        check_key_uses(records.count_key_uses(rows, payer), payer.key_uses_max)


def check_agreed(agreed: TransactionData | None, amount_fen: int, facts: TerminalFacts) -> None:
    """What the card signed must be this sale at this terminal. Raises TapMismatch."""
    assert agreed is not None
    expected = (
        ("amount_fen", agreed.amount_fen, amount_fen),
        ("currency", agreed.currency, CURRENCY_CNY),
        ("transaction_type", agreed.transaction_type, TransactionType.PURCHASE),
        ("terminal_number", agreed.terminal_number, facts.terminal_number),
        ("merchant_number", agreed.merchant_number, facts.merchant_number),
    )
    for name, said, wanted in expected:
        if said != wanted:
            raise TapMismatch(field=name)


def _find(rows: Rows, payment_id: str) -> Payment | None:
    if records.find_reversal(rows, payment_id) is not None:
        raise PaymentReversed
    return records.find_payment(rows, payment_id)


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
