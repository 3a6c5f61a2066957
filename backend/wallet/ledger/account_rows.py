"""An account's row: read, written, and changed step by step when it is hot. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.db import Rows
from backend.wallet.ledger import tables
from backend.wallet.ledger.model import Account, AccountState, LedgerBroken, Side

SIDES = {one.value: one for one in Side}
STATES = {one.value: one for one in AccountState}
POSTED = ("debits_posted", "credits_posted", "lines")
PENDING = ("debits_pending", "credits_pending", "holds_expire_at")


def to_account(row: Mapping[str, Any]) -> Account:
    return Account(
        row["account_id"],
        row["kind"],
        SIDES[row["side"]],
        row["account_class"],
        row["floor_fen"],
        STATES[row["state"]],
        row["debits_posted"],
        row["credits_posted"],
        row["debits_pending"],
        row["credits_pending"],
        row["lines"],
        row["holds_expire_at"],
    )


def account_row(account: Account) -> Mapping[str, Any]:
    return account._asdict() | {"side": account.side.value, "state": account.state.value}


def opened(account: Account, row: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A step on a hot account's row: it is there."""
    return account_row(account) if row is None else row


def with_line(side: Side, line: dict[str, Any], row: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A step on a hot account's row: one more line, whose number and balance are known now."""
    if row is None:
        raise LedgerBroken(f"no such account: {line['account_id']}")
    account = to_account(row).moved(side, line["amount_fen"])
    line["line"], line["balance_fen"] = account.lines, account.balance_fen
    return {**row, **{one: getattr(account, one) for one in POSTED}}


def with_pending(side: Side, amount_fen: int, row: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A step on a hot account's row: so much more is pending on that side."""
    if row is None:
        raise LedgerBroken("no such account")
    account = to_account(row).pending(side, amount_fen)
    return {**row, **{one: getattr(account, one) for one in PENDING}}


def save(
    rows: Rows,
    before: Mapping[str, Account],
    after: Mapping[str, Account],
    columns: tuple[str, ...],
) -> None:
    for name, new in after.items():
        if new is not before[name]:
            rows.change(tables.account, (name,), **{one: getattr(new, one) for one in columns})
