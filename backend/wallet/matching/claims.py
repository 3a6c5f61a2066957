"""Reads our side and the ledger's of a day: claims by subject, and postings that are nobody's.

Plain SQL in chunks, never a join across tables that may lie on different shards; writes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, select

from backend.db import Work
from backend.kernel import is_id
from backend.kernel.clock import BUSINESS_ZONE
from backend.wallet import recipes
from backend.wallet.accounts import Channel, channel_id
from backend.wallet.ledger import tables as ledger_tables
from backend.wallet.matching.model import Claim, ClaimState, Stray
from backend.wallet.topups.tables import cash_drawer, cash_topup, topup, topup_batch, topup_line

CHUNK = 500
TOP_UP, REVERSAL = "top_up", "top_up_reversal"

T = TypeVar("T")

BANK_STATES = {
    "processing": ClaimState.OPEN,
    "succeeded": ClaimState.SUCCEEDED,
    "failed": ClaimState.FAILED,
}
# The key first. No card number, be it sealed, is read for a match.
BANK_COLUMNS = (topup.c.topup_id, topup.c.state, topup.c.amount_fen, topup.c.booked_on)
DRAWER_COLUMNS = (
    cash_drawer.c.drawer_id,
    cash_drawer.c.business_date,
    cash_drawer.c.taken_fen,
    cash_drawer.c.returned_fen,
    cash_drawer.c.counted_fen,
)
BATCH_COLUMNS = (
    topup_batch.c.batch_id,
    topup_batch.c.state,
    topup_batch.c.total_fen,
    topup_batch.c.posted_fen,
    topup_batch.c.done_on,
)
BATCH_STATES = {"done": ClaimState.SUCCEEDED, "rejected": ClaimState.FAILED}


def day_span(day: date) -> tuple[datetime, datetime]:
    """First moment of a business day, and of the next."""
    first = datetime.combine(day, time(), BUSINESS_ZONE)
    return first, datetime.combine(day + timedelta(days=1), time(), BUSINESS_ZONE)


@dataclass(frozen=True, slots=True)
class Posted:
    """What the ledger has of one subject."""

    amount_fen: int = 0
    postings: int = 0


@dataclass(frozen=True, slots=True)
class Sides:
    """Everything of ours that a day's statement is compared with."""

    claims: Mapping[str, Claim] = field(default_factory=dict)
    strays: Sequence[Stray] = ()


def read_sides(work: Work, day: date, named: Iterable[str]) -> Sides:
    """The day's claims, those the statement names, and postings of the day without one."""
    named = sorted(set(named))
    bank = _rows_of(work, BANK_COLUMNS, topup.c.booked_on == day, named, "top")
    drawers = _rows_of(work, DRAWER_COLUMNS, cash_drawer.c.business_date == day, named, "drw")
    batches = _rows_of(work, BATCH_COLUMNS, topup_batch.c.done_on == day, named, "bat")
    items = _items_of(work, drawers, batches)
    on_day = _posted_on(work, day)
    more = [name for row in (*bank, *drawers, *batches) for name in items.get(_subject(row), ())]
    more += [row["topup_id"] for row in bank]
    posted = _posted_by_id(work, more)
    others = _others(on_day[Channel.BANK])
    claims = [
        *(_bank_claim(row, _all_of(row["topup_id"], posted, others)) for row in bank),
        *(_drawer_claim(row, _sum(posted, items[row["drawer_id"]])) for row in drawers),
        *(_batch_claim(row, _sum(posted, items[row["batch_id"]])) for row in batches),
    ]
    with_custody = _with_custody(work, claims)
    known = {row["topup_id"] for row in bank if row["state"] == "succeeded"}
    known |= {name for names in items.values() for name in names}
    return Sides(with_custody, _strays(work, on_day, known))


# --- rows ---------------------------------------------------------------------------------------


def _subject(row: Mapping[str, Any]) -> str:
    return str(row.get("topup_id") or row.get("drawer_id") or row.get("batch_id"))


