"""Payments: each method is one command; state, posting, event and answer commit together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from backend.db import Event, Operation, Units, Which, Work
from backend.kernel import ANY_AMOUNT, AmountRange, DomainError, check_id
from backend.merchants import MerchantCodes, Merchants, TerminalFacts
from backend.payments import admission, moves, rows
from backend.payments.guessing import GuessLimit
from backend.payments.model import (
    AmountMismatch,
    CaptureTooMuch,
    Method,
    Owner,
    PayCodeShown,
    Payee,
    Payer,
    Payment,
    PaymentUnknown,
    PayMerchantCode,
    Refund,
    RefundPayment,
    Reversal,
    Sell,
    Tap,
    masked,
)
from backend.payments.states import Event as Change
from backend.payments.states import State, advance
from backend.virtual_card import PayCodeAltered, PayCodeUnknown, TapVerifier
from backend.wallet import (
    AccountClosed,
    AccountFrozen,
    InsufficientFunds,
    Journal,
    Wallets,
)

T = TypeVar("T")

# What the wallet itself says no to: the proof shown is used up all the same.
WALLET_REFUSALS = (InsufficientFunds, AccountFrozen, AccountClosed)


@dataclass(frozen=True, slots=True)
class Payments:
    """Commands and questions of terminals, merchants and citizens."""

    units: Units
    verifier: TapVerifier
    merchants: Merchants
    merchant_codes: MerchantCodes
    wallets: Wallets
    amounts: AmountRange = ANY_AMOUNT
    guesses: GuessLimit = field(default_factory=GuessLimit)

    def sell(self, command: Sell, operation: Operation) -> Payment:
        """A tap or a pay code at a terminal: hold the amount, and post it when `capture`.

        Raises what terminal, proof, counters and ledger refuse; see `backend.payments.model`,
        `backend.virtual_card` and `backend.wallet.ledger.model`.
        """
        facts = self.merchants.vouch_for_terminal(command.terminal_id)
        payer = _attempt(lambda: self._verify(command, facts))
        payee = Payee(
            facts.merchant_id,
            facts.merchant_name,
            facts.shop_id,
            facts.shop_name,
            facts.terminal_id,
            facts.terminal_number,
        )

        def decide(work: Work) -> Payment | DomainError:
            rows.lock_id(work, command.payment_id)
            if known := admission.find_same(work, command):
                return known
            self.amounts.check(command.amount_fen)
            payment = self._draft(work, command.payment_id, command.amount_fen, payee, _out(payer))
            payment = replace(
                payment,
                method=Method.TAP if isinstance(command.proof, Tap) else Method.PAY_CODE,
                register_reference=command.register_reference,
            )
            try:
                return moves.settle(work, payment, _out(payer), command)
            except WALLET_REFUSALS as refusal:
                admission.use_up_proof(work, payment, _out(payer))
                return refusal

        return self.units.once(Which.LEDGER, operation, decide)

    def pay_merchant_code(self, command: PayMerchantCode, operation: Operation) -> Payment:
        """A citizen pays what a merchant code asks for.

        Raises what `MerchantCodes.read` refuses, AmountMismatch, BillPaid, WalletUnknown and
        what the ledger refuses.
        """
        asked = _attempt(lambda: self.merchant_codes.read(command.merchant_code))
        wallet = _attempt(lambda: self.wallets.get(command.wallet_id, command.person_id))

        def decide(work: Work) -> Payment:
            rows.lock_id(work, command.payment_id)
            if known := admission.find_same_link(work, command):
                return known
            self.amounts.check(command.amount_fen)
            code, payer = _out(asked), Payer(_out(wallet).wallet_id, command.person_id)
            if code.amount_fen not in (None, command.amount_fen):
                raise AmountMismatch(expected_fen=code.amount_fen)
            merchant, shop = code.merchant, code.shop
            payee = Payee(
                merchant.merchant_id, merchant.name, shop.shop_id, shop.name, code.terminal_id, None
            )
            payment = self._draft(work, command.payment_id, command.amount_fen, payee, payer)
            payment = replace(payment, method=Method.MERCHANT_CODE, bill_number=code.bill_number)
            return moves.settle(work, payment, payer, None)

        return self.units.once(Which.LEDGER, operation, decide)

    def _require_active(self, owner: Owner) -> None:
        """A terminal that was suspended a moment ago may not go on with its last token."""
        if owner.terminal_id is not None:
            self.merchants.vouch_for_terminal(owner.terminal_id)

    def capture(
        self, payment_id: str, amount_fen: int | None, owner: Owner, operation: Operation
    ) -> Payment:
        """Post an authorised payment, whole or in part; the rest of the hold is released."""
        self._require_active(owner)

        def decide(work: Work) -> Payment:
            payment = _get_owned(work, payment_id, owner)
            state = advance(payment.state, Change.CAPTURE)
            wanted = payment.amount_fen if amount_fen is None else amount_fen
            if wanted > payment.amount_fen:
                raise CaptureTooMuch(amount_fen=payment.amount_fen)
            captured = moves.capture(work, replace(payment, state=state, captured_fen=wanted))
            rows.save_payment(work, captured)
            return captured

        return self.units.once(Which.LEDGER, operation, decide)

    def void(self, payment_id: str, owner: Owner, operation: Operation) -> Payment:
        """Release an authorised payment."""
        self._require_active(owner)

        def decide(work: Work) -> Payment:
            payment = _get_owned(work, payment_id, owner)
            return moves.void(work, payment, advance(payment.state, Change.VOID))

        return self.units.once(Which.LEDGER, operation, decide)

    def refund(self, command: RefundPayment, owner: Owner, operation: Operation) -> Refund:
        """Give part or all back. Raises RefundTooMuch, RefundExists, TransitionRefused."""
        self._require_active(owner)

        def decide(work: Work) -> Refund:
            payment = _get_owned(work, command.payment_id, owner)
            if known := admission.find_same_refund(work, command):
                return known
            state = advance(payment.state, payment.refund_event(command.amount_fen))
            return moves.refund(work, payment, state, command)

        return self.units.once(Which.LEDGER, operation, decide)

    def reverse(self, payment_id: str, owner: Owner, operation: Operation) -> Reversal:
        """Take a payment back whose outcome was lost; if it never arrived, it never will.

        Raises IdInvalid, PaymentUnknown, TransitionRefused.
        """
        check_id(payment_id, "pay")
        self._require_active(owner)

        def decide(work: Work) -> Reversal:
            rows.lock_id(work, payment_id)
            payment = rows.find_payment(work, payment_id, locked=True)
            if payment is None:
                return moves.reverse_unseen(work, payment_id, str(owner.terminal_id))
            if not _is_owner(payment, owner):
                raise PaymentUnknown
            if payment.state is not State.REVERSED:
                moves.reverse(work, payment)
            return Reversal(payment_id)

        return self.units.once(Which.LEDGER, operation, decide)

    def get(self, payment_id: str, owner: Owner) -> Payment:
        """The terminal's or merchant's payment. Raises PaymentUnknown."""
        with self.units.read(Which.LEDGER) as work:
            payment = rows.find_payment(work, payment_id)
        if payment is None or not _is_owner(payment, owner):
            raise PaymentUnknown
        return payment

    def get_mine(self, payment_id: str, person_id: str) -> Payment:
        """The citizen's payment. Raises PaymentUnknown."""
        with self.units.read(Which.LEDGER) as work:
            payment = rows.find_payment(work, payment_id)
        if payment is None or payment.person_id != person_id:
            raise PaymentUnknown
        return payment

    def find_by_bill(self, bill_number: str, shop_id: str) -> list[Payment]:
        """The payment that paid a bill of this shop, if any."""
        with self.units.read(Which.LEDGER) as work:
            payment_id = rows.find_paid_bill(work, shop_id, bill_number)
            payment = rows.find_payment(work, payment_id) if payment_id else None
        return [payment] if payment else []

    def expire_hold(self, event: Event) -> None:
        """Outbox: void a payment that was authorised and never captured."""
        with self.units.write(Which.LEDGER) as work:
            payment = rows.find_payment(work, str(event.payload["payment_id"]), locked=True)
            if payment is not None and payment.state is State.AUTHORISED:
                moves.void(work, payment, advance(payment.state, Change.VOID))

    def _verify(self, command: Sell, facts: TerminalFacts) -> Payer:
        """Who pays, unless this terminal has been guessing."""
        if isinstance(command.proof, PayCodeShown):
            self.guesses.check(command.terminal_id)
        try:
            return admission.verify(self.verifier, command, facts, self.units.clock.now())
        except (PayCodeAltered, PayCodeUnknown):
            self.guesses.count(command.terminal_id)
            raise

    def _draft(
        self, work: Work, payment_id: str, amount_fen: int, payee: Payee, payer: Payer
    ) -> Payment:
        return Payment(
            payment_id=payment_id,
            state=State.AUTHORISED,
            amount_fen=amount_fen,
            captured_fen=0,
            refunded_fen=0,
            method=Method.TAP,
            merchant_id=payee.merchant_id,
            merchant_name=payee.merchant_name,
            shop_id=payee.shop_id,
            shop_name=payee.shop_name,
            terminal_id=payee.terminal_id,
            terminal_number=payee.terminal_number,
            wallet_id=payer.wallet_id,
            person_id=payer.person_id,
            token_number_masked=masked(payer.token_number),
            balance_fen=None,
            business_date=Journal(work).day(),
            created_at=work.now,
            bill_number=None,
            register_reference=None,
        )


def _attempt(ask: Callable[[], T]) -> T | DomainError:
    """Ask before the transaction; a refusal waits until the operation's id was looked up."""
    try:
        return ask()
    except DomainError as refusal:
        return refusal


def _out(outcome: T | DomainError) -> T:
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


def _get_owned(work: Work, payment_id: str, owner: Owner) -> Payment:
    payment = rows.find_payment(work, payment_id, locked=True)
    if payment is None or not _is_owner(payment, owner):
        raise PaymentUnknown
    return payment


def _is_owner(payment: Payment, owner: Owner) -> bool:
    if owner.terminal_id is not None:
        return payment.terminal_id == owner.terminal_id
    return payment.merchant_id == owner.merchant_id
