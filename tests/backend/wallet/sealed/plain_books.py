"""A ledger's rows for tests: right ones by plain SQL, and a hand that may change any of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, text, update

from backend.db import Databases, Units, Which, Work
from backend.kernel import business_date
from backend.wallet.ledger.segments import hold_open_segment
from backend.wallet.ledger.tables import APPEND_ONLY, account, entry, posting

CUSTODY, BANK, SHOP = "custody:main", "channel:bank", "payable:mer_a:2026-11-23"
WALLETS = ("wal_a", "wal_b", "wal_c")
ACCOUNTS = (
    (CUSTODY, "custody", "debit", 0),
    (BANK, "channel_receivable", "debit", 0),
    (SHOP, "merchant_payable", "credit", None),
    *((name, "wallet", "credit", 0) for name in WALLETS),
)
Leg = tuple[str, str, int]
ROWS_AT_ONCE = 5_000


@dataclass(slots=True)
class Books:
    """The accounts as they should stand; `post` writes postings, entries and accounts."""

    units: Units
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def opened(cls, units: Units) -> Books:
        books = cls(units)
        with units.write(Which.LEDGER) as work:
            for account_id, kind, side, floor_fen in ACCOUNTS:
                books.open(work, account_id, kind, side, floor_fen)
        return books

    def open(
        self, work: Work, account_id: str, kind: str, side: str, floor_fen: int | None
    ) -> None:
        row = {
            "account_id": account_id,
            "kind": kind,
            "account_class": "registered" if kind == "wallet" else None,
            "side": side,
            "floor_fen": floor_fen,
            "state": "open",
            "debits_posted": 0,
            "credits_posted": 0,
            "debits_pending": 0,
            "credits_pending": 0,
            "lines": 0,
        }
        work.execute(insert(account), row)
        self.accounts[account_id] = row

    def post(self, operation_id: str, *legs: Leg, **said: Any) -> None:
        self.post_many([(operation_id, legs)], **said)

    def post_many(
        self, operations: Sequence[tuple[str, Sequence[Leg]]], segment: int = 0, **said: Any
    ) -> None:
        """One commit for all; `segment`: not the open one."""
        with self.units.write(Which.LEDGER) as work:
            number = segment or hold_open_segment(work.rows)
            postings: list[dict[str, Any]] = []
            entries: list[dict[str, Any]] = []
            for operation_id, legs in operations:
                for leg, (debit, credit, amount_fen) in enumerate(legs):
                    row = _posting(operation_id, leg, (debit, credit, amount_fen), number, work.now)
                    row = {**row, **said}
                    postings.append(row)
                    entries += [
                        self._entry(row, debit, "debit"),
                        self._entry(row, credit, "credit"),
                    ]
            for table, rows in ((posting, postings), (entry, entries)):
                for at in range(0, len(rows), ROWS_AT_ONCE):
                    work.execute(insert(table), rows[at : at + ROWS_AT_ONCE])
            self._save(work, {row["account_id"] for row in entries})

    def _entry(self, row: dict[str, Any], account_id: str, side: str) -> dict[str, Any]:
        its = self.accounts[account_id]
        its[f"{side}s_posted"] += row["amount_fen"]
        its["lines"] += 1
        balance_fen = its["debits_posted"] - its["credits_posted"]
        return {
            "account_id": account_id,
            "line": its["lines"],
            "operation_id": row["operation_id"],
            "leg": row["leg"],
            "side": side,
            "amount_fen": row["amount_fen"],
            "balance_fen": balance_fen if its["side"] == "debit" else -balance_fen,
            "code": row["code"],
            "posted_at": row["posted_at"],
        }

    def _save(self, work: Work, touched: set[str]) -> None:
        names = ("debits_posted", "credits_posted", "lines")
        change = update(account).where(account.c.account_id == bindparam("its"))
        rows = [self.accounts[account_id] for account_id in sorted(touched)]
        work.execute(
            change.values({name: bindparam(name) for name in names}),
            [{"its": row["account_id"]} | {name: row[name] for name in names} for row in rows],
        )

    def balance_fen(self, account_id: str) -> int:
        """Debits less credits: above zero on the debit side, below on the credit side."""
        row = self.accounts[account_id]
        return int(row["debits_posted"] - row["credits_posted"])


def _posting(
    operation_id: str, leg: int, moved: Leg, segment: int, posted_at: datetime
) -> dict[str, Any]:
    debit, credit, amount_fen = moved
    return {
        "operation_id": operation_id,
        "leg": leg,
        "debit": debit,
        "credit": credit,
        "amount_fen": amount_fen,
        "code": "payment" if credit == SHOP else "top_up",
        "linked_to": None,
        "memo": '早餐店 "Döner"\t',
        "business_date": business_date(posted_at),
        "posted_at": posted_at,
        "segment": segment,
    }


@contextmanager
def as_owner(databases: Databases) -> Iterator[Connection]:
    """What the owner of the database can do: change rows that triggers guard."""
    with databases[Which.LEDGER].engine.begin() as connection:
        on_postgres = connection.dialect.name == "postgresql"
        for table in APPEND_ONLY:
            if on_postgres:
                connection.execute(text(f"ALTER TABLE {table.name} DISABLE TRIGGER USER"))
            else:
                for action in ("update", "delete"):
                    connection.execute(text(f"DROP TRIGGER IF EXISTS {table.name}_no_{action}"))
        yield connection
        if on_postgres:  # the databases are used by the next test too
            for table in APPEND_ONLY:
                connection.execute(text(f"ALTER TABLE {table.name} ENABLE TRIGGER USER"))
