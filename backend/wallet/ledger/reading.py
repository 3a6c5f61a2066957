"""Reads an account's lines out of the journal: statements, balances of the past, sums.

Plain SQL on the work it is given; writes nothing and knows no wallets. Entries are asked for by
account and postings by operation, never joined: on Citus they lie on different shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Row, Select, case, func, select

from backend.db import Work
from backend.wallet.ledger import tables

LINES_READ_MAX = 5_000
"""The most lines one question asks for: they are held in memory, and named in one `IN`."""

DISORDER = timedelta(seconds=60)
"""How far the moments of two neighbouring lines may stand in the wrong order.

A transaction takes its moment when it begins and its line's number when it has the account: of
two that race, the older may come second. Waits are bounded (backend/db: 10 s each), and so is the
difference between the clocks of two machines; a minute is more than both.
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A statement line: `amount_fen` is signed as the account's owner sees it."""

    line: int
    posted_at: datetime
    code: str
    amount_fen: int
    balance_fen: int
    operation_id: str
    linked_to: str | None
    memo: str
    business_date: date


@dataclass(frozen=True, slots=True)
class Mark:
    """A place between two lines: the number of the line above it (0: none), and its balance."""

    line: int
    balance_fen: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Both sides of everything posted, in fen; and credits less debits of each kind of account.

    What the city owes reads positive in `by_kind`, what it has negative: their sum is zero.
    """

    debits_fen: int
    credits_fen: int
    by_kind: Mapping[str, int]


def lines(
    work: Work,
    account_id: str,
    *,
    limit: int,
    before_line: int | None = None,
    after_line: int | None = None,
    newest_first: bool = True,
) -> list[Line]:
    """At most `limit` lines, numbered above `after_line` and below `before_line` when given.

    ValueError: `limit` is not 1 to LINES_READ_MAX.
    """
    if not 0 < limit <= LINES_READ_MAX:
        raise ValueError(f"a page has 1 to {LINES_READ_MAX} lines")
    entry = tables.entry
    query = _entries(account_id).limit(limit)
    query = query.order_by(entry.c.line.desc() if newest_first else entry.c.line)
    if before_line is not None:
        query = query.where(entry.c.line < before_line)
    if after_line is not None:
        query = query.where(entry.c.line > after_line)
    return _read(work, query)


def find_line(work: Work, account_id: str, line: int) -> Line | None:
    """One line of an account; None when it has no such line."""
    found = _read(work, _entries(account_id).where(tables.entry.c.line == line))
    return found[0] if found else None


def last_before(work: Work, account_id: str, moment: datetime) -> Mark:
    """Where an account stood just before `moment`: after the last line posted earlier.

    Of lines whose moments are out of order the one with the highest number decides, so that
    periods that touch share their mark: no line is in two of them, and none in neither.
    """
    newest = work.execute(newest_moment_query(account_id, moment)).scalar()
    if newest is None:
        return Mark(0, 0)
    line = work.execute(highest_line_query(account_id, newest)).scalar_one()
    entry = tables.entry
    balance = select(entry.c.balance_fen).where(
        entry.c.account_id == account_id, entry.c.line == line
    )
    return Mark(int(line), int(work.execute(balance).scalar_one()))


def balance_at(work: Work, account_id: str, moment: datetime) -> int:
    """The balance after the last line posted at or before `moment`, in fen; 0 before the first.

    A moment is stored to the microsecond.
    """
    return last_before(work, account_id, moment + timedelta(microseconds=1)).balance_fen


def count_by_code(work: Work, account_id: str) -> dict[str, tuple[int, int]]:
    """How many lines of each code an account has, and their signed sum in fen."""
    entry, account = tables.entry, tables.account
    own_side = select(account.c.side).where(account.c.account_id == account_id).scalar_subquery()
    signed = case((entry.c.side == own_side, entry.c.amount_fen), else_=-entry.c.amount_fen)
    rows = work.execute(
        select(entry.c.code, func.count(), func.sum(signed))
        .where(entry.c.account_id == account_id)
        .group_by(entry.c.code)
    ).all()
    return {code: (int(count), int(total)) for code, count, total in map(tuple, rows)}


def totals(work: Work) -> Totals:
    """Sums over every account, read at one moment."""
    account = tables.account
    debits, credits = account.c.debits_posted, account.c.credits_posted
    rows = work.execute(
        select(account.c.kind, func.sum(debits), func.sum(credits)).group_by(account.c.kind)
    ).all()
    by_kind = {kind: int(credited) - int(debited) for kind, debited, credited in map(tuple, rows)}
    debits_fen, credits_fen = (sum(int(row[column]) for row in rows) for column in (1, 2))
    return Totals(debits_fen, credits_fen, by_kind)


def newest_moment_query(account_id: str, before: datetime) -> Select[tuple[datetime]]:
    """The moment of the account's newest line before another; by (account_id, posted_at)."""
    entry = tables.entry
    return (
        select(entry.c.posted_at)
        .where(entry.c.account_id == account_id, entry.c.posted_at < before)
        .order_by(entry.c.posted_at.desc())
        .limit(1)
    )


def highest_line_query(account_id: str, newest: datetime) -> Select[tuple[int]]:
    """The highest line number among those that could follow the line of that moment.

    `line + 0`: a plain max(line) lets PostgreSQL walk the primary key from the account's last
    line backwards, past every line that is younger.
    """
    entry = tables.entry
    return select(func.max(entry.c.line + 0)).where(
        entry.c.account_id == account_id,
        entry.c.posted_at <= newest,
        entry.c.posted_at >= newest - DISORDER,
    )


def _entries(account_id: str) -> Select[tuple[object, ...]]:
    entry, account = tables.entry, tables.account
    own_side = select(account.c.side).where(account.c.account_id == account_id)
    return select(
        entry.c.line,
        entry.c.posted_at,
        entry.c.side,
        entry.c.amount_fen,
        entry.c.balance_fen,
        entry.c.operation_id,
        entry.c.leg,
        own_side.scalar_subquery().label("own_side"),
    ).where(entry.c.account_id == account_id)


def _read(work: Work, query: Select[tuple[object, ...]]) -> list[Line]:
    """The entries a query finds, each with what its posting says."""
    entries = work.execute(query).all()
    postings = _postings(work, entries)
    return [_line(one, postings[one.operation_id, one.leg]) for one in entries]


def _postings(
    work: Work, entries: Iterable[Row[tuple[object, ...]]]
) -> dict[tuple[str, int], Row[tuple[object, ...]]]:
    operation_ids = sorted({str(one.operation_id) for one in entries})
    if not operation_ids:
        return {}
    posting = tables.posting
    query = select(
        posting.c.operation_id,
        posting.c.leg,
        posting.c.code,
        posting.c.linked_to,
        posting.c.memo,
        posting.c.business_date,
    ).where(posting.c.operation_id.in_(operation_ids))
    return {(row.operation_id, row.leg): row for row in work.execute(query)}


def _line(entry: Row[tuple[object, ...]], posting: Row[tuple[object, ...]]) -> Line:
    sign = 1 if entry.side == entry.own_side else -1
    return Line(
        line=entry.line,
        posted_at=entry.posted_at,
        code=posting.code,
        amount_fen=sign * entry.amount_fen,
        balance_fen=entry.balance_fen,
        operation_id=entry.operation_id,
        linked_to=posting.linked_to,
        memo=posting.memo,
        business_date=posting.business_date,
    )
