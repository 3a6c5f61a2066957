"""The open segment: which number postings are written under, and how the number turns.

A writer holds the open segment before it reads its number, shared with other writers; whoever
turns the number holds it alone. So nothing is written into a segment after it was closed.
"""

from __future__ import annotations

from sqlalchemy import select, text

from backend.db import Rows, Work
from backend.db.rows import lock_of
from backend.wallet.ledger.tables import open_segment, posting

FIRST_SEGMENT = 1
ONLY_ROW = (1,)
TURN_WAIT_SECONDS = 2
"""While somebody waits to turn the number, writers queue behind: better to try again later."""


def want_open_segment(rows: Rows) -> None:
    rows.want(open_segment, *ONLY_ROW)


def hold_open_segment(rows: Rows) -> int:
    """The number to post under, which cannot be closed before the work ends.

    The table's `info` makes `rows` hold it shared, and read it only then.
    """
    row = rows.find(open_segment, *ONLY_ROW)
    return FIRST_SEGMENT if row is None else int(row["number"])


def turn_segment(work: Work) -> int | None:
    """Close the open segment and open the next: the number closed, or None if it is empty."""
    if work.connection.dialect.name == "postgresql":
        work.execute(text(f"SET LOCAL lock_timeout = '{TURN_WAIT_SECONDS}s'"))
        lock = {"lock": lock_of(open_segment, ONLY_ROW)}
        work.execute(text("SELECT pg_advisory_xact_lock(:lock)"), lock)
    number = open_number(work)
    if work.execute(select(1).where(posting.c.segment == number).limit(1)).first() is None:
        return None
    turned = work.upsert_into(open_segment).values(only=1, number=number + 1)
    work.execute(turned.on_conflict_do_update(index_elements=["only"], set_={"number": number + 1}))
    return number


def open_number(work: Work) -> int:
    """The open segment's number as `work` sees it: to be told, not to be posted under."""
    number = work.execute(select(open_segment.c.number)).scalar_one_or_none()
    return FIRST_SEGMENT if number is None else int(number)
