"""Wallets: open, look at, list lines. Money itself moves in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import insert, select

from backend.db import Operation, Units, Which, Work
from backend.wallet import tables
from backend.wallet.accounts import house_accounts, wallet_account
from backend.wallet.ledger import Account, Journal
from backend.wallet.model import (
    HistoryLine,
    OpenWallet,
    RegistrationNeeded,
    Wallet,
    WalletExists,
    WalletRules,
    WalletUnknown,
)


@dataclass(frozen=True, slots=True)
class Wallets:
    """Each method is one command or one question."""

    units: Units
    rules: WalletRules
    is_registered: Callable[[str], bool]

    def open_house(self) -> None:
        """Open the accounts every city has; safe to repeat."""
        with self.units.write(Which.LEDGER) as work:
            for account in house_accounts():
                Journal(work).open_account(account)

    def open(self, command: OpenWallet, operation: Operation) -> Wallet:
        """Open a registered wallet. Raises RegistrationNeeded, WalletExists."""
        registered = self.is_registered(command.person_id)

        def decide(work: Work) -> Wallet:
            if not registered:
                raise RegistrationNeeded
            return self._open(work, command)

        return self.units.once(Which.LEDGER, operation, decide)

    def of_person(self, person_id: str) -> list[Wallet]:
        """The person's wallets (today: at most one)."""
        with self.units.read(Which.LEDGER) as work:
            query = select(tables.wallet_owner.c.wallet_id)
            rows = work.execute(query.where(tables.wallet_owner.c.person_id == person_id))
            return [_get(work, wallet_id, person_id) for wallet_id in rows.scalars().all()]

    def get(self, wallet_id: str, person_id: str) -> Wallet:
        """The wallet, when it is this person's. Raises WalletUnknown."""
        with self.units.read(Which.LEDGER) as work:
            return _get(work, wallet_id, person_id)

    def is_owner(self, person_id: str, wallet_id: str) -> bool:
        """Whether the wallet is this person's and open."""
        with self.units.read(Which.LEDGER) as work:
            try:
                return _get(work, wallet_id, person_id).state == "open"
            except WalletUnknown:
                return False

    def lines(
        self, wallet_id: str, person_id: str, *, limit: int, after: str | None
    ) -> tuple[list[HistoryLine], str | None]:
        """History, newest first, below the cursor `after`; and the next cursor."""
        before = int(after) if after and after.isdecimal() and len(after) < 19 else None
        with self.units.read(Which.LEDGER) as work:
            _get(work, wallet_id, person_id)
            found = Journal(work).lines(wallet_id, limit=limit + 1, before_line=before)
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

    def _open(self, work: Work, command: OpenWallet) -> Wallet:
        owner = tables.wallet_owner
        if known := work.one(select(owner).where(owner.c.person_id == command.person_id)):
            raise WalletExists(wallet_id=known.wallet_id)
        if Journal(work).find_account(command.wallet_id) is not None:
            raise WalletUnknown  # somebody else's id: tell nothing about it
        row = {"person_id": command.person_id, "wallet_id": command.wallet_id}
        more = {"account_class": self.rules.account_class, "opened_at": work.now}
        work.execute(insert(owner).values(row))
        work.execute(insert(tables.wallet).values({**row, **more}))
        Journal(work).open_account(
            wallet_account(command.wallet_id, self.rules.ceiling_fen, self.rules.article)
        )
        return _get(work, command.wallet_id, command.person_id)


def _get(work: Work, wallet_id: str, person_id: str) -> Wallet:
    query = select(tables.wallet).where(
        tables.wallet.c.wallet_id == wallet_id, tables.wallet.c.person_id == person_id
    )
    row = work.one(query)
    account: Account | None = Journal(work).find_account(wallet_id)
    if row is None or account is None:
        raise WalletUnknown
    return Wallet(
        wallet_id=wallet_id,
        person_id=person_id,
        state=account.state.value,
        account_class=row.account_class,
        balance_fen=account.balance_fen,
        available_fen=account.available_fen,
        ceiling_fen=account.ceiling_fen or 0,
        opened_at=row.opened_at,
    )
