"""How a genuine offline sale moves money: who pays, who bears the rest, what is used up."""

from __future__ import annotations

from dataclasses import dataclass, replace

from backend.cards import PurseNotActive
from backend.db import Rows
from backend.kernel import business_date, yuan_text
from backend.merchants import TerminalFacts
from backend.payments import admission, records
from backend.payments.model import Method, Payer, Payment, masked
from backend.payments.offline.model import (
    OfflineSale,
    OfflineTerms,
    PurseProof,
    PurseSaleKept,
    PurseSaleSeen,
    PurseWord,
    Result,
    RideAmountTooHigh,
    SaleState,
    SaleTooOld,
    Split,
    refused,
    split_amount,
)
from backend.payments.offline.records import Taken
from backend.payments.purses import book, sams
from backend.payments.states import State
from backend.virtual_card import (
    AtcOutOfWindow,
    AtcSeen,
    PastProof,
    RideCodeUsed,
    TokenDeleted,
    TokenSuspended,
    check_key_uses,
)
from backend.wallet import (
    RIDE_DEBT,
    SPEND,
    AccountClosed,
    AccountFrozen,
    AccountState,
    InsufficientFunds,
    Ledger,
    epurse_float_account,
    epurse_purchase_borne_transfer,
    epurse_purchase_transfer,
    into_suspense_transfer,
    offline_sale_transfer,
    operation_step,
    payable_account,
    ride_debt_account,
    ride_debt_id,
)

WALLET_SAYS_NO = (
    InsufficientFunds,
    AccountFrozen,
    AccountClosed,
    TokenSuspended,
    TokenDeleted,
)
"""The proof shown is used up all the same, as online."""

METHODS = {"tap": Method.TAP, "ride_code": Method.RIDE_CODE}


