"""The journal as lines of text: what is hashed, sealed and exported.

A line is a posting with the two entries it made. The same bytes are a line of `postings.jsonl`
and the preimage of a leaf: docs/protocol/journal-export.md. Knows how lines are read and hashed,
not who keeps them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Generator, Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, func, select, union

from backend.db import Work
from backend.wallet.ledger.tables import entry, posting

LINE_FORM = "posting/1"
SEGMENT_FORM = b"segment/1"
LEAF_BYTES = 16
FIRST_PREVIOUS_HASH = bytes(32)
ROWS_AT_ONCE = 2_000
LINES_BETWEEN_TURNS = 100


class Line(NamedTuple):
    """A posting with what it made on its two accounts; None where that entry is missing."""

    posting: Row[Any]
    debit: Row[Any] | None
    credit: Row[Any] | None

    @property
    def key(self) -> tuple[str, int]:
        """Which posting: operation_id and leg."""
        return self.posting.operation_id, self.posting.leg


def lines_of(work: Work, number: int) -> Generator[Line, None, None]:
    """The postings of a segment with their entries, in canonical order: by the bytes of
    operation_id, then by leg. Read in portions; one snapshot if `work` has one.

    Who stops early closes the iterator (contextlib.closing).
    """
    moments = select(
        func.min(posting.c.posted_at).label("first"), func.max(posting.c.posted_at).label("last")
    )
    span = work.execute(moments.where(posting.c.segment == number)).one()
    if span.first is None:
        return
    # Two readings in one order, joined here: no engine's planner can make it a bad join.
    with (
        work.execute(_postings(work, number)) as postings,
        work.execute(_entries(work, number, span.first, span.last)) as entries,
    ):
        for count, line in enumerate(_joined(postings, entries), start=1):
            if count % LINES_BETWEEN_TURNS == 0:
                time.sleep(0)  # under gevent: a long segment must not hold up who serves
            yield line


def _postings(work: Work, number: int) -> Select[Any]:
    order = (bytewise(work, posting.c.operation_id), posting.c.leg)
    query = select(posting).where(posting.c.segment == number).order_by(*order)
    return query.execution_options(yield_per=ROWS_AT_ONCE)


def _entries(work: Work, number: int, first: datetime, last: datetime) -> Select[Any]:
    """Entries of the segment's accounts and time, which have an index; a few others among them."""
    inside = posting.c.segment == number
    touched = union(
        select(posting.c.debit.label("account_id")).where(inside),
        select(posting.c.credit).where(inside),
    ).subquery("touched")
    query = (
        select(entry)
        .join(touched, entry.c.account_id == touched.c.account_id)
        .where(entry.c.posted_at.between(first, last))
        .order_by(bytewise(work, entry.c.operation_id), entry.c.leg, entry.c.line)
    )
    return query.execution_options(yield_per=ROWS_AT_ONCE)


def _joined(postings: Iterable[Row[Any]], entries: Iterable[Row[Any]]) -> Iterator[Line]:
    """Both come in order of their keys. An entry that is there twice gives two lines."""
    groups = groupby(entries, key=lambda row: (row.operation_id, row.leg))
    key, group = next(groups, (None, iter(())))
    for row in postings:
        wanted = row.operation_id, row.leg
        while key is not None and key < wanted:
            key, group = next(groups, (None, iter(())))
        made = list(group) if key == wanted else []
        debits: list[Any] = [one for one in made if _is_made_by(row, one, "debit", row.debit)]
        credits_: list[Any] = [one for one in made if _is_made_by(row, one, "credit", row.credit)]
        for debit in debits or [None]:
            for credit in credits_ or [None]:
                yield Line(row, debit, credit)


def _is_made_by(row: Row[Any], one: Row[Any], side: str, account_id: str) -> bool:
    return bool(
        one.side == side and one.account_id == account_id and one.posted_at == row.posted_at
    )


def bytewise(work: Work, column: ColumnElement[str]) -> ColumnElement[str]:
    """Order by UTF-8 bytes: SQLite does, PostgreSQL must be told whatever its locale."""
    return column.collate("C") if work.connection.dialect.name == "postgresql" else column


def bytes_of(line: Line) -> bytes:
    """The canonical line, without the newline. An entry that is missing reads null, null."""
    row, debit, credit = line
    fields = (
        LINE_FORM,
        row.segment,
        row.operation_id,
        row.leg,
        row.debit,
        *((debit.line, debit.balance_fen) if debit else (None, None)),
        row.credit,
        *((credit.line, credit.balance_fen) if credit else (None, None)),
        row.amount_fen,
        row.code,
        row.linked_to,
        row.memo,
        row.business_date.isoformat(),
        moment_text(row.posted_at),
    )
    return canonical(fields)


def canonical(value: object) -> bytes:
    """JSON as RFC 8785 writes it, for texts, whole numbers, null, arrays, and objects of those."""
    text = json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False
    )
    return text.encode()


def moment_text(moment: datetime) -> str:
    """RFC 3339 in UTC with six digits of a second: one text per moment."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def leaf_of(line: bytes) -> bytes:
    """The first 16 bytes of SHA-256 over the line."""
    return hashlib.sha256(line).digest()[:LEAF_BYTES]


def hash_segment(number: int, previous_hash: bytes, leaves: bytes) -> bytes:
    """SHA-256(form ‖ number ‖ count ‖ previous_hash ‖ leaves); numbers are 8 bytes, big-endian."""
    count = len(leaves) // LEAF_BYTES
    head = SEGMENT_FORM + number.to_bytes(8, "big") + count.to_bytes(8, "big")
    return hashlib.sha256(head + previous_hash + leaves).digest()
