"""Automatic top-up: a wallet that runs low asks for money, once for each payment that made it so.

What is asked for is an ordinary top-up from a bank card; only who asks is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.db import Decide, Event, Operation, Rows, Units, Which
from backend.kernel import ANY_AMOUNT, AmountRange, DomainError
from backend.keys import KeyRef, Keys
from backend.wallet.accounts import CHANNEL_BANK
from backend.wallet.bank import Bank
from backend.wallet.ledger import Ledger
from backend.wallet.model import WalletUnknown
from backend.wallet.tables import wallet
from backend.wallet.topups import standing
from backend.wallet.topups.automatic_model import (
    AutomaticTopUp,
    AutomaticTopUpUnknown,
    MonthTooSmall,
    OrderAutomatic,
)
from backend.wallet.topups.records import check_card, find_topup, new_row, promise, want_topup
from backend.wallet.topups.tables import automatic_topup

DUE = "automatic_topup_due"


@dataclass(frozen=True, slots=True)
class AutoTopUps:
    """Commands of the holder, the hook for whoever spends, and the outbox's consumer."""

    units: Units
    ledger: Ledger
    keys: Keys
    bank: Bank
    amounts: AmountRange = ANY_AMOUNT

    # --- the holder's ---------------------------------------------------------------------------

    def order(self, command: OrderAutomatic, operation: Operation) -> AutomaticTopUp:
        """Set the wallet's standing order, in the place of the one there was.

        Raises WalletUnknown, AmountOutOfRange, MonthTooSmall, BankCardInvalid, CreditCardRefused.
        """

        def needs(rows: Rows) -> bool:
            rows.want(wallet, command.wallet_id)
            self.ledger.need(rows, (command.wallet_id,))  # guards the order's row
            self.need(rows, command.wallet_id)
            return False

        def decide(rows: Rows) -> AutomaticTopUp:
            _check_owner(rows, command.wallet_id, command.person_id)
            self.amounts.check(command.amount_fen)
            if command.month_max_fen < command.amount_fen:
                raise MonthTooSmall
            check_card(self.bank, command.bank_card)
            row = self._row(rows, command, operation.key)
            rows.remove(automatic_topup, command.wallet_id)
            rows.add(automatic_topup, row)
            return _automatic(rows, row)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def get(self, wallet_id: str, person_id: str) -> AutomaticTopUp:
        """The person's standing order. Raises WalletUnknown, AutomaticTopUpUnknown."""
        with self.units.read(Which.LEDGER) as work:
            _check_owner(work.rows, wallet_id, person_id)
            row = work.rows.find(automatic_topup, wallet_id)
            if row is None:
                raise AutomaticTopUpUnknown
            return _automatic(work.rows, row)

    def stop(self, wallet_id: str, person_id: str) -> None:
        """End the standing order; does nothing when there is none. Raises WalletUnknown.

        What it asked for is under way and arrives.
        """

        def needs(rows: Rows) -> bool:
            rows.want(wallet, wallet_id)
            self.ledger.need(rows, (wallet_id,))
            self.need(rows, wallet_id)
            return False

        def decide(rows: Rows) -> None:
            _check_owner(rows, wallet_id, person_id)
            rows.remove(automatic_topup, wallet_id)

        self.units.decide(Which.LEDGER, Decide(needs, decide))

    # --- for whoever spends ---------------------------------------------------------------------

    def need(self, rows: Rows, wallet_id: str) -> None:
        """Want what `after_spending` reads: one row by its key."""
        rows.want(automatic_topup, wallet_id)

    def after_spending(self, rows: Rows, wallet_id: str, operation_id: str) -> None:
        """The wallet has just spent by `operation_id`: if it runs low, have the worker ask.

        Inside the spender's transaction, which holds the wallet's account; refuses nothing. The
        request is a transaction of its own, so that no payment waits for the bank's account.
        """
        row = rows.find(automatic_topup, wallet_id)
        if row is not None and self._is_due(rows, row):
            rows.tell(DUE, wallet_id=wallet_id, operation_id=operation_id)

    # --- the worker's ---------------------------------------------------------------------------

    def ask(self, event: Event) -> None:
        """Outbox: request the top-up, unless others under way have made it needless meanwhile."""
        wallet_id = str(event.payload["wallet_id"])
        topup_id = standing.derived_id("top", wallet_id, str(event.payload["operation_id"]))

        def needs(rows: Rows) -> bool:
            want_topup(rows, topup_id)
            self.ledger.need(rows, (wallet_id, CHANNEL_BANK))
            self.need(rows, wallet_id)
            return False

        def decide(rows: Rows) -> None:
            row = rows.find(automatic_topup, wallet_id)
            if row is None or find_topup(rows, topup_id) is not None or not self._is_due(rows, row):
                return
            mark = rows.mark()
            try:
                promise(rows, self.ledger, self._topup_row(rows, row, topup_id))
                standing.note_asked(rows, row)
            except DomainError as refusal:  # the wallet itself says no: full, frozen, closed
                rows.undo(mark)
                standing.note_decline(rows, wallet_id, refusal.code)

        self.units.decide(Which.LEDGER, Decide(needs, decide))

    # --- inside ---------------------------------------------------------------------------------

    def _is_due(self, rows: Rows, row: Mapping[str, Any]) -> bool:
        if row["state"] != standing.ACTIVE or not standing.has_room(rows, row):
            return False
        account = self.ledger.find_account(rows, row["wallet_id"])
        if account is None:
            return False
        coming_fen = account.available_fen + account.incoming_fen
        return coming_fen < int(row["threshold_fen"])

    def _row(self, rows: Rows, command: OrderAutomatic, key: str) -> dict[str, Any]:
        moment = rows.now.isoformat()
        order_id = standing.derived_id("ato", command.wallet_id, moment, key)
        sealed = self.keys.encrypt(
            KeyRef.PII_CIPHER, command.bank_card.encode(), _card_context(order_id)
        )
        return {
            "wallet_id": command.wallet_id,
            "order_id": order_id,
            "person_id": command.person_id,
            "threshold_fen": command.threshold_fen,
            "amount_fen": command.amount_fen,
            "month_max_fen": command.month_max_fen,
            **self._used(rows, command.wallet_id),
            "bank_card_sealed": sealed,
            "bank_card_end": command.bank_card[-4:],
            "declines": 0,
            "state": standing.ACTIVE,
            "paused_code": None,
            "made_at": rows.now,
        }

    @staticmethod
    def _used(rows: Rows, wallet_id: str) -> dict[str, Any]:
        """A new order does not give the month anew what the old one has used of it."""
        old, month = rows.find(automatic_topup, wallet_id), standing.first_of_month(rows)
        return {"month": month, "month_fen": standing.month_fen(old, month) if old else 0}

    def _topup_row(self, rows: Rows, row: Mapping[str, Any], topup_id: str) -> dict[str, Any]:
        context = _card_context(row["order_id"])
        card = self.keys.decrypt(KeyRef.PII_CIPHER, row["bank_card_sealed"], context).decode()
        return new_row(
            rows,
            self.keys,
            topup_id=topup_id,
            wallet_id=row["wallet_id"],
            person_id=row["person_id"],
            amount_fen=row["amount_fen"],
            bank_card=card,
            order_id=row["order_id"],
        )


def _card_context(order_id: str) -> bytes:
    return f"automatic.bank_card:{order_id}".encode()


def _check_owner(rows: Rows, wallet_id: str, person_id: str) -> None:
    owned = rows.find(wallet, wallet_id)
    if owned is None or owned["person_id"] != person_id:
        raise WalletUnknown


def _automatic(rows: Rows, row: Mapping[str, Any]) -> AutomaticTopUp:
    return AutomaticTopUp(
        wallet_id=row["wallet_id"],
        threshold_fen=row["threshold_fen"],
        amount_fen=row["amount_fen"],
        month_max_fen=row["month_max_fen"],
        month_fen=standing.month_fen(row, standing.first_of_month(rows)),
        state=row["state"],
        paused_code=row["paused_code"],
        bank_card_masked=f"····{row['bank_card_end']}",
        made_at=row["made_at"],
    )
