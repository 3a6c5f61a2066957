"""Payments: each method is one command; state, posting, event and answer commit together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from backend.db import Decide, Event, Operation, Rows, Units, Which
from backend.kernel import ANY_AMOUNT, AmountRange, DomainError, business_date, check_id
from backend.merchants import MerchantCodeRead, MerchantCodes, Merchants, TerminalFacts
from backend.payments import admission, records
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
from backend.payments.moves import Moves, reverse_unseen
from backend.payments.offline import records as offline_records
from backend.payments.states import Event as Change
from backend.payments.states import State, advance
from backend.virtual_card import PayCodeAltered, PayCodeUnknown, TapVerifier
from backend.wallet import (
    AccountClosed,
    AccountFrozen,
    AutoTopUps,
    InsufficientFunds,
    Ledger,
    LimitExceeded,
    Wallets,
)

T = TypeVar("T")

# What the wallet itself says no to: the proof shown is used up all the same.
WALLET_REFUSALS = (InsufficientFunds, LimitExceeded, AccountFrozen, AccountClosed)


@dataclass(frozen=True, slots=True)
class Payments:
    """Commands and questions of terminals, merchants and citizens."""

    units: Units
    ledger: Ledger
    verifier: TapVerifier
    merchants: Merchants
    merchant_codes: MerchantCodes
    wallets: Wallets
    amounts: AmountRange = ANY_AMOUNT
    guesses: GuessLimit = field(default_factory=GuessLimit)
    automatic: AutoTopUps | None = None
    moves: Moves = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "moves", Moves(self.ledger, self.automatic))

    def sell(self, command: Sell, operation: Operation) -> Payment:
        """A tap or a pay code at a terminal: hold the amount, and post it when `capture`.

        Raises what terminal, proof, counters and ledger refuse; see `backend.payments.model`,
        `backend.virtual_card` and `backend.wallet.ledger.model`.
        """
        facts = self.merchants.vouch_for_terminal(command.terminal_id)
        payer = _attempt(lambda: self.verify(command, facts, is_dry_run=operation.is_dry_run))
        payee = Payee(
            facts.merchant_id,
            facts.merchant_name,
            facts.shop_id,
            facts.shop_name,
            facts.terminal_id,
            facts.terminal_number,
        )

        method = Method.TAP if isinstance(command.proof, Tap) else Method.PAY_CODE

        def needs(rows: Rows) -> bool:
            records.want_payment(rows, command.payment_id)
            if isinstance(payer, Payer):
                self.moves.need_sale(rows, payer, facts.merchant_id, method, command)
            return False

        def decide(rows: Rows) -> Payment | DomainError:
            if known := admission.find_same(rows, command):
                return known
            self.amounts.check(command.amount_fen)
            found = _out(payer)
            payment = _draft(rows, command, method, payee, found)
            payment = replace(payment, register_reference=command.register_reference)
            mark = rows.mark()
            try:
                return self.moves.settle(rows, payment, found, command)
            except WALLET_REFUSALS as refusal:
                rows.undo(mark)
                admission.use_up_proof(rows, payment, found)
                return refusal

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def pay_merchant_code(self, command: PayMerchantCode, operation: Operation) -> Payment:
        """A citizen pays what a merchant code asks for.

        Raises what `MerchantCodes.read` refuses, AmountMismatch, BillPaid, WalletUnknown and
        what the ledger refuses.
        """
        asked = _attempt(lambda: self.merchant_codes.read(command.merchant_code))
        payer = Payer(command.wallet_id, command.person_id)

        def needs(rows: Rows) -> bool:
            records.want_payment(rows, command.payment_id)
            self.wallets.want(rows, payer.wallet_id)
            if isinstance(asked, DomainError):
                return False
            self.moves.need_sale(rows, payer, asked.merchant.merchant_id, _method(asked), None)
            if asked.bill_number:
                records.want_bill(rows, asked.shop.shop_id, asked.bill_number)
            return False

        def decide(rows: Rows) -> Payment:
            if known := admission.find_same_link(rows, command):
                return known
            self.amounts.check(command.amount_fen)
            code = _out(asked)
            self.wallets.check_owner(rows, payer.wallet_id, payer.person_id)
            if code.amount_fen not in (None, command.amount_fen):
                raise AmountMismatch(expected_fen=code.amount_fen)
            merchant, shop = code.merchant, code.shop
            payee = Payee(
                merchant.merchant_id, merchant.name, shop.shop_id, shop.name, code.terminal_id, None
            )
            payment = _draft(rows, command, _method(code), payee, payer)
            if code.bill_number is not None:
                payment = replace(payment, bill_number=code.bill_number)
            return self.moves.settle(rows, payment, payer, None)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def _require_active(self, owner: Owner) -> None:
        """A terminal that was suspended a moment ago may not go on with its last token."""
        if owner.terminal_id is not None:
            self.merchants.vouch_for_terminal(owner.terminal_id)

    def capture(
        self, payment_id: str, amount_fen: int | None, owner: Owner, operation: Operation
    ) -> Payment:
        """Post an authorised payment, whole or in part; the rest of the hold is released."""
        self._require_active(owner)

        def decide(rows: Rows) -> Payment:
            payment = _get_owned(rows, payment_id, owner)
            state = advance(payment.state, Change.CAPTURE)
            wanted = payment.amount_fen if amount_fen is None else amount_fen
            if wanted > payment.amount_fen:
                raise CaptureTooMuch(amount_fen=payment.amount_fen)
            return self.moves.capture(rows, replace(payment, state=state, captured_fen=wanted))

        return self._decide_about(payment_id, decide, operation)

    def void(self, payment_id: str, owner: Owner, operation: Operation) -> Payment:
        """Release an authorised payment."""
        self._require_active(owner)

        def decide(rows: Rows) -> Payment:
            payment = _get_owned(rows, payment_id, owner)
            return self.moves.void(rows, payment, advance(payment.state, Change.VOID))

        return self._decide_about(payment_id, decide, operation)

    def refund(self, command: RefundPayment, owner: Owner, operation: Operation) -> Refund:
        """Give part or all back. Raises RefundTooMuch, RefundExists, TransitionRefused."""
        self._require_active(owner)

        def decide(rows: Rows) -> Refund:
            payment = _get_owned(rows, command.payment_id, owner)
            if known := admission.find_same_refund(rows, self.ledger, command):
                return known
            state = advance(payment.state, payment.refund_event(command.amount_fen))
            return self.moves.refund(rows, payment, state, command)

        needs = partial(self.moves.need_refund, command=command)
        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def reverse(self, payment_id: str, owner: Owner, operation: Operation) -> Reversal:
        """Take a payment back whose outcome was lost; if it never arrived, it never will.

        Raises IdInvalid, PaymentUnknown, TransitionRefused.
        """
        check_id(payment_id, "pay")
        self._require_active(owner)

        def decide(rows: Rows) -> Reversal:
            payment = records.find_payment(rows, payment_id)
            if payment is None:
                if offline_records.has_moved(
                    rows, payment_id
                ):  # a purse's: no wallet to go back to
                    raise PaymentUnknown
                return reverse_unseen(rows, payment_id, str(owner.terminal_id))
            if not _is_owner(payment, owner):
                raise PaymentUnknown
            if payment.state is not State.REVERSED:
                self.moves.reverse(rows, payment)
            return Reversal(payment_id)

        return self._decide_about(payment_id, decide, operation)

    def get(self, payment_id: str, owner: Owner) -> Payment:
        """The terminal's or merchant's payment. Raises PaymentUnknown."""
        with self.units.read(Which.LEDGER) as work:
            payment = records.find_payment(work.rows, payment_id)
        if payment is None or not _is_owner(payment, owner):
            raise PaymentUnknown
        return payment

    def get_mine(self, payment_id: str, person_id: str) -> Payment:
        """The citizen's payment. Raises PaymentUnknown."""
        with self.units.read(Which.LEDGER) as work:
            payment = records.find_payment(work.rows, payment_id)
        if payment is None or payment.person_id != person_id:
            raise PaymentUnknown
        return payment

    def find_by_bill(self, bill_number: str, shop_id: str) -> list[Payment]:
        """The payment that paid a bill of this shop, if any."""
        with self.units.read(Which.LEDGER) as work:
            payment_id = records.find_paid_bill(work.rows, shop_id, bill_number)
            payment = records.find_payment(work.rows, payment_id) if payment_id else None
        return [payment] if payment else []

    def expire_hold(self, event: Event) -> None:
        """Outbox: write down that a payment was authorised and never captured."""
        payment_id = str(event.payload["payment_id"])

        def decide(rows: Rows) -> None:
            payment = records.find_payment(rows, payment_id)
            if payment is not None and payment.state is State.VOIDED:
                self.moves.write_down_expiry(rows, payment)

        self._decide_about(payment_id, decide, None)

    def _decide_about(
        self, payment_id: str, decide: Callable[[Rows], T], operation: Operation | None
    ) -> T:
        def needs(rows: Rows) -> bool:
            return self.moves.need_payment(rows, payment_id)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def verify(self, command: Sell, facts: TerminalFacts, *, is_dry_run: bool) -> Payer:
        """Who pays, unless this terminal has been guessing. Raises as `TapVerifier`."""
        if isinstance(command.proof, PayCodeShown):
            self.guesses.check(command.terminal_id)
        try:
            now = self.units.clock.now()
            return admission.verify(self.verifier, command, facts, now, is_dry_run=is_dry_run)
        except (PayCodeAltered, PayCodeUnknown):
            self.guesses.count(command.terminal_id)
            raise


def _draft(
    rows: Rows, command: Sell | PayMerchantCode, method: Method, payee: Payee, payer: Payer
) -> Payment:
    return Payment(
        payment_id=command.payment_id,
        state=State.AUTHORISED,
        amount_fen=command.amount_fen,
        captured_fen=0,
        refunded_fen=0,
        method=method,
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
        business_date=business_date(rows.now),
        created_at=rows.now,
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


def _method(code: MerchantCodeRead) -> Method:
    return Method.STATIC_CODE if code.amount_fen is None else Method.MERCHANT_CODE


def _get_owned(rows: Rows, payment_id: str, owner: Owner) -> Payment:
    payment = records.find_payment(rows, payment_id)
    if payment is None or not _is_owner(payment, owner):
        raise PaymentUnknown
    return payment


def _is_owner(payment: Payment, owner: Owner) -> bool:
    if owner.terminal_id is not None:
        return payment.terminal_id == owner.terminal_id
    return payment.merchant_id == owner.merchant_id
