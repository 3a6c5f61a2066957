"""Redemption (赎回) and closing (销户): held, ordered from the bank, settled once by its word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from backend.db import Decide, Event, Operation, Rows, Units, Which
from backend.kernel import ANY_AMOUNT, AmountRange, business_date, is_id
from backend.wallet.accounts import CHANNEL_BANK
from backend.wallet.bank import BankUnreachable, ChargeState
from backend.wallet.bank.patience import wait_for_word
from backend.wallet.bank.payouts import PayoutBank, PayoutOutcome
from backend.wallet.ledger import (
    Account,
    AccountClosed,
    AccountFrozen,
    AccountState,
    Ledger,
)
from backend.wallet.life import orders, standing
from backend.wallet.life.debts import RideDebts
from backend.wallet.life.errors import BankCardNeeded, RedemptionUnknown, WalletBusy
from backend.wallet.life.model import (
    CloseWallet,
    Closing,
    Redeem,
    Redemption,
    RedemptionKind,
    RedemptionTerms,
)
from backend.wallet.life.orders import Draft, Orders
from backend.wallet.life.states import CaseState, RedemptionState, WalletEvent, WalletState
from backend.wallet.life.tables import suspense_case, wallet_life
from backend.wallet.model import WalletUnknown
from backend.wallet.tables import wallet, wallet_owner

log = structlog.get_logger(__name__)

T = TypeVar("T")

BY_THE_BANK = "bank"  # who decided a closing: its word on the order


class BankPaidOtherwise(Exception):
    """It paid another amount than ordered: nothing is posted, a person must look into it."""


@dataclass(frozen=True, slots=True)
class Redemptions:
    """Each method is one command; `instruct` and `settle` bear being called twice.

    holder_name: the real name of a person; the bank pays to an account of that very name only.
    """

    units: Units
    ledger: Ledger
    orders: Orders
    debts: RideDebts
    bank: PayoutBank
    terms: RedemptionTerms
    holder_name: Callable[[str], str]
    amounts: AmountRange = ANY_AMOUNT

    # --- commands of the owner ------------------------------------------------------------------

    def redeem(self, command: Redeem, operation: Operation) -> Redemption:
        """Hold an amount and order it to the owner's bank card; a ride that is owed is paid first.

        The id decides: the same order asked for again is one order. Raises WalletUnknown,
        RedemptionExists, BankCardInvalid, RedemptionTooEarly, RedemptionNotAllowed, RideDebtOpen,
        InsufficientFunds, AccountFrozen, AccountClosed.
        """
        draft = Draft(
            command.redemption_id,
            RedemptionKind.REDEMPTION,
            command.wallet_id,
            command.person_id,
            command.amount_fen,
            command.bank_card,
        )

        def decide(rows: Rows) -> Redemption:
            self.amounts.check(command.amount_fen)
            owned, account = self._owned(rows, command.wallet_id, command.person_id)
            if known := orders.find_same(rows, draft):
                return known
            _check_open(account)
            self._check_terms(rows, owned, account)
            self.debts.take(rows, command.redemption_id, command.wallet_id)
            return self.orders.place(rows, draft)

        return self._decide(command.redemption_id, command.wallet_id, decide, operation)

    def close(self, command: CloseWallet, operation: Operation) -> Closing:
        """Close a wallet: what is owed is paid, the rest is paid out, then it is closed for ever.

        With a rest it is `closing` until the bank has spoken. Raises WalletUnknown, WalletBusy,
        BankCardNeeded, RedemptionExists, AccountFrozen, AccountClosed and what `redeem` refuses.
        """

        def decide(rows: Rows) -> Closing:
            owned, account = self._owned(rows, command.wallet_id, command.person_id)
            draft = _draft(command, account.available_fen)
            if known := orders.find_same(rows, draft, any_amount=True):
                return Closing(command.wallet_id, standing.current(rows, account), known)
            _check_open(account)
            if account.outgoing_fen or account.incoming_fen:
                raise WalletBusy(
                    outgoing_fen=account.outgoing_fen, incoming_fen=account.incoming_fen
                )
            self.debts.take(rows, command.redemption_id, command.wallet_id)
            return self._close(rows, owned, command)

        def needs_owner(rows: Rows) -> None:
            rows.want(wallet_owner, command.person_id)

        return self._decide(
            command.redemption_id, command.wallet_id, decide, operation, needs_owner
        )

    def get(self, redemption_id: str, person_id: str) -> Redemption:
        """The person's redemption. Raises RedemptionUnknown."""
        with self.units.read(Which.LEDGER) as work:
            row = orders.find(work.rows, redemption_id)
        if row is None or row["person_id"] != person_id:
            raise RedemptionUnknown
        return orders.redemption_of(row)

    # --- the bank -------------------------------------------------------------------------------

    def instruct(self, event: Event) -> None:
        """Outbox: order the money, or ask what became of it; until the bank has spoken.

        Raises BankSilent after three days: the outbox then parks the event for a person.
        """
        redemption_id = str(event.payload["redemption_id"])
        with self.units.read(Which.LEDGER) as work:
            row = orders.find(work.rows, redemption_id)
        if row is None or row["state"] != RedemptionState.PROCESSING.value:
            return
        age_seconds = (self.units.clock.now() - row["created_at"]).total_seconds()
        try:
            outcome = self._ask_bank(row)
        except BankUnreachable:
            outcome = PayoutOutcome(ChargeState.PROCESSING)
        if outcome.state not in (ChargeState.PAID, ChargeState.DECLINED):
            wait_for_word(redemption_id, age_seconds)
        self.settle(redemption_id, outcome)

    def settle(self, redemption_id: str, outcome: PayoutOutcome) -> None:
        """Post or release the hold, once: a redemption that is settled stays as it is.

        Raises BankPaidOtherwise.
        """
        if outcome.state not in (ChargeState.PAID, ChargeState.DECLINED):
            return

        def needs(rows: Rows) -> bool:
            orders.want(rows, redemption_id)
            if self.ledger.need_hold(rows, redemption_id):
                return True
            row = orders.find(rows, redemption_id)
            if row is not None:
                rows.want(wallet_life, row["wallet_id"])
                rows.want(wallet_owner, row["person_id"])
                if row["case_id"] is not None:
                    rows.want(suspense_case, row["case_id"])
            return False

        def decide(rows: Rows) -> None:
            row = orders.find(rows, redemption_id)
            if row is None:
                log.warning("bank_word_for_unknown_redemption")
            elif row["state"] != RedemptionState.PROCESSING.value:
                _compare(row, outcome)
            else:
                _check_amount(row, outcome)
                self._follow(rows, row, is_paid=self.orders.settle(rows, row, outcome))

        self.units.decide(Which.LEDGER, Decide(needs, decide))

    # --- inside ---------------------------------------------------------------------------------

    def _decide(
        self,
        redemption_id: str,
        wallet_id: str,
        decide: Callable[[Rows], T],
        operation: Operation,
        more: Callable[[Rows], None] = lambda rows: None,
    ) -> T:
        if not is_id(wallet_id, "wal"):  # bytes no column would take
            raise WalletUnknown

        def needs(rows: Rows) -> bool:
            orders.want(rows, redemption_id)
            rows.want(wallet, wallet_id)
            standing.need(rows, self.ledger, wallet_id)
            self.ledger.need(rows, (CHANNEL_BANK,))
            self.debts.need(rows, wallet_id)
            more(rows)
            return False

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def _owned(
        self, rows: Rows, wallet_id: str, person_id: str
    ) -> tuple[Mapping[str, Any], Account]:
        row = rows.find(wallet, wallet_id)
        account = self.ledger.find_account(rows, wallet_id)
        if row is None or account is None or row["person_id"] != person_id:
            raise WalletUnknown
        return row, account

    def _check_terms(self, rows: Rows, owned: Mapping[str, Any], account: Account) -> None:
        self.terms.check(
            owned["account_class"],
            business_date(owned["opened_at"]),
            account.balance_fen,
            business_date(rows.now),
        )

    def _close(self, rows: Rows, owned: Mapping[str, Any], command: CloseWallet) -> Closing:
        wallet_id = command.wallet_id
        _row, account = self._owned(rows, wallet_id, command.person_id)
        placed = None
        if account.available_fen:
            self._check_terms(rows, owned, account)
            if command.bank_card is None:
                raise BankCardNeeded(rest_fen=account.available_fen)
            placed = self.orders.place(rows, _draft(command, account.available_fen))
        self._change(rows, wallet_id, WalletEvent.BEGIN_CLOSING, command.person_id)
        if placed is not None:
            return Closing(wallet_id, WalletState.CLOSING, placed)
        self._end(rows, wallet_id, command.person_id, command.person_id)
        return Closing(wallet_id, WalletState.CLOSED, None)

    def _follow(self, rows: Rows, row: Mapping[str, Any], *, is_paid: bool) -> None:
        """What else the bank's word decides: the closing of a wallet, the end of a case."""
        kind = RedemptionKind(row["kind"])
        if kind is RedemptionKind.CLOSING:
            if is_paid:
                self._end(rows, row["wallet_id"], row["person_id"], BY_THE_BANK)
            else:
                self._change(rows, row["wallet_id"], WalletEvent.GIVE_UP, BY_THE_BANK)
        elif kind is RedemptionKind.CASE:
            state = CaseState.PAID if is_paid else CaseState.OPEN
            rows.change(suspense_case, (row["case_id"],), state=state.value)

    def _end(self, rows: Rows, wallet_id: str, person_id: str, changed_by: str) -> None:
        """Closed; its owner may open another."""
        self._change(rows, wallet_id, WalletEvent.CLOSE, changed_by)
        owner = rows.find(wallet_owner, person_id)
        if owner is not None and owner["wallet_id"] == wallet_id:
            rows.remove(wallet_owner, person_id)

    def _change(self, rows: Rows, wallet_id: str, event: WalletEvent, changed_by: str) -> None:
        standing.change(rows, self.ledger, wallet_id, event, changed_by=changed_by)

    def _ask_bank(self, row: Mapping[str, Any]) -> PayoutOutcome:
        """Ask first, then order: an order is never lost, and its id keeps it from doubling."""
        redemption_id = row["redemption_id"]
        outcome = self.bank.query(redemption_id)
        if outcome.state is not ChargeState.UNKNOWN:
            return outcome
        name = self.holder_name(row["person_id"])
        return self.bank.pay_out(redemption_id, self.orders.bank_card(row), name, row["amount_fen"])


def _draft(command: CloseWallet, rest_fen: int) -> Draft:
    return Draft(
        command.redemption_id,
        RedemptionKind.CLOSING,
        command.wallet_id,
        command.person_id,
        rest_fen,
        command.bank_card or "",
    )


def _check_open(account: Account) -> None:
    """Raises AccountClosed, AccountFrozen."""
    if account.state is AccountState.CLOSED:
        raise AccountClosed
    if account.state is AccountState.FROZEN:
        raise AccountFrozen


def _check_amount(row: Mapping[str, Any], outcome: PayoutOutcome) -> None:
    """Raises BankPaidOtherwise."""
    if outcome.state is ChargeState.PAID and outcome.amount_fen != row["amount_fen"]:
        log.error("bank_paid_otherwise", redemption_id=row["redemption_id"])
        raise BankPaidOtherwise(row["redemption_id"])


def _compare(row: Mapping[str, Any], outcome: PayoutOutcome) -> None:
    """A second word that contradicts the first is a matter for the operator."""
    paid = outcome.state is ChargeState.PAID
    said = RedemptionState.SUCCEEDED if paid else RedemptionState.FAILED
    if row["state"] != said.value:
        log.error("bank_contradicts_itself", redemption_id=row["redemption_id"], first=row["state"])
