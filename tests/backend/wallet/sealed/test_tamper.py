"""As the owner of the database change what was posted: the independent checker finds it.

Each hand changes rows on both engines with the triggers out of the way, and takes with it as much
of what depends on them as it can; it has no signing key but its own.
"""

from __future__ import annotations

import json

import pytest
from plain_books import Books
from tampering import CHANGE_ALL, Ask, run

from backend.db import Databases


def test_right_books_are_found_right(history: Books, ask: Ask) -> None:
    said = ask("books")
    newest = json.loads((said.folder / "head.json").read_text())["newest_segment"]
    assert said.said == (
        "ledger=ok postings=28 segments=3 unsealed=7 accounts=6 keys=export"
        f" newest={newest['segment_hash']}"
    )
    assert said.exit_code == 0
    assert ask("again", "--head", str(said.folder / "head.json")).exit_code == 0


DELETE_ALL = (  # pay_22 never happened: later lines move up, balances with them
    "UPDATE entry SET balance_fen = balance_fen + 102 WHERE account_id = 'wal_a' AND line >"
    " (SELECT line FROM entry e WHERE e.operation_id = 'pay_22' AND e.account_id = 'wal_a')",
    "UPDATE entry SET balance_fen = balance_fen - 102 WHERE account_id LIKE 'payable:%' AND line >"
    " (SELECT line FROM entry e WHERE e.operation_id = 'pay_22' AND e.account_id LIKE 'payable:%')",
    "UPDATE entry SET line = line + 1000 WHERE account_id = 'wal_a' AND line >"
    " (SELECT line FROM entry e WHERE e.operation_id = 'pay_22' AND e.account_id = 'wal_a')",
    "UPDATE entry SET line = line + 1000 WHERE account_id LIKE 'payable:%' AND line >"
    " (SELECT line FROM entry e WHERE e.operation_id = 'pay_22' AND e.account_id LIKE 'payable:%')",
    "DELETE FROM entry WHERE operation_id = 'pay_22'",
    "UPDATE entry SET line = line - 1001 WHERE line > 1000",
    "DELETE FROM posting WHERE operation_id = 'pay_22'",
    "UPDATE account SET debits_posted = debits_posted - 102, lines = lines - 1"
    " WHERE account_id = 'wal_a'",
    "UPDATE account SET credits_posted = credits_posted - 102, lines = lines - 1"
    " WHERE account_id LIKE 'payable:%'",
)
POSTING_COLUMNS = (
    "operation_id, leg, debit, credit, amount_fen, code, linked_to, memo, business_date, posted_at,"
    " segment"
)
INSERT = f"""
INSERT INTO posting ({POSTING_COLUMNS})
SELECT 'pay_215', leg, debit, credit, amount_fen, code, linked_to, memo, business_date, posted_at,
 segment FROM posting WHERE operation_id = 'pay_22'
"""
SWAP_IDS = tuple(
    f"UPDATE {table} SET operation_id = '{new}' WHERE operation_id = '{old}'"
    for old, new in (("pay_21", "x"), ("pay_22", "pay_21"), ("x", "pay_22"))
    for table in ("posting", "entry")
)
SWAP_LINES = (
    "UPDATE entry SET line = line + 1000 WHERE operation_id IN ('pay_21', 'pay_22')",
    "UPDATE entry SET line = line - 999 WHERE operation_id = 'pay_21'",
    "UPDATE entry SET line = line - 1001 WHERE operation_id = 'pay_22'",
)
CHANGED, REMOVED, PUT_IN = "was changed", "removed or moved", "was put in"