@dataclass(frozen=True, slots=True)
class Taking:
    """What follows when a sale was seen for the first time."""

    ledger: Ledger
    terms: OfflineTerms

    def need(self, rows: Rows, judged: PastProof | PurseWord, terminal_id: str) -> None:
        """Want what `take` reads."""
        if isinstance(judged, PurseWord):
            proof = judged.proof
            sams.want(rows, proof.sam[0], terminal_id)
            book.want_purchase(rows, proof.purse_number, proof.purchase_counter, proof.sam)
            self.ledger.need(rows, (epurse_float_account(proof.purse_number).account_id,))
            return
        wallet_id = judged.wallet_id
        records.want_unused(rows, _payer(judged), METHODS[judged.kind], None)
        accounts = (wallet_id, ride_debt_id(wallet_id))
        self.ledger.need(rows, accounts, counted=wallet_id, counts=(SPEND,))

    def take(
        self,
        rows: Rows,
        sale: OfflineSale,
        judged: PastProof | PurseWord,
        facts: TerminalFacts,
        *,
        is_sam_vouched: bool = False,
    ) -> Taken:
        """Post the sale, or raise or answer what speaks against it.

        `is_sam_vouched`: a person says that the SAM may speak for this terminal.

        Raises SaleTooOld, TapMismatch, RideAmountTooHigh, ProofSeen, AtcOutOfWindow,
        KeyExhausted, PurseSaleSeen, PurseNotActive, PurseSamForeign.
        """
        if rows.now - judged.made_at > self.terms.age_max:
            raise SaleTooOld(days=self.terms.age_max.days)
        if isinstance(judged, PurseWord):
            self._check_purse(rows, judged, facts, is_sam_vouched=is_sam_vouched)
            return self._take_purse(rows, sale, judged, facts)
        return self._take_proof(rows, sale, judged, facts)

    # --- from a wallet --------------------------------------------------------------------------

    def _take_proof(
        self, rows: Rows, sale: OfflineSale, proof: PastProof, facts: TerminalFacts
    ) -> Taken:
        payer, method = _payer(proof), METHODS[proof.kind]
        _check_agreed(sale, proof, facts)
        _check_unused(rows, proof, payer, method)
        payment = _payment(rows, sale, payer, method, facts)
        try:
            split = self._split(rows, sale.amount_fen, proof)
        except WALLET_SAYS_NO as refusal:
            records.add_proof_use(rows, payer, method, sale.payment_id)
            return Taken(refused(sale.payment_id, refusal))
        balance_fen = self._post(rows, payment, split)
        payment = replace(payment, balance_fen=balance_fen)
        records.add_payment(rows, payment)
        records.add_proof_use(rows, payer, method, sale.payment_id)
        result = Result(sale.payment_id, SaleState.CAPTURED, balance_fen=balance_fen)
        return Taken(result, split, sale.payment_id)

    def _split(self, rows: Rows, amount_fen: int, proof: PastProof) -> Split:
        """Who pays. What the certificate allowed offline, the issuer answers for; above that the
        merchant is paid as online: when the card stands and the wallet has it all.

        Raises TokenSuspended, TokenDeleted, AccountClosed, AccountFrozen, InsufficientFunds.
        """
        is_answered_for = amount_fen <= proof.sale_max_fen
        borne = Split(0, 0, amount_fen)
        if proof.stop is not None:
            told = proof.made_at - proof.stop.since > self.terms.deny_grace
            if told or not is_answered_for:
                raise proof.stop.refusal
            if proof.stop.is_out_of_hand:
                return borne
        account = self.ledger.find_account(rows, proof.wallet_id)
        if account is None or account.state is not AccountState.OPEN:
            if is_answered_for:
                return borne
            is_frozen = account is not None and account.state is AccountState.FROZEN
            raise AccountFrozen if is_frozen else AccountClosed
        short_by_fen = amount_fen - account.available_fen
        if short_by_fen > 0 and not is_answered_for:
            raise InsufficientFunds(
                balance_fen=account.available_fen,
                balance_yuan=yuan_text(account.available_fen),
                short_by_fen=short_by_fen,
                short_by_yuan=yuan_text(short_by_fen),
            )
        room_fen = self._debt_room_fen(rows, proof.wallet_id) if short_by_fen > 0 else 0
        return split_amount(amount_fen, account.available_fen, room_fen)

    def _debt_room_fen(self, rows: Rows, wallet_id: str) -> int:
        """What the rider may still owe; without a figure nobody may owe."""
        limit = self.ledger.limits.ceiling(RIDE_DEBT, business_date(rows.now))
        if limit is None or limit.amount_max_fen is None:
            return 0
        owed = self.ledger.find_account(rows, ride_debt_id(wallet_id))
        return limit.amount_max_fen - (0 if owed is None else owed.balance_fen)

    def _post(self, rows: Rows, payment: Payment, split: Split) -> int | None:
        """The wallet's balance afterwards."""
        wallet_id = payment.wallet_id
        payable_id = self._open_payable(rows, payment.merchant_id)
        if split.debt_fen:
            self.ledger.open_account(rows, ride_debt_account(wallet_id))
        transfer = offline_sale_transfer(
            payment.payment_id,
            wallet_id,
            payable_id,
            wallet_fen=split.wallet_fen,
            debt_fen=split.debt_fen,
            loss_fen=split.loss_fen,
            memo=payment.shop_name,
            checks=payment.method.checks,
        )
        # The sale was made long ago: floors and ceilings have chosen the split, limits only count.
        self.ledger.post(rows, transfer, checked=())
        account = self.ledger.find_account(rows, wallet_id)
        return None if account is None else account.available_fen

    # --- from a purse ---------------------------------------------------------------------------

    def _check_purse(
        self, rows: Rows, word: PurseWord, facts: TerminalFacts, *, is_sam_vouched: bool
    ) -> None:
        """Raises PurseSaleSeen, PurseNotActive, PurseSamForeign."""
        proof, since = word.proof, word.stopped_since
        if book.is_proof_used(rows, proof.purse_number, proof.sam):
            raise PurseSaleSeen
        if since is not None and word.made_at - since > self.terms.deny_grace:
            raise PurseNotActive(state="suspended")
        if not is_sam_vouched:
            sams.check(rows, proof.sam[0], facts.terminal_id, word.made_at)

    def _take_purse(
        self, rows: Rows, sale: OfflineSale, word: PurseWord, facts: TerminalFacts
    ) -> Taken:
        proof, number, since = word.proof, word.proof.purse_number, word.stopped_since
        is_counter_used = book.is_counter_used(rows, number, proof.purchase_counter)
        book.use_proof(rows, number, proof.sam, sale.payment_id)
        counter, chip_fen = proof.purchase_counter, proof.balance_after_fen
        book.see_chip(rows, self.ledger, number, chip_fen, word.made_at, purchase_counter=counter)
        if sale.amount_fen and (is_counter_used or not word.is_known):
            reason = "counter_used" if is_counter_used else "purse_unknown"
            return self._keep(rows, sale, proof, facts, reason)
        if not is_counter_used:
            book.add_purchase(
                rows,
                number,
                counter,
                payment_id=sale.payment_id,
                amount_fen=sale.amount_fen,
                balance_after_fen=chip_fen,
                made_at=word.made_at,
            )
        result = Result(sale.payment_id, SaleState.CAPTURED, balance_fen=chip_fen)
        if not sale.amount_fen:  # an entry gate: nothing to pay
            return Taken(result)
        make = epurse_purchase_transfer if since is None else epurse_purchase_borne_transfer
        payable_id = self._open_payable(rows, facts.merchant_id)
        transfer = make(number, counter, payable_id, sale.amount_fen, facts.shop_name)
        self.ledger.post(rows, transfer, checked=())
        loss_fen = 0 if since is None else sale.amount_fen
        return Taken(result, Split(0, 0, loss_fen), transfer.operation_id)

    def _keep(
        self, rows: Rows, sale: OfflineSale, proof: PurseProof, facts: TerminalFacts, reason: str
    ) -> Taken:
        """Value that left a chip, and nobody knows whose: it waits under a case."""
        case_id = book.open_case(
            rows,
            self.ledger,
            payment_id=sale.payment_id,
            purse_number=proof.purse_number,
            merchant_id=facts.merchant_id,
            shop_name=facts.shop_name,
            amount_fen=sale.amount_fen,
            reason=reason,
        )
        transfer = into_suspense_transfer(
            operation_step(sale.payment_id, "suspense"),
            case_id,
            epurse_float_account(proof.purse_number).account_id,
            sale.amount_fen,
            facts.shop_name,
        )
        self.ledger.post(rows, transfer, checked=())
        result = refused(sale.payment_id, PurseSaleKept())
        return Taken(result, operation_id=transfer.operation_id, case_id=case_id)

    def _open_payable(self, rows: Rows, merchant_id: str) -> str:
        payable = payable_account(merchant_id, business_date(rows.now))
        self.ledger.open_account(rows, payable)
        return payable.account_id


