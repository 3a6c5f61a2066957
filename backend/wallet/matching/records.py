"""Writes a day's result down and reads it again: the day, its totals, its cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import select

from backend.db import Rows, Work
from backend.wallet.cases import Case, CaseState, open_case
from backend.wallet.cases.model import TOLD
from backend.wallet.cases.records import case_of
from backend.wallet.cases.tables import match_case, match_day
from backend.wallet.matching.model import (
    CASES_MAX,
    Comparison,
    DayMatch,
    DayNotMatched,
    DayState,
    SideTotals,
)
from backend.wallet.matching.tables import FIGURES, match_total

CHANNELS_MAX = 20
TOLD_KINDS = frozenset(one.value for one in TOLD)


def save(rows: Rows, day: date, found: Comparison) -> None:
    """What was found is the day's result now; cases that are found no more are gone."""
    row = rows.find(match_day, day)
    if row is None:
        row = {"business_date": day, "state": DayState.OPEN.value}
        rows.add(match_day, row)
    rows.change(match_day, (day,), matched_at=rows.now)
    seen = set()
    for one in found.differences:
        seen.add((one.subject, one.kind.value))
        figures = {"bank_fen": one.bank_fen, "ours_fen": one.ours_fen, "ledger_fen": one.ledger_fen}
        open_case(rows, day, one.subject, one.kind, **figures)
    for case in cases_of(rows, day):
        name = (case["subject"], case["kind"])
        if name not in seen and case["kind"] not in TOLD_KINDS:
            rows.change(match_case, (day, *name), state=CaseState.GONE.value)
    _save_totals(rows, day, found.totals)


def want(rows: Rows, day: date, found: Comparison) -> None:
    """Want what `save` reads by key."""
    rows.want(match_day, day)
    for one in found.differences:
        rows.want(match_case, day, one.subject, one.kind.value)
    for total in found.totals:
        rows.want(match_total, day, total.channel)


def cases_of(rows: Rows, day: date) -> list[Mapping[str, Any]]:
    """Every case of a day that a match or the bank's word has found, those of this moment too."""
    found = rows.find_where(match_case, match_case.c.business_date == day, 4 * CASES_MAX)
    return [*found, *(one for one in rows.added(match_case) if one["business_date"] == day)]


def page_of_cases(work: Work, day: date, limit: int, after: str | None) -> list[Case]:
    """Cases of a day by subject and kind, above the cursor `<kind>/<subject>`."""
    case = match_case.c
    query = select(match_case).where(case.business_date == day)
    if after is not None:
        kind, _, subject = after.partition("/")
        query = query.where(
            (case.subject > subject) | ((case.subject == subject) & (case.kind > kind))
        )
    rows = work.execute(query.order_by(case.subject, case.kind).limit(limit)).mappings()
    return [case_of(dict(row)) for row in rows]


def count_by_state(rows: Rows, day: date) -> dict[str, int]:
    counts: dict[str, int] = {}
    for case in cases_of(rows, day):
        counts[case["state"]] = counts.get(case["state"], 0) + 1
    return counts


def day_match(
    rows: Rows,
    day: date,
    *,
    matched: int = 0,
    amount_fen: int = 0,
    unmatched: Sequence[str] = (),
) -> DayMatch:
    """The day's result as this transaction sees it. Raises DayNotMatched."""
    row = rows.find(match_day, day)
    if row is None or row.get("matched_at") is None:
        raise DayNotMatched
    counts = count_by_state(rows, day)
    return DayMatch(
        business_date=day,
        state=DayState(row["state"]),
        matched=matched,
        amount_fen=amount_fen,
        unmatched=list(unmatched),
        cases_open=counts.get(CaseState.OPEN.value, 0),
        cases_explained=counts.get(CaseState.EXPLAINED.value, 0),
        totals=_totals(rows, day),
        matched_at=row["matched_at"],
        closed_by=row.get("closed_by"),
        closed_at=row.get("closed_at"),
    )


def accepted_subjects(work: Work, day: date, kind: str) -> frozenset[str]:
    """Subjects of the day whose case of this kind a person has explained."""
    case = match_case.c
    query = select(case.subject).where(
        case.business_date == day, case.kind == kind, case.state != CaseState.OPEN.value
    )
    explained = query.where(case.case_number.isnot(None))
    return frozenset(work.execute(explained).scalars())


def _save_totals(rows: Rows, day: date, totals: Iterable[SideTotals]) -> None:
    for total in totals:
        figures = {name: getattr(total, name) for name in FIGURES}
        if rows.find(match_total, day, total.channel) is None:
            rows.add(match_total, {"business_date": day, "channel": total.channel, **figures})
        else:
            rows.change(match_total, (day, total.channel), **figures)
    fresh = {one.channel for one in totals}
    for row in rows.find_where(match_total, match_total.c.business_date == day, CHANNELS_MAX):
        if row["channel"] not in fresh:  # strangers' money that is on the statement no more
            rows.remove(match_total, day, row["channel"])


def _totals(rows: Rows, day: date) -> list[SideTotals]:
    found = rows.find_where(match_total, match_total.c.business_date == day, CHANNELS_MAX)
    new = [one for one in rows.added(match_total) if one["business_date"] == day]
    by_channel = {one["channel"]: one for one in (*found, *new)}
    return [
        SideTotals(channel, **{name: by_channel[channel][name] for name in FIGURES})
        for channel in sorted(by_channel)
    ]
