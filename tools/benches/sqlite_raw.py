"""The peer of the default city: a payment as a bare loop over sqlite3, one durable commit each.

It has the laws of a payment and nothing else: a unique id, a floor, two balances, two entries.
No HTTP, no caller, no idempotent answer, no limits, no audit, no second client.
"""

from __future__ import annotations

import sqlite3
import time
from array import array
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tools.benches.ids import make_ids
from tools.benches.rounds import Round, ranked

PAYERS, PAYEES = 2000, 100
OPENING_FEN = 500_000
IDS_PER_SECOND_MAX = 20_000
_TABLES = """
CREATE TABLE account (name TEXT PRIMARY KEY, balance_fen INTEGER NOT NULL CHECK (balance_fen >= 0));
CREATE TABLE operation (id TEXT PRIMARY KEY, debit TEXT NOT NULL, credit TEXT NOT NULL,
  amount_fen INTEGER NOT NULL CHECK (amount_fen > 0)) WITHOUT ROWID;
CREATE TABLE entry (number INTEGER PRIMARY KEY, id TEXT NOT NULL, account TEXT NOT NULL,
  amount_fen INTEGER NOT NULL);
"""
_DEBIT = "UPDATE account SET balance_fen = balance_fen - ?2 WHERE name = ?1 AND balance_fen >= ?2"
_CREDIT = "UPDATE account SET balance_fen = balance_fen + ?2 WHERE name = ?1"
_OPERATION = "INSERT INTO operation VALUES (?, ?, ?, ?)"
_ENTRY = "INSERT INTO entry (id, account, amount_fen) VALUES (?, ?, ?)"


@dataclass(frozen=True, slots=True)
class RawLoop:
    """One connection, one payment after another."""

    path: Path
    name: str = "raw sqlite3 loop"

    def prepare(self) -> None:
        """Makes the file and its accounts."""
        with closing(self._connect()) as database:
            database.executescript(_TABLES)
            database.execute("BEGIN")
            names = [(f"payer:{one}", OPENING_FEN) for one in range(PAYERS)]
            names += [(f"payee:{one}", 0) for one in range(PAYEES)]
            database.executemany("INSERT INTO account VALUES (?, ?)", names)
            database.execute("COMMIT")

    def run(self, seconds: float) -> Round:
        ids = make_ids("pay", int(seconds * IDS_PER_SECOND_MAX))
        durations = array("q")
        refused = 0
        with closing(self._connect()) as database:
            before = _count(database)
            began = now = time.perf_counter_ns()
            until = began + int(seconds * 1e9)
            for number, one in enumerate(ids):
                if now >= until:
                    break
                is_paid = _pay(
                    database, one, f"payer:{number % PAYERS}", f"payee:{number % PAYEES}"
                )
                refused += not is_paid
                done = time.perf_counter_ns()
                durations.append(done - now)
                now = done
            found = _count(database) - before
        return Round(
            acknowledged=len(durations) - refused,
            found=found,
            seconds=(now - began) / 1e9,
            refused={"floor": refused} if refused else {},
            times=ranked(durations),
        )

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            database.execute(f"PRAGMA {pragma}")
        return database


def _pay(database: sqlite3.Connection, payment_id: str, payer: str, payee: str) -> bool:
    """Whether the payer had the money; then it is committed."""
    database.execute("BEGIN IMMEDIATE")
    if database.execute(_DEBIT, (payer, 1)).rowcount != 1:
        database.execute("ROLLBACK")
        return False
    database.execute(_CREDIT, (payee, 1))
    database.execute(_OPERATION, (payment_id, payer, payee, 1))
    database.execute(_ENTRY, (payment_id, payer, -1))
    database.execute(_ENTRY, (payment_id, payee, 1))
    database.execute("COMMIT")
    return True


def _count(database: sqlite3.Connection) -> int:
    """Operations with both their entries."""
    (count,) = database.execute("SELECT count(*) FROM operation").fetchone()
    (entries,) = database.execute("SELECT count(*) FROM entry").fetchone()
    assert entries == 2 * count
    return int(count)