def _check_agreed(sale: OfflineSale, proof: PastProof, facts: TerminalFacts) -> None:
    """Raises TapMismatch, RideAmountTooHigh."""
    if proof.kind == "tap":
        admission.check_agreed(proof.transaction, sale.amount_fen, facts)
    elif sale.amount_fen > proof.sale_max_fen:
        raise RideAmountTooHigh(limit_fen=proof.sale_max_fen)


def _check_unused(rows: Rows, proof: PastProof, payer: Payer, method: Method) -> None:
    """Gaps and any order are normal here. Raises AtcSeen, RideCodeUsed, AtcOutOfWindow,
    KeyExhausted."""
    if records.is_proof_used(rows, payer, method):
        raise AtcSeen if proof.kind == "tap" else RideCodeUsed
    if proof.counter < 1:
        raise AtcOutOfWindow
    if proof.key_uses_max is not None:
        check_key_uses(records.count_key_uses(rows, payer), proof.key_uses_max)


def _payer(proof: PastProof) -> Payer:
    return Payer(
        proof.wallet_id,
        proof.person_id,
        token_id=proof.token_id,
        token_number=proof.token_number,
        counter=proof.counter,
        key_index=proof.key_index,
        key_uses_max=proof.key_uses_max,
    )


def _payment(
    rows: Rows, sale: OfflineSale, payer: Payer, method: Method, facts: TerminalFacts
) -> Payment:
    return Payment(
        payment_id=sale.payment_id,
        state=State.CAPTURED,
        amount_fen=sale.amount_fen,
        captured_fen=sale.amount_fen,
        refunded_fen=0,
        method=method,
        merchant_id=facts.merchant_id,
        merchant_name=facts.merchant_name,
        shop_id=facts.shop_id,
        shop_name=facts.shop_name,
        terminal_id=facts.terminal_id,
        terminal_number=facts.terminal_number,
        wallet_id=payer.wallet_id,
        person_id=payer.person_id,
        token_number_masked=masked(payer.token_number),
        balance_fen=None,
        business_date=business_date(rows.now),
        created_at=rows.now,
        bill_number=None,
        register_reference=None,
    )
