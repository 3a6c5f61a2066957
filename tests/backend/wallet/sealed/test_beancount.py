"""Another program adds the journal up: Beancount's own loader finds no error and our balances."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from plain_books import BANK, CUSTODY, SHOP, Books, as_owner
from sqlalchemy import text

from backend.db import Databases, Units, Which
from backend.kernel import ManualClock
from backend.wallet.ledger.beancount import export_beancount, name_of
from backend.wallet.ledger.export import ExportRefused

# In a process of its own: what that program warns of while it loads is not our affair.
LOAD = """
import json, sys
from beancount import loader
from beancount.core import data, realization
entries, errors, options = loader.load_file(sys.argv[1])
real = realization.realize([e for e in entries if isinstance(e, data.Transaction)])
opens = {e.meta["account_id"]: e.account for e in entries if isinstance(e, data.Open)}
balances = {}
for account_id, name in opens.items():
    found = realization.get(real, name)
    held = found.balance.get_positions() if found is not None else []
    balances[account_id] = [[str(p.units.number), p.units.currency] for p in held]
print(json.dumps({
    "errors": [e.message for e in errors],
    "names": opens,
    "balances": balances,
    "asserted": sum(isinstance(e, data.Balance) for e in entries),
    "transactions": {
        e.meta["operation_id"]: [
            str(e.date), e.payee, e.narration, sorted(e.links), e.meta.get("linked_to"),
            len(e.postings)
        ]
        for e in entries if isinstance(e, data.Transaction)
    },
}))
"""


def load(path: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return dict(json.loads(done.stdout))


@pytest.fixture
def history(books: Books, clock: ManualClock) -> Books:
    """Top-ups, sales, a refund in two legs, over three days; amounts to the fen."""
    books.post("top_1", (BANK, "wal_a", 123_456_789), (BANK, "wal_b", 1))
    clock.advance(timedelta(days=1))
    for number, amount_fen in enumerate((1, 10, 99, 100, 101, 12_345_678)):
        books.post(f"pay_{number}", ("wal_a", SHOP, amount_fen), memo='早餐店 "A\\B"\n第二行')
    clock.advance(timedelta(days=1))
    books.post("ref_1", (SHOP, "wal_a", 7), (SHOP, "wal_b", 3), linked_to="pay_1 é", code="refund")
    books.post("top_1/custody", (CUSTODY, BANK, 123_456_789), linked_to="top_1")
    return books


def test_beancount_finds_our_balances_and_no_error(history: Books, tmp_path: Path) -> None:
    assert export_beancount(history.units, tmp_path / "deep" / "books.beancount") == 9
    found = load(tmp_path / "deep" / "books.beancount")
    assert found["errors"] == []
    assert found["asserted"] == len(history.accounts)
    ours = {
        name: Decimal(history.balance_fen(name)) / 100
        for name in history.accounts
        if history.balance_fen(name)
    }
    theirs = {name: Decimal(held[0][0]) for name, held in found["balances"].items() if held}
    assert theirs == ours
    assert {tuple(one[1] for one in held) for held in found["balances"].values()} <= {(), ("CNY",)}
    assert sum(theirs.values()) == 0


def test_what_a_transaction_tells(history: Books, tmp_path: Path) -> None:
    export_beancount(history.units, tmp_path / "books.beancount")
    found = load(tmp_path / "books.beancount")["transactions"]
    assert found["ref_1"] == [
        *("2026-11-25", '早餐店 "Döner" ', "refund", ["pay_1--", "ref_1"], "pay_1 é", 4)
    ]
    assert found["pay_5"] == [
        *("2026-11-24", '早餐店 "A\\B" 第二行', "payment", ["pay_5"], None, 2)
    ]
    assert found["top_1/custody"][3] == ["top_1", "top_1/custody"]


def test_a_balance_that_differs_is_told_by_beancount(
    history: Books, databases: Databases, tmp_path: Path
) -> None:
    """Goal: the balances asserted are the accounts' own, not sums of what was written above."""
    with as_owner(databases) as owner:
        owner.execute(
            text(
                "UPDATE account SET credits_posted = credits_posted + 1 WHERE account_id = 'wal_b'"
            )
        )
    export_beancount(history.units, tmp_path / "books.beancount")
    (error,) = load(tmp_path / "books.beancount")["errors"]
    assert "Liabilities:Wallet:Wal-b" in error


@pytest.mark.parametrize(
    ("account_id", "kind", "side", "name"),
    [
        ("custody:main", "custody", "debit", "Assets:Custody:Main"),
        ("channel:bank", "channel_receivable", "debit", "Assets:Channel-receivable:Channel:Bank"),
        ("wal_01h4", "wallet", "credit", "Liabilities:Wallet:Wal-01h4"),
        (
            *("payable:mer_a:2026-11-23", "merchant_payable", "credit"),
            "Liabilities:Merchant-payable:Payable:Mer-a:2026-11-23",
        ),
        ("fee", "fee_income", "credit", "Income:Fee-income:Fee"),
        ("_:é::", "x", "debit", "Assets:X:X-:X-:X:X"),
    ],
)
def test_names_are_legal(account_id: str, kind: str, side: str, name: str) -> None:
    assert name_of(account_id, kind, side) == name
    assert re.fullmatch(r"[A-Z][a-z]+(:[A-Z0-9][A-Za-z0-9-]*)+", name)


def test_ids_that_read_the_same_stay_apart(books: Books, tmp_path: Path) -> None:
    with books.units.write(Which.LEDGER) as work:
        for account_id in ("wal_x", "wal-x", "wal.x"):
            books.open(work, account_id, "wallet", "credit", 0)
    for number, account_id in enumerate(("wal_x", "wal-x", "wal.x"), start=1):
        books.post(f"top_{number}", (BANK, account_id, number))
    export_beancount(books.units, tmp_path / "books.beancount")
    found = load(tmp_path / "books.beancount")
    assert found["errors"] == []
    assert len(set(found["names"].values())) == len(found["names"])
    assert [found["balances"][name][0][0] for name in ("wal_x", "wal-x", "wal.x")] == [
        *("-0.01", "-0.02", "-0.03")
    ]


def test_empty_books_are_books(books: Books, tmp_path: Path) -> None:
    assert export_beancount(books.units, tmp_path / "books.beancount") == 0
    assert load(tmp_path / "books.beancount")["errors"] == []


def test_nothing_is_written_over_and_nothing_left_half(units: Units, tmp_path: Path) -> None:
    path = tmp_path / "books.beancount"
    path.write_text("mine")
    with pytest.raises(ExportRefused, match="is there already"):
        export_beancount(units, path)
    assert path.read_text() == "mine"
    with pytest.raises(ExportRefused, match="File exists"):
        export_beancount(units, path / "inside")
    assert list(tmp_path.glob(".*")) == []
