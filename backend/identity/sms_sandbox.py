"""An SMS centre that keeps every message in a book of its own and sends nothing anywhere.

Magic phone numbers, by their last four digits:

| ends in | what happens |
| --- | --- |
| 9001 | every message is refused for ever |
| 9002 | a message fails twice, then is delivered |
| 9003 | a message is delivered twice, as real networks sometimes do |
| others | delivered once |

It must not know persons, logins or the city's databases.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from backend.identity.sms import SmsFailed
from backend.kernel import Clock

REFUSES, FAILS_TWICE, DELIVERS_TWICE = "9001", "9002", "9003"
FAILURES_FIRST = 2
MESSAGES_KEPT = 10_000
BUSY_SECONDS = 5.0

_BOOK = """
CREATE TABLE IF NOT EXISTS message (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL,
    copy INTEGER NOT NULL CHECK (copy IN (1, 2)),
    phone TEXT NOT NULL,
    text TEXT NOT NULL,
    sent_at TEXT NOT NULL,
    UNIQUE (message_id, copy)
);
CREATE INDEX IF NOT EXISTS message_phone ON message (phone, sequence);
CREATE TABLE IF NOT EXISTS failure (
    message_id TEXT PRIMARY KEY,
    times INTEGER NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class SandboxMessage:
    """A message as the phone shows it; `sequence` grows with each delivery."""

    sequence: int
    message_id: str
    phone: str
    text: str = field(repr=False)
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class SandboxSms:
    """The SMS centre behind `SmsGateway` where no real one is configured."""

    path: Path
    clock: Clock

    def __post_init__(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect()) as book:
            book.execute("PRAGMA journal_mode=WAL")
            book.executescript(_BOOK)

    def send(self, message_id: str, phone: str, text: str) -> None:
        """Deliver once, whatever how often called, or play the phone's magic. Raises SmsFailed."""
        magic = phone[-4:]
        if magic == REFUSES:
            raise SmsFailed(retryable=False)
        with self._write() as book:
            fails = magic == FAILS_TWICE and _fails_again(book, message_id)
            if not fails:
                copies = 2 if magic == DELIVERS_TWICE else 1
                self._deliver(book, message_id, phone, text, copies)
        if fails:
            raise SmsFailed(retryable=True)

    def messages(
        self, phone: str, limit: int = 50, before: int | None = None
    ) -> list[SandboxMessage]:
        """The messages of a phone, newest first; `before`: only those of a lower sequence."""
        query = (
            "SELECT sequence, message_id, phone, text, sent_at FROM message"
            " WHERE phone = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?"
        )
        bound = 2**63 - 1 if before is None else before
        with closing(self._connect()) as book:
            rows = book.execute(query, (phone, bound, limit)).fetchall()
        return [
            SandboxMessage(sequence, message_id, to, text, datetime.fromisoformat(sent_at))
            for sequence, message_id, to, text, sent_at in rows
        ]

    def _deliver(
        self, book: sqlite3.Connection, message_id: str, phone: str, text: str, copies: int
    ) -> None:
        sent_at = self.clock.now().astimezone(UTC).isoformat()
        book.executemany(
            "INSERT OR IGNORE INTO message (message_id, copy, phone, text, sent_at)"
            " VALUES (?, ?, ?, ?, ?)",
            [(message_id, copy, phone, text, sent_at) for copy in range(1, copies + 1)],
        )
        book.execute("DELETE FROM failure WHERE message_id = ?", (message_id,))
        book.execute(
            "DELETE FROM message WHERE sequence <= (SELECT max(sequence) FROM message) - ?",
            (MESSAGES_KEPT,),
        )

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as book:
            book.execute("BEGIN IMMEDIATE")
            try:
                yield book
            except BaseException:
                book.execute("ROLLBACK")
                raise
            book.execute("COMMIT")


def _fails_again(book: sqlite3.Connection, message_id: str) -> bool:
    """Count one more failure of this message while it has failures to come."""
    delivered = book.execute("SELECT 1 FROM message WHERE message_id = ?", (message_id,))
    if delivered.fetchone() is not None:
        return False
    times = book.execute("SELECT times FROM failure WHERE message_id = ?", (message_id,)).fetchone()
    if times is not None and times[0] >= FAILURES_FIRST:
        return False
    book.execute(
        "INSERT INTO failure (message_id, times) VALUES (?, 1)"
        " ON CONFLICT (message_id) DO UPDATE SET times = times + 1",
        (message_id,),
    )
    return True
