"""Wallets: open, look at, list lines. Money itself moves in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select

from backend.db import Decide, Operation, Rows, Units, Which
from backend.kernel import business_date
from backend.wallet import tables
from backend.wallet.accounts import house_accounts, wallet_account
from backend.wallet.ledger import Ledger, reading
from backend.wallet.life import standing
from backend.wallet.model import (
    HistoryLine,
    OpenWallet,
    RegistrationNeeded,
    Wallet,
    WalletExists,
    WalletUnknown,
)

REGISTERED = "registered"  # 记名


@dataclass(frozen=True, slots=True)
class Wallets:
    """Each method is one command or one question."""

    units: Units
    ledger: Ledger
    is_registered: Callable[[str], bool]

    def open_house(self) -> None:
        """Open the accounts every city has; safe to repeat."""
        with self.units.write(Which.LEDGER) as work:
            for account in house_accounts():
                self.ledger.open_account(work.rows, account)

    def open(self, command: OpenWallet, operation: Operation) -> Wallet:
        """Open a registered wallet. Raises RegistrationNeeded, WalletExists."""
        registered = self.is_registered(command.person_id)

        def needs(rows: Rows) -> bool:
            rows.want(tables.wallet_owner, command.person_id)
            rows.want(tables.wallet, command.wallet_id)
            self.ledger.need(rows, (command.wallet_id,))
            return False

        def decide(rows: Rows) -> Wallet:
            if not registered:
                raise RegistrationNeeded
            return self._open(rows, command)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def of_person(self, person_id: str) -> list[Wallet]:
        """The person's wallets (today: at most one)."""
        with self.units.read(Which.LEDGER) as work:
            query = select(tables.wallet_owner.c.wallet_id)
            found = work.execute(query.where(tables.wallet_owner.c.person_id == person_id))
            return [self._get(work.rows, name, person_id) for name in found.scalars().all()]

    def get(self, wallet_id: str, person_id: str) -> Wallet:
        """The wallet, when it is this person's. Raises WalletUnknown."""
        with self.units.read(Which.LEDGER) as work:
            return self._get(work.rows, wallet_id, person_id)

    def want(self, rows: Rows, wallet_id: str) -> None:
        """Want the row `check_owner` reads."""
        rows.want(tables.wallet, wallet_id)

    def check_owner(self, rows: Rows, wallet_id: str, person_id: str) -> None:
        """Whether the wallet is this person's, asked inside a decision. Raises WalletUnknown."""
        row = rows.find(tables.wallet, wallet_id)
        if row is None or row["person_id"] != person_id:
            raise WalletUnknown

    def is_owner(self, person_id: str, wallet_id: str) -> bool:
        """Whether the wallet is this person's and open."""
        try:
            return self.get(wallet_id, person_id).state == "open"
        except WalletUnknown:
            return False

    def lines(
        self, wallet_id: str, person_id: str, *, limit: int, after: str | None
    ) -> tuple[list[HistoryLine], str | None]:
        """History, newest first, below the cursor `after`; and the next cursor."""
        before = int(after) if after and after.isdecimal() and len(after) < 19 else None
        with self.units.read(Which.LEDGER) as work:
            self._get(work.rows, wallet_id, person_id)
            found = reading.lines(work, wallet_id, limit=limit + 1, before_line=before)
        lines = [
            HistoryLine(
                line_id=str(one.line),
                time=one.posted_at,
                code=one.code,
                amount_fen=one.amount_fen,
                balance_fen=one.balance_fen,
                reference=one.operation_id.split("/")[0],
                counterparty=one.memo,
            )
            for one in found[:limit]
        ]
        return lines, lines[-1].line_id if len(found) > limit else None

    def _open(self, rows: Rows, command: OpenWallet) -> Wallet:
        known = rows.find(tables.wallet_owner, command.person_id)
        if known is not None:
            raise WalletExists(wallet_id=known["wallet_id"])
        if self.ledger.find_account(rows, command.wallet_id) is not None:
            raise WalletUnknown  # somebody else's id: tell nothing about it
        owner = {"person_id": command.person_id, "wallet_id": command.wallet_id}
        more = {"account_class": REGISTERED, "opened_at": rows.now}
        rows.add(tables.wallet_owner, owner)
        rows.add(tables.wallet, {**owner, **more})
        self.ledger.open_account(rows, wallet_account(command.wallet_id, REGISTERED))
        return self._get(rows, command.wallet_id, command.person_id)

    def _get(self, rows: Rows, wallet_id: str, person_id: str) -> Wallet:
        row = rows.find(tables.wallet, wallet_id)
        account = self.ledger.find_account(rows, wallet_id)
        if row is None or account is None or row["person_id"] != person_id:
            raise WalletUnknown
        ceiling = self.ledger.limits.ceiling(account.account_class, business_date(rows.now))
        return Wallet(
            wallet_id=wallet_id,
            person_id=person_id,
            state=standing.current(rows, account).value,
            account_class=row["account_class"],
            balance_fen=account.balance_fen,
            available_fen=account.available_fen,
            ceiling_fen=None if ceiling is None else ceiling.amount_max_fen,
            opened_at=row["opened_at"],
        )
