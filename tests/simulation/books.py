"""An auditor of the ledger: derives every balance again, from postings and from entries."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import select

from backend.db import METADATA, Units, Which
from backend.wallet.ledger import Side, reading, tables

SIDES = ("debit", "credit")
USED_UP = ("answer", "proof_use", "token_use", "key_use")
"""What a proof leaves behind that the wallet said no to: it is used, and seen as used."""


def audit(units: Units) -> None:
    """Fails unless the books are whole: sums, balances, lines, holds."""
    with units.read(Which.LEDGER) as work:
        totals = reading.totals(work)
        read = {
            one.name: [dict(row) for row in work.execute(select(one)).mappings()]
            for one in (tables.account, tables.posting, tables.entry, tables.hold)
        }
    assert totals.debits_fen == totals.credits_fen, "the sum of the ledger is not zero"
    assert sum(totals.by_kind.values()) == 0, "the kinds do not balance"
    accounts = {row["account_id"]: row for row in read["account"]}
    assert _from_postings(read["posting"]) == _stored(accounts, "posted")
    assert _from_entries(read["entry"]) == _stored(accounts, "posted")
    assert _from_holds(read["hold"]) == _stored(accounts, "pending")
    _check_lines(accounts, read["entry"])
    _check_legs(read)


def dump(units: Units, *, but: tuple[str, ...] = ("answer",)) -> dict[str, Any]:
    """Every row of every table, `answer` left out: equal dumps mean that nothing was changed."""
    found: dict[str, Any] = {}
    for which in Which:
        with units.read(which) as work:
            for name, table in METADATA[which].tables.items():
                if name not in but:
                    rows = work.execute(select(table)).all()
                    found[f"{which.value}.{name}"] = sorted(map(repr, rows))
    return found


def _stored(accounts: dict[str, Any], kind: str) -> dict[tuple[str, str], int]:
    amounts = {
        (name, side): row[f"{side}s_{kind}"] for name, row in accounts.items() for side in SIDES
    }
    return {at: fen for at, fen in amounts.items() if fen}


def _from_postings(postings: list[Any]) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for row in postings:
        for side in SIDES:
            sums[row[side], side] += row["amount_fen"]
    return dict(sums)


def _from_holds(holds: list[Any]) -> dict[tuple[str, str], int]:
    return _from_postings([row for row in holds if row["state"] == "pending"])


def _from_entries(entries: list[Any]) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for row in entries:
        sums[row["account_id"], row["side"]] += row["amount_fen"]
    return dict(sums)


def _check_lines(accounts: dict[str, Any], entries: list[Any]) -> None:
    """Lines are numbered without a gap, and each shows the balance after it."""
    by_account: dict[str, list[Any]] = defaultdict(list)
    for row in sorted(entries, key=lambda one: one["line"]):
        by_account[row["account_id"]].append(row)
    for name, account in accounts.items():
        lines = by_account[name]
        assert [row["line"] for row in lines] == list(range(1, account["lines"] + 1))
        balance_fen = 0
        for row in lines:
            balance_fen += row["amount_fen"] * (1 if row["side"] == account["side"] else -1)
            assert row["balance_fen"] == balance_fen, f"{name}, line {row['line']}"
        floor_fen, held = account["floor_fen"], account[f"{_other(account['side'])}s_pending"]
        assert floor_fen is None or balance_fen - held >= floor_fen, name


def _check_legs(read: dict[str, list[Any]]) -> None:
    """Every posting has its two entries, and nothing stands alone."""
    legs = {(row["operation_id"], row["leg"]): row for row in read["posting"]}
    pairs: dict[tuple[str, int], set[Any]] = defaultdict(set)
    for row in read["entry"]:
        pairs[row["operation_id"], row["leg"]].add(
            (row["side"], row["account_id"], row["amount_fen"])
        )
    assert pairs == {
        at: {(side, row[side], row["amount_fen"]) for side in SIDES} for at, row in legs.items()
    }


def _other(side: str) -> str:
    return (Side.CREDIT if side == Side.DEBIT.value else Side.DEBIT).value
