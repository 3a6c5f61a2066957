"""Rows of offline sales by key; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.db import Rows
from backend.kernel import is_id
from backend.merchants import TerminalFacts
from backend.payments.offline import tables
from backend.payments.offline.model import OfflineSale, Result, SaleState, Split, Unreadable, Upload

NOTHING = Split(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Taken:
    """How a sale ended, beside what its terminal is told."""

    result: Result
    split: Split = NOTHING
    operation_id: str | None = None
    case_id: str | None = None


def want(rows: Rows, upload: Upload, sale: OfflineSale) -> None:
    rows.want(tables.offline_sale, upload.terminal_id, sale.terminal_counter)
    rows.want(tables.offline_payment, sale.payment_id)
    rows.want(tables.terminal_clone, upload.terminal_id, sale.terminal_counter, sale.digest)


def find_kept(rows: Rows, terminal_id: str, terminal_counter: int) -> Mapping[str, Any] | None:
    """What this terminal uploaded under this counter."""
    return rows.find(tables.offline_sale, terminal_id, terminal_counter)


def has_moved(rows: Rows, payment_id: str) -> bool:
    """Whether an upload moved money under this id."""
    return rows.find(tables.offline_payment, payment_id) is not None


def result_of(row: Mapping[str, Any]) -> Result:
    state = SaleState(row["state"])
    return Result(row["payment_id"], state, row["code"], row["detail"], row["balance_fen"])


def keep(rows: Rows, upload: Upload, sale: OfflineSale, taken: Taken) -> None:
    """The sale with its result, for ever."""
    row = {
        "terminal_id": upload.terminal_id,
        "terminal_counter": sale.terminal_counter,
        "payment_id": sale.payment_id,
        "incarnation": upload.incarnation,
        "chain": sale.chain,
        "digest": sale.digest,
        "kind": sale.kind,
        "amount_fen": sale.amount_fen,
        "accepted_at": sale.accepted_at,
        "received_at": rows.now,
        "state": taken.result.state.value,
        "code": taken.result.code,
        "detail": taken.result.detail,
        "balance_fen": taken.result.balance_fen,
        "case_id": taken.case_id,
        "content": sale.content,
    }
    rows.add(tables.offline_sale, row)


def keep_payment(rows: Rows, payment_id: str, taken: Taken, facts: TerminalFacts) -> None:
    """What moved, where anything did."""
    if taken.operation_id is None:
        return
    row = {
        "payment_id": payment_id,
        "terminal_id": facts.terminal_id,
        "terminal_number": facts.terminal_number,
        "operation_id": taken.operation_id,
        "wallet_fen": taken.split.wallet_fen,
        "debt_fen": taken.split.debt_fen,
        "loss_fen": taken.split.loss_fen,
    }
    rows.add(tables.offline_payment, row)


def keep_unreadable(rows: Rows, terminal_id: str, item: Unreadable) -> None:
    if rows.find(tables.offline_unread, terminal_id, item.digest) is None:
        row = {
            "terminal_id": terminal_id,
            "digest": item.digest,
            "wrong_fields": item.wrong_fields[:200],
        }
        rows.add(tables.offline_unread, {**row, "content": item.content, "seen_at": rows.now})


def want_unreadable(rows: Rows, terminal_id: str, item: Unreadable) -> None:
    rows.want(tables.offline_unread, terminal_id, item.digest)


# --- for refunds ------------------------------------------------------------------------------


def want_loss(rows: Rows, payment_id: str) -> None:
    if is_id(payment_id, "pay"):
        rows.want(tables.offline_payment, payment_id)


def loss_fen_of(rows: Rows, payment_id: str) -> int:
    """What the issuer bore of a payment; 0 for one that was made online."""
    row = rows.find(tables.offline_payment, payment_id)
    return 0 if row is None else int(row["loss_fen"])
