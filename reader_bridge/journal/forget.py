"""Which settled entries may go, so that the file has a bound. Knows no clock that could be wrong.

Age is counted in marks: what the counter was at moments somebody else vouched for. An entry's own
times were written by the terminal's clock and decide nothing alone.
"""

from __future__ import annotations

import sqlite3
from typing import Final

DAY_SECONDS: Final = 86_400
# For so long a register may ask again or repeat a reference, whatever the size of the file.
WINDOW_SECONDS: Final = 30 * DAY_SECONDS
KEEP_SECONDS: Final = 90 * DAY_SECONDS
KEEP_MAX: Final = 200_000  # entries; at 1.4 KB a sale 280 MB
FORGET_MAX: Final = 200  # in one transaction: a tap that comes meanwhile waits for it
UNSETTLED: Final = "('stored', 'intended', 'accepted')"
_FORGET: Final = f"""DELETE FROM entry WHERE entry_id IN (SELECT entry_id FROM entry
WHERE terminal_counter <= ? AND state NOT IN {UNSETTLED} AND answered_at NOT BETWEEN ? AND ?
ORDER BY terminal_counter LIMIT ?)"""  # noqa: S608 - a constant


def forget_settled(database: sqlite3.Connection, confirmed_now: int) -> int:
    """Delete settled entries that are old, or too many and out of the window; how many.

    The oldest first, at most FORGET_MAX. Inside the caller's transaction.
    """
    _mark(database, confirmed_now)
    (last_counter,) = database.execute("SELECT last_counter FROM book").fetchone()
    too_many = min(
        _counter_before(database, confirmed_now - WINDOW_SECONDS), last_counter - KEEP_MAX
    )
    upto = max(_counter_before(database, confirmed_now - KEEP_SECONDS), too_many)
    return database.execute(
        _FORGET,
        (upto, confirmed_now - WINDOW_SECONDS, confirmed_now + DAY_SECONDS, FORGET_MAX),
    ).rowcount


def _mark(database: sqlite3.Connection, now: int) -> None:
    """One a day; those that no question needs any more go."""
    newest = database.execute("SELECT max(at) FROM mark").fetchone()[0]
    if newest is None or now - newest >= DAY_SECONDS:
        database.execute("INSERT INTO mark SELECT ?, last_counter FROM book", (now,))
        database.execute(
            "DELETE FROM mark WHERE at < (SELECT max(at) FROM mark WHERE at <= ?)",
            (now - KEEP_SECONDS,),
        )


def _counter_before(database: sqlite3.Connection, moment: int) -> int:
    """Every entry up to this counter was there at `moment` already; 0 where nobody knows."""
    found = database.execute("SELECT max(counter) FROM mark WHERE at <= ?", (moment,)).fetchone()
    return int(found[0] or 0)
