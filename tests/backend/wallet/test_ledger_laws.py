"""Each law of the ledger is said twice: here by the database, to plain SQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from backend.db import Units, Which
from backend.wallet.accounts import CHANNEL_BANK, house_accounts, wallet_account
from backend.wallet.ledger import Ledger, Leg, Limits, Transfer, tables
from tests.simulation.books import dump

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


ACCOUNT_ROW = {
    "account_id": "wal_z",
    "kind": "wallet",
    "side": "credit",
    "floor_fen": 0,
    "state": "open",
    "debits_posted": 0,
    "credits_posted": 0,
    "debits_pending": 0,
    "credits_pending": 0,
    "lines": 0,
}
POSTING_ROW = {
    "operation_id": "op",
    "leg": 0,
    "debit": "a",
    "credit": "b",
    "amount_fen": 1,
    "code": "payment",
    "memo": "",
    "business_date": MOMENT.date(),
    "posted_at": MOMENT,
    "segment": 1,
}
ENTRY_ROW = {
    "account_id": "wal_z",
    "line": 1,
    "operation_id": "op",
    "leg": 0,
    "side": "debit",
    "amount_fen": 1,
    "balance_fen": 1,
    "code": "payment",
    "posted_at": MOMENT,
}
HOLD_ROW = {
    "hold_id": "h",
    "debit": "a",
    "credit": "b",
    "amount_fen": 1,
    "state": "pending",
    "counts": "",
    "made_at": MOMENT,
}
USAGE_ROW = {
    "account_id": "wal_z",
    "counter": "spend",
    "period": "day",
    "starts_on": MOMENT.date(),
    "amount_fen": 0,
    "times": 0,
}
SEGMENT_ROW = {
    "number": 1,
    "postings": 0,
    "leaves": b"",
    "previous_hash": b"",
    "segment_hash": b"",
    "key_id": "k",
    "signature": b"",
    "sealed_at": MOMENT,
}
BROKEN_ROWS = [
    (tables.account, ACCOUNT_ROW, {"side": "left"}),
    (tables.account, ACCOUNT_ROW, {"state": "lost"}),
    (tables.account, ACCOUNT_ROW, {"debits_posted": 1}),
    (tables.account, ACCOUNT_ROW, {"credits_posted": 5, "debits_pending": 6}),
    (tables.account, ACCOUNT_ROW, {"side": "debit", "credits_posted": 1}),
    (tables.account, ACCOUNT_ROW, {"side": "debit", "debits_posted": 5, "credits_pending": 6}),
    (tables.account, ACCOUNT_ROW, {"credits_posted": -1, "floor_fen": None}),
    (tables.account, ACCOUNT_ROW, {"credits_pending": -1}),
    (tables.posting, POSTING_ROW, {"amount_fen": 0}),
    (tables.posting, POSTING_ROW, {"amount_fen": -1}),
    (tables.posting, POSTING_ROW, {"credit": "a"}),
    (tables.entry, ENTRY_ROW, {"amount_fen": 0}),
    (tables.entry, ENTRY_ROW, {"line": 0}),
    (tables.hold, HOLD_ROW, {"amount_fen": 0}),
    (tables.hold, HOLD_ROW, {"state": "perhaps"}),
    (tables.usage, USAGE_ROW, {"amount_fen": -1}),
    (tables.usage, USAGE_ROW, {"times": -1}),
    (tables.open_segment, {"only": 1, "number": 1}, {"only": 2}),
    (tables.segment, SEGMENT_ROW, {"postings": -1}),
]


@pytest.fixture
def ledger(units: Units) -> Units:
    """House accounts and a wallet with one line."""
    book = Ledger(Limits([]))
    with units.write(Which.LEDGER) as work:
        for account in (*house_accounts(), wallet_account("wal_a", "registered")):
            book.open_account(work.rows, account)
        book.post(work.rows, Transfer("top_1", "top_up", (Leg(CHANNEL_BANK, "wal_a", 10_000),)))
        work.execute(tables.segment.insert().values(SEGMENT_ROW | {"number": 7}))
    return units


def test_the_database_refuses_what_the_model_refuses(units: Units) -> None:
    for table, row, change in BROKEN_ROWS:
        with (
            pytest.raises(IntegrityError, match=r"(?i)check"),
            units.write(Which.LEDGER) as work,
        ):
            work.execute(table.insert().values({**row, **change}))


def test_the_rows_above_are_refused_for_their_change_alone(units: Units) -> None:
    for table, row in {table.name: (table, row) for table, row, _ in BROKEN_ROWS}.values():
        with units.read(Which.LEDGER) as work:  # a read rolls back what is written in it
            work.execute(table.insert().values(row))


@pytest.mark.parametrize("table", tables.APPEND_ONLY, ids=lambda table: table.name)
def test_the_journal_is_append_only_for_everybody(ledger: Units, table: Any) -> None:
    before = dump(ledger)
    name = next(iter(table.primary_key)).name
    for statement in (
        f"UPDATE {table.name} SET {name} = {name}",
        f"UPDATE {table.name} SET {name} = NULL WHERE {name} IS NOT NULL",
        f"DELETE FROM {table.name}",
        f"DELETE FROM {table.name} WHERE {name} IS NOT NULL",
    ):
        with (
            pytest.raises(DBAPIError, match="append only"),
            ledger.write(Which.LEDGER) as work,
        ):
            work.execute(text(statement))
    assert dump(ledger) == before
