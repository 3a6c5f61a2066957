"""The journal: is the file whole, does the chain of offline sales hold, what waits for upload."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from reader_bridge.amounts import format_yuan
from reader_bridge.client_key import JOURNAL_FILE
from reader_bridge.faults import TerminalFault
from reader_bridge.journal import GENESIS, Journal, next_chain
from reader_bridge.selftest.lines import Line, fail, fail_by, ok

CHECK_SECONDS: Final = 8.0
WAIT_SECONDS_MAX: Final = 24 * 3600
_STEPS: Final = 20_000  # of SQLite's machine between two looks at the clock

Elapsed = Callable[[], float]


def check_journal(folder: Path, elapsed: Elapsed) -> Line:
    """SQLite's own check, and every link of the chain computed anew; only reads."""
    path, name = folder / JOURNAL_FILE, "journal"
    if not path.exists():
        return ok(name, "尚无交易", "no sale yet")
    try:
        return _read(path, elapsed() + CHECK_SECONDS, elapsed)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            words = f"> {CHECK_SECONDS:g} s"
            return fail(name, "check_too_slow", words, words)
        return fail_by(name, TerminalFault("state_unusable", reason=str(error)))
    except sqlite3.DatabaseError as error:
        return fail(name, "journal_damaged", str(error), str(error))


def _read(path: Path, deadline: float, elapsed: Elapsed) -> Line:
    """Raises sqlite3.DatabaseError."""
    name = "journal"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        database.execute("BEGIN")  # one moment of a file that `serve` may be writing
        database.set_progress_handler(lambda: int(elapsed() > deadline), _STEPS)
        (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            return fail(name, "journal_damaged", f"{path}: {found}", f"{path}: {found}")
        links = _count_links(database)
    if links < 0:
        zh, en = f"脱机交易第 {-links} 笔处断链", f"the chain breaks at offline sale {-links}"
        return fail(name, "journal_damaged", zh, en)
    return ok(name, f"完好,脱机交易 {links} 笔", f"whole, {links} offline sales")


def check_waiting(folder: Path, now: int) -> Line:
    """What is not uploaded yet, and whether one more offline sale could be kept."""
    name = "waiting"
    try:
        with closing(Journal(folder / JOURNAL_FILE)) as journal:
            backlog, has_room = journal.backlog(now), journal.can_take_offline()
    except TerminalFault as fault:
        return fail_by(name, fault)
    yuan = format_yuan(backlog.sum_fen)
    zh = f"{backlog.count} 笔 {yuan} 元;未完成 {backlog.torn_count},搁置 {backlog.aside_count}"
    en = f"{backlog.count} of {yuan} yuan; torn {backlog.torn_count}, aside {backlog.aside_count}"
    if not has_room:
        return fail(name, "journal_full", zh, en)
    if backlog.aside_count:
        return fail(name, "sales_aside", zh, en)
    if backlog.oldest_at is not None and now - backlog.oldest_at > WAIT_SECONDS_MAX:
        return fail(name, "sales_wait_long", zh, en)
    return ok(name, zh, en)


def _count_links(database: sqlite3.Connection) -> int:
    """How many links the chain has; minus the number of the first that does not hold."""
    chain, last = GENESIS, 0
    if database.execute("PRAGMA user_version").fetchone() == (0,):
        return 0  # made before offline sales
    rows = database.execute(
        "SELECT link, body, chain FROM entry WHERE link IS NOT NULL ORDER BY link"
    )
    for link, body, written in rows:
        chain = next_chain(chain, bytes(body))
        if link != last + 1 or chain != written:
            return -(last + 1)
        last = link
    (kept,) = database.execute("SELECT last_link FROM book").fetchone()
    return last if kept == last else -(last + 1)
