"""The book of a purse by key: chip as last seen, counters and TACs that were used. Decides
nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from backend.db import Rows
from backend.kernel import new_id
from backend.payments.purses import tables
from backend.payments.purses.states import CaseState
from backend.wallet import (
    Ledger,
    epurse_float_account,
    get_owner,
    is_shut,
    suspense_account,
    want_owner,
)
from backend.wallet import open_case as open_wallet_case

Row = Mapping[str, Any]


def want(rows: Rows, purse_number: str) -> None:
    rows.want(tables.purse_book, purse_number)


def want_purchase(
    rows: Rows, purse_number: str, purchase_counter: int, sam: tuple[str, str]
) -> None:
    """The book, and whether counter and TAC are still unused."""
    want(rows, purse_number)
    rows.want(tables.purse_purchase, purse_number, purchase_counter)
    rows.want(tables.purse_proof_use, purse_number, *sam)


def find(rows: Rows, purse_number: str) -> Row | None:
    return rows.find(tables.purse_book, purse_number)


def is_proof_used(rows: Rows, purse_number: str, sam: tuple[str, str]) -> bool:
    find(rows, purse_number)  # the purse first: who holds it holds everything of it
    return rows.find(tables.purse_proof_use, purse_number, *sam) is not None


def is_counter_used(rows: Rows, purse_number: str, purchase_counter: int) -> bool:
    return rows.find(tables.purse_purchase, purse_number, purchase_counter) is not None


def use_proof(rows: Rows, purse_number: str, sam: tuple[str, str], payment_id: str) -> None:
    row = {"purse_number": purse_number, "sam_number": sam[0], "sam_serial": sam[1]}
    rows.add(tables.purse_proof_use, {**row, "payment_id": payment_id})


def add_purchase(
    rows: Rows,
    purse_number: str,
    purchase_counter: int,
    *,
    payment_id: str,
    amount_fen: int,
    balance_after_fen: int | None,
    made_at: datetime,
) -> None:
    row = {
        "purse_number": purse_number,
        "purchase_counter": purchase_counter,
        "payment_id": payment_id,
        "amount_fen": amount_fen,
        "balance_after_fen": balance_after_fen,
        "made_at": made_at,
    }
    rows.add(tables.purse_purchase, row)


def see_chip(
    rows: Rows, ledger: Ledger, purse_number: str, chip_fen: int, at: datetime, **counters: Any
) -> None:
    """The chip said what it holds: the latest word counts, counters only rise."""
    ledger.open_account(rows, epurse_float_account(purse_number))
    row = find(rows, purse_number)
    if row is None:
        blank = {"purchase_counter": None, "load_counter": None, "open_load_id": None}
        seen = {"purse_number": purse_number, "chip_fen": chip_fen, "chip_seen_at": at}
        rows.add(tables.purse_book, {**blank, **seen, **counters})
        return
    new: dict[str, Any] = {
        name: value for name, value in counters.items() if value > (row[name] or -1)
    }
    if at > row["chip_seen_at"] or (at == row["chip_seen_at"] and new):
        new |= {"chip_fen": chip_fen, "chip_seen_at": at}
    if new:
        rows.change(tables.purse_book, (purse_number,), **new)


def set_open_load(rows: Rows, purse_number: str, load_id: str | None) -> None:
    rows.change(tables.purse_book, (purse_number,), open_load_id=load_id)


def want_home(rows: Rows, ledger: Ledger, wallet_id: str) -> None:
    """Want what `open_home` reads."""
    want_owner(rows, wallet_id)
    ledger.need(rows, (wallet_id,))


def open_home(
    rows: Rows, ledger: Ledger, wallet_id: str, *, operation_id: str, amount_fen: int, reason: str
) -> str:
    """The account that money for a holder goes to: the wallet; where that is closed, a fresh case
    of its owner, for the operation that is going to fill it. Raises WalletUnknown."""
    person_id = get_owner(rows, wallet_id)
    if not is_shut(rows, ledger, wallet_id):
        return wallet_id
    case_id = open_wallet_case(
        rows,
        ledger,
        wallet_id=wallet_id,
        person_id=person_id,
        operation_id=operation_id,
        amount_fen=amount_fen,
        reason=reason,
    )
    return suspense_account(case_id).account_id


def open_case(
    rows: Rows,
    ledger: Ledger,
    *,
    payment_id: str,
    purse_number: str,
    merchant_id: str,
    shop_name: str,
    amount_fen: int,
    reason: str,
) -> str:
    """A fresh case and its account, for the posting that is going to fill it; the case's id."""
    case_id = new_id("cas")
    ledger.open_account(rows, suspense_account(case_id))
    row = {
        "case_id": case_id,
        "payment_id": payment_id,
        "purse_number": purse_number,
        "merchant_id": merchant_id,
        "shop_name": shop_name,
        "amount_fen": amount_fen,
        "reason": reason,
        "state": CaseState.OPEN.value,
        "opened_at": rows.now,
        "decided_by": None,
        "decided_at": None,
        "note": None,
    }
    rows.add(tables.purse_case, row)
    return case_id