# hand -> (statements, the operation of the line named, what is said)
HANDS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "amount of a posting": (CHANGE_ALL[:1], "pay_22", CHANGED),
    "amount of a posting and its entries": (CHANGE_ALL[:2], "pay_22", CHANGED),
    "amount everywhere": (CHANGE_ALL, "pay_22", CHANGED),
    "balance of a statement line": (
        ("UPDATE entry SET balance_fen = 1 WHERE operation_id = 'pay_22' AND side = 'debit'",),
        *("pay_22", CHANGED),
    ),
    "time of a statement line": (
        ("UPDATE entry SET posted_at = '2026-11-23 01:00:00' WHERE operation_id = 'pay_22'",),
        *("pay_22", CHANGED),
    ),
    "memo": (
        ("UPDATE posting SET memo = 'x' WHERE operation_id = 'pay_22'",),
        *("pay_22", CHANGED),
    ),
    "payer": (
        ("UPDATE posting SET debit = 'wal_b' WHERE operation_id = 'pay_22'",),
        *("pay_22", CHANGED),
    ),
    "a posting deleted": (
        ("DELETE FROM posting WHERE operation_id = 'pay_22'",),
        *("pay_23", REMOVED),
    ),
    "a posting deleted everywhere": (DELETE_ALL, "pay_23", CHANGED),
    "a posting put in": ((INSERT,), "pay_215", PUT_IN),
    "a posting moved to the next segment": (
        ("UPDATE posting SET segment = 3 WHERE operation_id = 'pay_22'",),
        *("pay_23", REMOVED),
    ),
    "a posting moved before all": (
        ("UPDATE posting SET segment = 0 WHERE operation_id = 'pay_22'",),
        *("pay_22", "is over, or has no seal"),
    ),
    "two ids swapped": (SWAP_IDS, "pay_21", CHANGED),
    "two lines swapped": (SWAP_LINES, "pay_21", CHANGED),
    # not sealed yet: the laws of the books are all there is
    "unsealed: amount of a posting": (
        ("UPDATE posting SET amount_fen = 1 WHERE operation_id = 'pay_42'",),
        *("pay_42", "the balance should be"),
    ),
    "unsealed: a posting deleted": (
        (
            "DELETE FROM posting WHERE operation_id = 'pay_42'",
            "DELETE FROM entry WHERE operation_id = 'pay_42'",
        ),
        *("pay_43", "is missing before this one"),
    ),
    "unsealed: a second leg deleted": (
        (
            "UPDATE posting SET leg = 2 WHERE operation_id = 'two_4' AND leg = 1",
            "UPDATE entry SET leg = 2 WHERE operation_id = 'two_4' AND leg = 1",
        ),
        *("two_4", "leg 1 is missing"),
    ),
    "unsealed: an operation repeated": (
        (
            "UPDATE posting SET operation_id = 'pay_11', leg = 1 WHERE operation_id = 'pay_42'",
            "UPDATE entry SET operation_id = 'pay_11', leg = 1 WHERE operation_id = 'pay_42'",
        ),
        *("pay_11", "the operation is there twice"),
    ),
    "unsealed: a segment not open yet": (
        ("UPDATE posting SET segment = 9 WHERE operation_id = 'two_4'",),
        *("two_4", "not open yet"),
    ),
}


@pytest.mark.parametrize("hand", HANDS)
def test_a_changed_line_is_named(history: Books, databases: Databases, ask: Ask, hand: str) -> None:
    statements, operation_id, what = HANDS[hand]
    run(databases, *statements)
    said = ask("books")
    assert said.exit_code == 1
    assert said.said.startswith("ledger=bad file=postings.jsonl line=")
    assert f" operation={operation_id} " in said.said
    assert what in said.said
    assert said.line[2] == operation_id


def test_a_line_added_to_a_statement_is_named(
    history: Books, databases: Databases, ask: Ask
) -> None:
    run(
        databases,
        "INSERT INTO entry SELECT account_id, line + 1000, operation_id, leg, side, amount_fen,"
        " balance_fen, code, posted_at FROM entry"
        " WHERE operation_id = 'pay_22' AND account_id = 'wal_a'",
    )
    first = ask("books").said
    assert "operation=pay_22" in first  # two lines for one side: the posting appears twice
    run(databases, "UPDATE entry SET operation_id = 'gone' WHERE line > 1000")
    said = ask("again").said
    assert said.startswith("ledger=bad file=strays.jsonl line=1 operation=gone")


@pytest.mark.parametrize(
    ("account_id", "change", "said"),
    [
        ("wal_c", "credits_posted = credits_posted + 1", "credits: the account says 201"),
        ("wal_c", "lines = lines + 1", "lines: the account says 9, its lines say 8"),
        ("wal_c", "debits_pending = 1", "sum is not zero: posted 0, pending 1"),
        ("wal_c", "side = 'debit', floor_fen = NULL", "line 1 of wal_c: the balance should be -50"),
        ("wal_a", "floor_fen = 4900", "line 2 of wal_a: the balance 4899 is below 4900"),
    ],
)
def test_a_changed_account_is_found(
    history: Books, databases: Databases, ask: Ask, *, account_id: str, change: str, said: str
) -> None:
    run(databases, f"UPDATE account SET {change} WHERE account_id = '{account_id}'")
    evidence = ask("books")
    assert evidence.exit_code == 1
    assert said in evidence.said