def _rows_of(
    work: Work,
    columns: Sequence[ColumnElement[Any]],
    of_day: ColumnElement[bool],
    named: Sequence[str],
    prefix: str,
) -> list[Mapping[str, Any]]:
    """Rows of the day, and rows with one of these keys; the first of `columns` is the key."""
    key, query = columns[0], select(*columns)
    found = {row[key]: dict(row) for row in work.execute(query.where(of_day)).mappings()}
    rest = [name for name in named if is_id(name, prefix) and name not in found]
    for some in _chunks(rest):
        for row in work.execute(query.where(key.in_(some))).mappings():
            found[row[key]] = dict(row)
    return list(found.values())


def _items_of(
    work: Work, drawers: Iterable[Mapping[str, Any]], batches: Iterable[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """subject -> ids of the postings it is made of"""
    items: dict[str, list[str]] = defaultdict(list)
    for some in _chunks([row["drawer_id"] for row in drawers]):
        cash = select(cash_topup.c.drawer_id, cash_topup.c.topup_id, cash_topup.c.state)
        for row in work.execute(cash.where(cash_topup.c.drawer_id.in_(some))):
            items[row.drawer_id].append(row.topup_id)
            if row.state == "reversed":
                items[row.drawer_id].append(recipes.step(row.topup_id, "reversal"))
    for some in _chunks([row["batch_id"] for row in batches]):
        line = topup_line.c
        posted = select(line.batch_id, line.number).where(
            line.batch_id.in_(some), line.state == "posted"
        )
        for row in work.execute(posted):
            items[row.batch_id].append(recipes.step(row.batch_id, str(row.number)))
    return items


# --- the ledger's side ----------------------------------------------------------------------------


def _posted_by_id(work: Work, operation_ids: Sequence[str]) -> dict[str, Posted]:
    """What each operation brought into a wallet, by its id; a reversal counts negative."""
    posting = ledger_tables.posting
    query = select(posting.c.operation_id, posting.c.code, posting.c.amount_fen)
    found: dict[str, Posted] = {}
    for some in _chunks(operation_ids):
        legs = (posting.c.operation_id.in_(some)) & (posting.c.leg == 0)
        for row in work.execute(query.where(legs, posting.c.code.in_((TOP_UP, REVERSAL)))):
            sign = 1 if row.code == TOP_UP else -1
            found[row.operation_id] = Posted(sign * row.amount_fen, 1)
    return found


def _posted_on(work: Work, day: date) -> dict[Channel, dict[str, Posted]]:
    """The day's top-ups as the channels' accounts have them, by operation id."""
    entry, (first, after) = ledger_tables.entry, day_span(day)
    found: dict[Channel, dict[str, Posted]] = {}
    for channel in Channel:
        query = select(entry.c.operation_id, entry.c.code, entry.c.amount_fen).where(
            entry.c.account_id == channel_id(channel),
            entry.c.posted_at >= first,
            entry.c.posted_at < after,
            entry.c.code.in_((TOP_UP, REVERSAL)),
        )
        of: dict[str, Posted] = {}
        for row in work.execute(query):
            sign = 1 if row.code == TOP_UP else -1
            before = of.get(row.operation_id, Posted())
            of[row.operation_id] = Posted(before.amount_fen + sign * row.amount_fen, 1)
        found[channel] = of
    return found


def _others(on_day: Mapping[str, Posted]) -> dict[str, list[Posted]]:
    """Postings made in a top-up's name beside its own: `<top-up>/…`."""
    others: dict[str, list[Posted]] = defaultdict(list)
    for name, one in on_day.items():
        if name != _base(name):
            others[_base(name)].append(one)
    return others


def _all_of(
    topup_id: str, posted: Mapping[str, Posted], others: Mapping[str, Sequence[Posted]]
) -> Posted:
    found = [*others.get(topup_id, ()), *((posted[topup_id],) if topup_id in posted else ())]
    return Posted(sum(one.amount_fen for one in found), sum(one.postings for one in found))


def _sum(posted: Mapping[str, Posted], names: Iterable[str]) -> Posted:
    found = [posted[name] for name in names if name in posted]
    return Posted(sum(one.amount_fen for one in found), len(found))


def _strays(
    work: Work, on_day: Mapping[Channel, Mapping[str, Posted]], known: set[str]
) -> list[Stray]:
    """Postings of the day that belong to no top-up that succeeded, of whatever day."""
    strays = []
    for channel, found in on_day.items():
        rest = [name for name in sorted(found) if name not in known and _base(name) not in known]
        ours = _succeeded(work, channel, rest)
        strays += [
            Stray(name, channel, found[name].amount_fen) for name in rest if name not in ours
        ]
    return strays


def _succeeded(work: Work, channel: Channel, names: Sequence[str]) -> set[str]:
    """Which of these postings a top-up of another day, or a batch under way, accounts for."""
    found: set[str] = set()
    for some in _chunks(names):
        if channel is Channel.BANK:
            ids = topup.c.topup_id.in_({_base(one) for one in some})
            query = select(topup.c.topup_id).where(ids, topup.c.state == "succeeded")
            bases = set(work.execute(query).scalars())
            found |= {one for one in some if _base(one) in bases}
        elif channel is Channel.COUNTER_CASH:
            ids = cash_topup.c.topup_id.in_({_base(one) for one in some})
            bases = set(work.execute(select(cash_topup.c.topup_id).where(ids)).scalars())
            found |= {one for one in some if _base(one) in bases}
        else:
            line = topup_line.c
            query = select(line.batch_id, line.number).where(
                line.batch_id.in_({_base(one) for one in some}), line.state == "posted"
            )
            found |= {recipes.step(row.batch_id, str(row.number)) for row in work.execute(query)}
    return found & set(names)


def _base(operation_id: str) -> str:
    return operation_id.split("/", maxsplit=1)[0]


def _with_custody(work: Work, claims: Sequence[Claim]) -> dict[str, Claim]:
    """The claims, each knowing whether, and for which day, its statement was booked."""
    posting = ledger_tables.posting
    booked: dict[str, str] = {}
    names = [name for one in claims for name in custody_ids(one.subject)]
    for some in _chunks(names):
        query = select(posting.c.operation_id, posting.c.memo)
        for row in work.execute(query.where(posting.c.operation_id.in_(some))):
            booked[_base(row.operation_id)] = row.memo
    return {
        one.subject: replace(one, in_custody=True, booked_day=_day(booked[one.subject]))
        if one.subject in booked
        else one
        for one in claims
    }


def custody_ids(subject: str) -> tuple[str, str]:
    """The operations that book a statement's line: into custody, and what is owed back of it."""
    return recipes.step(subject, "custody"), recipes.step(subject, "rest")


def _day(memo: str) -> date | None:
    try:
        return date.fromisoformat(memo)
    except ValueError:  # booked before days were noted
        return None


# --- claims ---------------------------------------------------------------------------------------


def _bank_claim(row: Mapping[str, Any], posted: Posted) -> Claim:
    return Claim(
        subject=row["topup_id"],
        channel=Channel.BANK,
        state=BANK_STATES[row["state"]],
        amount_fen=row["amount_fen"],
        posted_fen=row["amount_fen"],
        own_day=row["booked_on"],
        day=row["booked_on"],
        ledger_fen=posted.amount_fen,
        postings=posted.postings,
    )


def _drawer_claim(row: Mapping[str, Any], posted: Posted) -> Claim:
    book_fen = row["taken_fen"] - row["returned_fen"]
    return Claim(
        subject=row["drawer_id"],
        channel=Channel.COUNTER_CASH,
        state=ClaimState.SUCCEEDED,
        amount_fen=book_fen,
        posted_fen=book_fen,
        own_day=row["business_date"],
        day=None,
        ledger_fen=posted.amount_fen,
        postings=posted.postings,
        counted_fen=row["counted_fen"],
        is_drawer=True,
    )


def _batch_claim(row: Mapping[str, Any], posted: Posted) -> Claim:
    return Claim(
        subject=row["batch_id"],
        channel=Channel.EMPLOYER_BATCH,
        state=BATCH_STATES.get(row["state"], ClaimState.OPEN),
        amount_fen=row["total_fen"],
        posted_fen=row["posted_fen"] or 0,
        own_day=row["done_on"],
        day=None,
        ledger_fen=posted.amount_fen,
        postings=posted.postings,
    )


def _chunks(names: Sequence[T]) -> Iterator[Sequence[T]]:
    for at in range(0, len(names), CHUNK):
        yield names[at : at + CHUNK]
