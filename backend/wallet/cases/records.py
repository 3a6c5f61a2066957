"""Reads and writes cases by key, for whoever finds a difference."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from backend.db import Rows
from backend.wallet.cases.model import Case, CaseKind, CaseState
from backend.wallet.cases.tables import SUBJECT_MAX, match_case, match_day

NOTHING_SAID: Mapping[str, Any] = dict.fromkeys(
    ("case_number", "reason", "explained_by", "explained_at")
)


def subject_of(order_id: str) -> str:
    """What a bank may write into an order id, as a column takes it; never empty."""
    return "".join(one if one.isprintable() else "?" for one in order_id[:SUBJECT_MAX]) or "?"


def want_case(rows: Rows, day: date, subject: str, kind: CaseKind) -> None:
    rows.want(match_day, day)
    rows.want(match_case, day, subject, kind.value)


def open_case(
    rows: Rows,
    day: date,
    subject: str,
    kind: CaseKind,
    *,
    bank_fen: int | None = None,
    ours_fen: int | None = None,
    ledger_fen: int | None = None,
) -> None:
    """Open a case, or see it again; one that was explained stays so while its figures do.

    A day that was closed is open again when a case of it is.
    """
    if rows.find(match_day, day) is None:
        rows.add(match_day, {"business_date": day, "state": "open"})
    figures = {"bank_fen": bank_fen, "ours_fen": ours_fen, "ledger_fen": ledger_fen}
    key = (day, subject, kind.value)
    known = rows.find(match_case, *key)
    if known is None:
        names = {"business_date": day, "subject": subject, "kind": kind.value}
        row = {**names, **figures, "state": CaseState.OPEN.value, "found_at": rows.now}
        rows.add(match_case, {**NOTHING_SAID, **row})
    elif known["state"] == CaseState.GONE.value or any(
        known[name] != fen for name, fen in figures.items()
    ):
        rows.change(match_case, key, state=CaseState.OPEN.value, **figures)
    else:
        return
    rows.change(match_day, (day,), state="open", closed_by=None, closed_at=None)


def case_of(row: Mapping[str, Any]) -> Case:
    return Case(
        **{**row, "kind": CaseKind(row["kind"]), "state": CaseState(row["state"])},
    )
