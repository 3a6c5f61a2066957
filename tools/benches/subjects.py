"""The seam between the benches and the ledger: all they know of its tables and methods is here.

Set-up goes past the services, straight into the tables, but leaves books that balance: every
account has the lines that explain its balance.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import create_engine, insert, text, update

from backend.app import Parts
from backend.db import Units, Which, open_databases
from backend.db.migrate import upgrade
from backend.kernel import DomainError, SystemClock, business_date
from backend.wallet import MERCHANT_PAYABLE, tables
from backend.wallet.accounts import CHANNEL_BANK, wallet_account
from backend.wallet.ledger import Account, Ledger, Leg, Limits, Post, Transfer
from backend.wallet.ledger import tables as journal_tables
from backend.wallet.service import REGISTERED
from tools.benches.errors import BenchFailed

OPENING_FEN = 500_000
PAYEES = 640
"""As many as pgbench has tellers at the scale it runs at: each credit is as much fought for."""

Order = tuple[str, str, str, int]
"""operation id, account debited, account credited, fen."""


class LedgerSubject(Protocol):
    """What the ledger bench asks of a ledger. Accounts are `wallet(i)`, i < n, and `payee(j)`."""

    def open_accounts(self, n: int) -> None:
        """n wallets with OPENING_FEN each and a floor of 0, and PAYEES that take money."""

    def post(self, operation_id: str, debit: str, credit: str, amount_fen: int) -> None:
        """One operation of one leg, committed. Raises DomainError when it is refused."""

    def post_batch(self, operations: list[Order]) -> list[bool]:
        """Many operations, each standing or falling alone, committed together: which stand."""

    def count(self) -> int:
        """Operations in the journal, those of the opening included."""

    def close(self) -> None:
        """Gives its connections back."""


PAYEE = "bench:payee:"
"""Accounts without a floor that everybody pays to, as payables are."""


def wallet(number: int) -> str:
    """Name of a wallet of the ledger bench."""
    return f"bench:wallet:{number:08d}"


def payee(number: int) -> str:
    """Name of an account the wallets pay to."""
    return f"{PAYEE}{number:03d}"


@dataclass(frozen=True, slots=True)
class PresentLedger:
    """The ledger as it is: who posts at the same time is committed together."""

    units: Units
    ledger: Ledger

    def open_accounts(self, n: int) -> None:
        with self.units.write(Which.LEDGER) as work:
            now = {"now": work.now, "day": business_date(work.now)}
            sizes = {"n": n, "fen": OPENING_FEN, "payees": PAYEES}
            for statement in _OPENING:
                names = {
                    name: value
                    for name, value in {**now, **sizes}.items()
                    if f":{name}" in statement
                }
                work.execute(text(statement), names)

    def post(self, operation_id: str, debit: str, credit: str, amount_fen: int) -> None:
        self.units.decide(Which.LEDGER, self._post((operation_id, debit, credit, amount_fen)))

    def post_batch(self, operations: list[Order]) -> list[bool]:
        told = self.units.decide_all(Which.LEDGER, [self._post(one) for one in operations])
        return [_stands(one) for one in told]

    def count(self) -> int:
        with self.units.read(Which.LEDGER) as work:
            question = text("SELECT count(*) FROM posting WHERE leg = 0")
            return int(work.execute(question).scalar_one())

    def _post(self, order: Order) -> Post:
        operation_id, debit, credit, amount_fen = order
        legs = (Leg(debit, credit, amount_fen),)
        return Post(self.ledger, Transfer(operation_id, "payment", legs))

    def close(self) -> None:
        self.units.databases.close()


def open_ledger(url: str, clients: int) -> PresentLedger:
    """The ledger over a database, with a connection for each client."""
    databases = open_databases(dict.fromkeys(Which, url), pool_size=clients)
    return PresentLedger(Units(databases, SystemClock()), Ledger(Limits([]), (PAYEE,)))


def migrate(urls: dict[Which, str]) -> None:
    """Makes our tables in empty databases."""
    databases = open_databases(urls)
    try:
        upgrade(databases)
    finally:
        databases.close()


def count_operations(url: str, ids: Sequence[str]) -> int:
    """How many of these operations are in the journal."""
    return _count(
        url, "SELECT count(*) FROM posting WHERE leg = 0 AND operation_id IN ({ids})", ids
    )


def count_payments(url: str, ids: Sequence[str]) -> int:
    """How many of these payments are captured, with their posting in the journal."""
    return _count(
        url,
        "SELECT count(*) FROM payment JOIN posting ON operation_id = payment_id AND leg = 0"
        " WHERE state = 'captured' AND payment_id IN ({ids})",
        ids,
    )


def sum_paid_fen(url: str) -> int:
    """What merchants are owed in all. Raises BenchFailed when the books do not balance."""
    difference = _ask(url, "SELECT sum(debits_posted) - sum(credits_posted) FROM account")
    if difference != 0:
        raise BenchFailed(f"the books do not balance: debits less credits is {difference} fen")
    owed = "SELECT coalesce(sum(credits_posted - debits_posted), 0) FROM account WHERE kind = :kind"
    return _ask(url, owed, kind=MERCHANT_PAYABLE)


def fill_wallets(parts: Parts, wallets: Sequence[tuple[str, str]], amount_fen: int) -> None:
    """Opens a registered wallet for each (person, wallet id) and puts money into it."""
    with parts.units.write(Which.LEDGER) as work:
        now = {"posted_at": work.now, "code": "top_up"}
        head = {**now, "business_date": business_date(work.now), "segment": 1, "memo": ""}
        rows: dict[Any, list[dict[str, Any]]] = {
            tables.wallet_owner: [],
            tables.wallet: [],
            journal_tables.account: [],
            journal_tables.posting: [],
            journal_tables.entry: [],
        }
        for number, (person_id, wallet_id) in enumerate(wallets, start=1):
            owner = {"person_id": person_id, "wallet_id": wallet_id}
            more = {"account_class": REGISTERED, "opened_at": work.now}
            account = wallet_account(wallet_id, REGISTERED)
            leg = {"operation_id": f"opening/{wallet_id}", "leg": 0, "amount_fen": amount_fen}
            sides = {"debit": CHANNEL_BANK, "credit": wallet_id}
            rows[tables.wallet_owner].append(owner)
            rows[tables.wallet].append({**owner, **more})
            rows[journal_tables.account].append(
                _row(account._replace(credits_posted=amount_fen, lines=1))
            )
            rows[journal_tables.posting].append({**head, **leg, **sides})
            for account_id, line, side in (
                (wallet_id, 1, "credit"),
                (CHANNEL_BANK, number, "debit"),
            ):
                where = {"account_id": account_id, "line": line, "side": side}
                balance = {"balance_fen": line * amount_fen}
                rows[journal_tables.entry].append({**now, **leg, **where, **balance})
        for table, new in rows.items():
            work.execute(insert(table), new)
        work.execute(
            update(journal_tables.account)
            .where(journal_tables.account.c.account_id == CHANNEL_BANK)
            .values(debits_posted=len(wallets) * amount_fen, lines=len(wallets))
        )


def _row(account: Account) -> dict[str, Any]:
    return account._asdict() | {"side": account.side.value, "state": account.state.value}


def _stands(told: object) -> bool:
    """Whether one of a batch was posted; what is neither that nor a refusal is a bug."""
    if isinstance(told, Exception) and not isinstance(told, DomainError):
        raise told
    return not isinstance(told, DomainError)


def _count(url: str, question: str, ids: Sequence[str]) -> int:
    if url.startswith("sqlite"):
        listed = question.format(ids="SELECT value FROM json_each(:ids)")
        return _ask(url, listed, ids=json.dumps(list(ids)))
    return _ask(url, question.format(ids="SELECT unnest(CAST(:ids AS text[]))"), ids=list(ids))


def _ask(url: str, question: str, **values: object) -> int:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return int(connection.execute(text(question), values).scalar_one())
    finally:
        engine.dispose()


_ACCOUNT = (
    "INSERT INTO account (account_id, kind, side, floor_fen, state, debits_posted,"
    " credits_posted, debits_pending, credits_pending, lines) "
)
_ENTRY = (
    "INSERT INTO entry (account_id, line, operation_id, leg, side, amount_fen, balance_fen,"
    " code, posted_at) "
)
_I = "FROM generate_series(0, CAST(:n AS bigint) - 1) AS i"
_WALLET = "'bench:wallet:' || lpad(i::text, 8, '0')"
_J = "FROM generate_series(0, :payees - 1) AS j"
_PAYEE = "'bench:payee:' || lpad(j::text, 3, '0')"
_OPERATION = "'opening/' || lpad(i::text, 8, '0')"
# Values are bound; what is put together here are these constants alone.
_OPENING = (
    f"{_ACCOUNT} SELECT {_WALLET}, 'wallet', 'credit', 0, 'open', 0, :fen, 0, 0, 1 {_I}",
    f"{_ACCOUNT} SELECT {_PAYEE}, 'merchant_payable', 'credit', NULL, 'open', 0, 0, 0, 0, 0 {_J}",
    f"{_ACCOUNT} VALUES ('bench:bank', 'custody', 'debit', NULL, 'open',"
    " CAST(:n AS bigint) * :fen, 0, 0, 0, :n)",
    "INSERT INTO posting (operation_id, leg, debit, credit, amount_fen, code, memo,"
    " business_date, posted_at, segment)"
    f" SELECT {_OPERATION}, 0, 'bench:bank', {_WALLET}, :fen, 'top_up', '', :day, :now, 1 {_I}",
    f"{_ENTRY} SELECT {_WALLET}, 1, {_OPERATION}, 0, 'credit', :fen, :fen, 'top_up', :now {_I}",
    f"{_ENTRY} SELECT 'bench:bank', i + 1, {_OPERATION}, 0, 'debit', :fen, (i + 1) * :fen,"
    f" 'top_up', :now {_I}",
)
