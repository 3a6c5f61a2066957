"""A standing order's row: when it asks, what a month leaves, what the bank's word does to it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date
from typing import Any

from typeid import TypeID

from backend.db import Rows
from backend.kernel import business_date
from backend.wallet.topups.tables import automatic_topup

DECLINES_MAX = 3
ACTIVE, PAUSED = "active", "paused"
NAMESPACE = uuid.UUID("6a4e4f5c-3a0e-5a51-9a3b-0d8f6d1f2c77")


def derived_id(prefix: str, *parts: str) -> str:
    """The one id that follows from what caused it (UUID version 5, RFC 9562)."""
    suffix = uuid.uuid5(NAMESPACE, "\n".join((prefix, *parts)))
    return str(TypeID.from_uuid(prefix=prefix, suffix=suffix))  # type: ignore[arg-type]


def first_of_month(rows: Rows) -> date:
    return business_date(rows.now).replace(day=1)


def month_fen(row: Mapping[str, Any], month: date) -> int:
    """What the order asked for in this month."""
    return int(row["month_fen"]) if row["month"] == month else 0


def has_room(rows: Rows, row: Mapping[str, Any]) -> bool:
    """Whether the month leaves one more top-up."""
    used_fen = month_fen(row, first_of_month(rows))
    return used_fen + int(row["amount_fen"]) <= int(row["month_max_fen"])


def note_asked(rows: Rows, row: Mapping[str, Any]) -> None:
    month = first_of_month(rows)
    used_fen = month_fen(row, month) + row["amount_fen"]
    rows.change(automatic_topup, (row["wallet_id"],), month=month, month_fen=used_fen)


def note_outcome(rows: Rows, topup: Mapping[str, Any], failure_code: str | None) -> None:
    """What became of a top-up, told to the standing order that asked for it, if it still stands.

    A decline gives the month its amount back. The third in a row pauses the order.
    """
    order = rows.find(automatic_topup, topup["wallet_id"])
    if order is None or topup["order_id"] is None or order["order_id"] != topup["order_id"]:
        return
    if failure_code is None:
        rows.change(automatic_topup, (order["wallet_id"],), declines=0)
        return
    if order["month"] == business_date(topup["created_at"]).replace(day=1):
        left_fen = max(0, order["month_fen"] - topup["amount_fen"])
        rows.change(automatic_topup, (order["wallet_id"],), month_fen=left_fen)
    note_decline(rows, order["wallet_id"], failure_code)


def note_decline(rows: Rows, wallet_id: str, code: str) -> None:
    """One more in a row, be it the bank's or the wallet's own no."""
    order = rows.find(automatic_topup, wallet_id)
    assert order is not None
    declines = order["declines"] + 1
    paused = {"state": PAUSED, "paused_code": code} if declines >= DECLINES_MAX else {}
    rows.change(automatic_topup, (wallet_id,), declines=declines, **paused)
