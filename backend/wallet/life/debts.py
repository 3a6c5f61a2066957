"""Ride debt: one ride into the red, taken back from the wallet, or given up by staff."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from backend.db import Decide, Operation, Rows, Units, Which
from backend.kernel import business_date, is_id
from backend.wallet import recipes
from backend.wallet.accounts import RIDE_DEBT, ride_debt_account, ride_debt_id
from backend.wallet.ledger import AccountClosed, AccountFrozen, AccountState, Ledger, tables
from backend.wallet.ledger.limits import SPEND
from backend.wallet.life.errors import (
    RideDebtExceeded,
    RideDebtOpen,
    RideDebtUnknown,
    WriteOffExists,
)
from backend.wallet.life.model import OpenDebt, RidePaid, WriteOff, WrittenOff
from backend.wallet.life.tables import write_off
from backend.wallet.model import WalletUnknown


@dataclass(frozen=True, slots=True)
class RideDebts:
    """Decisions over rows, for whoever decides about a wallet; and the staff's commands."""

    units: Units
    ledger: Ledger

    # --- for other decisions --------------------------------------------------------------------

    def need_ride(
        self, rows: Rows, wallet_id: str, payable_id: str, checks: tuple[str, ...] = ()
    ) -> None:
        """Want what `pay_ride` reads."""
        counts = (SPEND, *checks)
        self.ledger.need(rows, (wallet_id, payable_id), counted=wallet_id, counts=counts)
        debt_id = ride_debt_id(wallet_id)
        self.ledger.need(rows, (debt_id,), counted=debt_id, counts=counts)

    def pay_ride(
        self,
        rows: Rows,
        payment_id: str,
        *,
        wallet_id: str,
        payable_id: str,
        fare_fen: int,
        memo: str,
        checks: tuple[str, ...] = (),
    ) -> RidePaid:
        """Post a fare: the wallet gives what it has, the rest is owed; the payable is open.

        Raises WalletUnknown, AccountFrozen, AccountClosed (also where the wallet has nothing to
        give), RideDebtOpen (one ride, not two), RideDebtExceeded, LimitExceeded.
        """
        account = self.ledger.find_account(rows, wallet_id)
        if account is None:
            raise WalletUnknown
        if account.state is AccountState.CLOSED:
            raise AccountClosed
        if account.state is AccountState.FROZEN:
            raise AccountFrozen
        wallet_fen = min(max(0, account.available_fen), fare_fen)
        debt_fen = fare_fen - wallet_fen
        if debt_fen:
            self._check_debt(rows, wallet_id, debt_fen)
            self.ledger.open_account(rows, ride_debt_account(wallet_id))
        transfer = recipes.payment_into_debt(
            payment_id,
            wallet_id,
            payable_id,
            wallet_fen=wallet_fen,
            debt_fen=debt_fen,
            memo=memo,
            checks=checks,
        )
        self.ledger.post(rows, transfer)
        return RidePaid(wallet_fen, debt_fen)

    def need(self, rows: Rows, wallet_id: str) -> None:
        """Want what `owed_fen` and `take` read of the debt."""
        self.ledger.need(rows, (ride_debt_id(wallet_id),))

    def owed_fen(self, rows: Rows, wallet_id: str) -> int:
        account = self.ledger.find_account(rows, ride_debt_id(wallet_id))
        return 0 if account is None else account.balance_fen

    def take(self, rows: Rows, operation_id: str, wallet_id: str) -> None:
        """Pay the whole debt out of the wallet, before `operation_id` moves what is left.

        Raises RideDebtOpen when the wallet has not enough, and what the ledger refuses.
        """
        owed_fen = self.owed_fen(rows, wallet_id)
        if not owed_fen:
            return
        account = self.ledger.find_account(rows, wallet_id)
        if account is None or account.available_fen < owed_fen:
            raise RideDebtOpen(owed_fen=owed_fen)
        self.ledger.post(rows, recipes.debt_paid(operation_id, wallet_id, owed_fen))

    # --- for staff ------------------------------------------------------------------------------

    def open_debts(self, *, limit: int, after: str | None) -> tuple[list[OpenDebt], str | None]:
        """Riders who owe, by wallet id, above the cursor `after`; and the next cursor."""
        account = tables.account.c
        owed = account.debits_posted - account.credits_posted
        query = select(account.account_id, owed.label("owed_fen")).where(
            account.kind == RIDE_DEBT, owed > 0
        )
        if after is not None:
            query = query.where(account.account_id > f"{RIDE_DEBT}:{after}")
        with self.units.read(Which.LEDGER) as work:
            rows = work.execute(query.order_by(account.account_id).limit(limit + 1)).all()
        found = [OpenDebt(row.account_id.split(":", 1)[1], row.owed_fen) for row in rows[:limit]]
        return found, found[-1].wallet_id if len(rows) > limit else None

    def write_off(self, command: WriteOff, operation: Operation) -> WrittenOff:
        """Give a debt up, the whole of it. Raises RideDebtUnknown, WriteOffExists."""
        if not is_id(command.wallet_id, "wal"):
            raise RideDebtUnknown

        def needs(rows: Rows) -> bool:
            rows.want(write_off, command.write_off_id)
            transfer = recipes.debt_written_off(command.write_off_id, command.wallet_id, 1)
            self.ledger.need_transfer(rows, transfer)
            return False

        def decide(rows: Rows) -> WrittenOff:
            known = rows.find(write_off, command.write_off_id)
            if known is not None:
                return _same(known, command)
            return self._write_off(rows, command)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def _write_off(self, rows: Rows, command: WriteOff) -> WrittenOff:
        owed_fen = self.owed_fen(rows, command.wallet_id)
        if not owed_fen:
            raise RideDebtUnknown
        transfer = recipes.debt_written_off(command.write_off_id, command.wallet_id, owed_fen)
        self.ledger.post(rows, transfer)
        row: dict[str, Any] = {
            "write_off_id": command.write_off_id,
            "wallet_id": command.wallet_id,
            "amount_fen": owed_fen,
            "reason": command.reason,
            "staff_id": command.staff_id,
            "made_at": rows.now,
        }
        rows.add(write_off, row)
        return WrittenOff(**row)

    def _check_debt(self, rows: Rows, wallet_id: str, debt_fen: int) -> None:
        """One ride into the red, within the figure; without a figure nobody may owe."""
        owed_fen = self.owed_fen(rows, wallet_id)
        if owed_fen:
            raise RideDebtOpen(owed_fen=owed_fen)
        limit = self.ledger.limits.ceiling(RIDE_DEBT, business_date(rows.now))
        limit_fen = 0 if limit is None else limit.amount_max_fen or 0
        if debt_fen > limit_fen:
            data: dict[str, Any] = {} if limit is None else {"article": limit.article}
            raise RideDebtExceeded(**data, short_by_fen=debt_fen, limit_fen=limit_fen)


def _same(row: Mapping[str, Any], command: WriteOff) -> WrittenOff:
    if (row["wallet_id"], row["reason"]) != (command.wallet_id, command.reason):
        raise WriteOffExists
    return WrittenOff(**row)
