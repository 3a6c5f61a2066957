"""Goal: an account's length does not matter: every question goes by an index, without a sort.

The plans are asked for on an account with many lines beside a busy neighbour, as the engines
choose them by themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from statement_world import Books, Move, utc

from backend.db import Databases, Units, Which, Work
from backend.wallet.ledger import reading
from backend.wallet.statements import Period, WalletStatements

BEGIN = utc("2026-01-01T00:00:00+08:00")
LINES = 1_500
IDLE = 500
MIDDLE = BEGIN + timedelta(minutes=LINES // 2)

Ask = Callable[[Work, str], object]
QUESTIONS: dict[str, Ask] = {
    "newest": lambda work, name: reading.lines(work, name, limit=50),
    "oldest": lambda work, name: reading.lines(work, name, limit=50, newest_first=False),
    "below": lambda work, name: reading.lines(work, name, limit=50, before_line=700),
    "between": lambda work, name: reading.lines(
        work, name, limit=50, after_line=300, before_line=1_200, newest_first=False
    ),
    "line": lambda work, name: reading.find_line(work, name, 700),
    "mark": lambda work, name: reading.last_before(work, name, MIDDLE),
    "early mark": lambda work, name: reading.last_before(work, name, BEGIN + timedelta(minutes=9)),
}


@pytest.fixture
def long_wallet(books: Books, wallet_id: str, person_id: str, units: Units) -> str:
    """A wallet with a line a minute, a neighbour with as many, and engines that know it."""
    other = books.open_wallet(person_id + "_other")
    books.open_accounts([f"idle:{number}" for number in range(IDLE)], "credit", "payable")
    moments = [BEGIN + timedelta(minutes=number) for number in range(LINES)]
    books.post(*(Move(name, 1, at) for at in moments for name in (wallet_id, other)))
    if units.databases[Which.LEDGER].engine.dialect.name == "postgresql":
        with units.databases[Which.LEDGER].engine.begin() as connection:
            connection.execute(text("ANALYZE entry, posting, account"))
    return wallet_id


@pytest.fixture
def asked(databases: Databases) -> Iterator[list[tuple[str, Any]]]:
    """Every SELECT sent to the ledger, with its values."""
    sent: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, values: Any, *_more: Any) -> None:
        if statement.startswith("SELECT"):
            sent.append((" ".join(statement.split()), values))

    engine = databases[Which.LEDGER].engine
    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


def plan_of(work: Work, statement: str, values: Any) -> str:
    """What the engine would do, one step a line."""
    if work.connection.dialect.name == "sqlite":
        rows = work.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        return "\n".join(row.detail for row in rows)
    rows = work.connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values)
    found = rows.scalar_one()
    (tree,) = json.loads(found) if isinstance(found, str) else found
    return "\n".join(_steps(tree["Plan"]))


def _steps(node: dict[str, Any]) -> Iterator[str]:
    names = ("Node Type", "Relation Name", "Index Name", "Index Cond", "Filter")
    yield " ".join(str(node[name]) for name in names if name in node)
    for child in node.get("Plans", ()):
        yield from _steps(child)


def assert_by_index(statement: str, plan: str) -> None:
    """No scan and no sort, and the index is entered by every column that is asked for."""
    assert not re.search(r"SCAN|Seq Scan|\bSort\b|TEMP B-TREE|Filter", plan), plan
    assert re.search(r"USING (COVERING )?INDEX|Index", plan), plan
    for column in ("posted_at", "line"):
        if re.search(rf"(WHERE|AND) entry\.{column} [<>=]", statement):
            assert column in plan, (statement, plan)


def test_questions_go_by_an_index(
    units: Units, long_wallet: str, asked: list[tuple[str, Any]]
) -> None:
    for name, question in QUESTIONS.items():
        asked.clear()
        with units.read(Which.LEDGER) as work:
            question(work, long_wallet)
            sent = list(asked)
            plans = [(statement, plan_of(work, statement, values)) for statement, values in sent]
        assert len(plans) == (3 if "mark" in name else 2), plans
        for statement, plan in plans:
            assert (" FROM entry" in statement) != (" FROM posting" in statement), statement
            assert_by_index(statement, plan)


def test_the_checker_of_plans_sees_a_scan_and_a_sort(units: Units, long_wallet: str) -> None:
    """Goal: the check above can fail."""
    with units.read(Which.LEDGER) as work:
        for sin in (
            "SELECT line FROM entry WHERE amount_fen = 7",
            f"SELECT line FROM entry WHERE account_id = '{long_wallet}' ORDER BY operation_id",
        ):
            plan = plan_of(work, sin, ())
            with pytest.raises(AssertionError):
                assert_by_index(sin, plan)


def test_the_number_of_questions_is_fixed(
    units: Units,
    statements: WalletStatements,
    person_id: str,
    long_wallet: str,
    asked: list[tuple[str, Any]],
) -> None:
    today = statements.today()
    for month in ("2026-01", "2026-02", "2025-11"):  # many lines, none in it, none before it
        for limit in (1, 200):
            asked.clear()
            statements.page(
                person_id,
                long_wallet,
                Period.month(month, today),
                limit=limit,
                after_line=None,
                newest_first=True,
            )
            assert len(asked) <= 9, asked
