"""The terminal's memory: a sale is on the disk before it is sent. Knows no network and no card."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from reader_bridge.faults import TerminalFault

PENDING_MAX: Final = 100  # one round of recovery; the next round takes the next ones
_BUSY_SECONDS: Final = 5.0


class EntryKind(Enum):
    SALE = "sale"
    REFUND = "refund"


class EntryState(Enum):
    """`stored` means: perhaps sent, outcome not known here. FLOW says what may follow."""

    STORED = "stored"
    CAPTURED = "captured"  # of a sale
    POSTED = "posted"  # of a refund
    REFUSED = "refused"
    REVERSED = "reversed"


FLOW: Final[frozenset[tuple[EntryState, EntryState]]] = frozenset(
    {
        (EntryState.STORED, EntryState.CAPTURED),
        (EntryState.STORED, EntryState.POSTED),
        (EntryState.STORED, EntryState.REFUSED),
        (EntryState.STORED, EntryState.REVERSED),
        (EntryState.CAPTURED, EntryState.REVERSED),
    }
)


class TransitionRefused(Exception):
    """A state was to change in a way that FLOW does not allow: a bug in the caller."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is known before a sale or refund gets its counter and is stored."""

    kind: EntryKind
    entry_id: str  # pay_… or ref_…, made here; also the Idempotency-Key
    reference: str  # the cash register's own number: unique per kind
    payment_id: str  # of a refund: the sale it gives back; of a sale: itself
    amount_fen: int
    method: str  # tap | pay_code | refund
    application: str | None  # label of the application on the card that answered


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored line. `body` is what was and will be sent, byte for byte."""

    draft: Draft
    terminal_counter: int
    body: bytes
    state: EntryState
    answer: Mapping[str, Any] | None
    stored_at: int  # unix seconds
    steps: tuple[tuple[str, float], ...]  # (name, milliseconds)


_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS counter (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  last INTEGER NOT NULL CHECK (last >= 0)
);
INSERT OR IGNORE INTO counter (one, last) VALUES (1, 0);
CREATE TABLE IF NOT EXISTS entry (
  entry_id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('sale', 'refund')),
  reference TEXT NOT NULL,
  payment_id TEXT NOT NULL,
  amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
  method TEXT NOT NULL,
  application TEXT,
  terminal_counter INTEGER NOT NULL UNIQUE CHECK (terminal_counter > 0),
  body BLOB NOT NULL,
  state TEXT NOT NULL
    CHECK (state IN ('stored', 'captured', 'posted', 'refused', 'reversed')),
  answer TEXT,
  stored_at INTEGER NOT NULL,
  answered_at INTEGER,
  steps TEXT NOT NULL DEFAULT '[]',
  UNIQUE (kind, reference),
  CHECK ((state = 'stored') = (answer IS NULL)),
  CHECK (kind = 'sale' OR state NOT IN ('captured', 'reversed')),
  CHECK (kind = 'refund' OR state <> 'posted')
);
CREATE INDEX IF NOT EXISTS entry_pending ON entry (terminal_counter) WHERE state = 'stored';
CREATE TRIGGER IF NOT EXISTS entry_is_kept BEFORE DELETE ON entry
BEGIN SELECT RAISE(ABORT, 'the journal keeps every entry'); END;
CREATE TRIGGER IF NOT EXISTS entry_facts_stay BEFORE UPDATE ON entry
WHEN NEW.entry_id IS NOT OLD.entry_id OR NEW.kind IS NOT OLD.kind
  OR NEW.reference IS NOT OLD.reference OR NEW.payment_id IS NOT OLD.payment_id
  OR NEW.amount_fen IS NOT OLD.amount_fen OR NEW.body IS NOT OLD.body
  OR NEW.terminal_counter IS NOT OLD.terminal_counter
BEGIN SELECT RAISE(ABORT, 'what was stored stays'); END;
"""


class Journal:
    """One SQLite file (WAL, synchronous=FULL); several processes may share it.

    Raises TerminalFault(state_damaged) when the file is no journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        _make_private(path)
        try:
            self._database = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise TerminalFault("state_unusable", reason=f"{path}: {error}") from None
        self._database.row_factory = sqlite3.Row
        try:
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:  # locked, read-only, disk full
            self._database.close()
            raise TerminalFault("state_unusable", reason=f"{path}: {error}") from None
        except sqlite3.DatabaseError:
            self._database.close()
            raise TerminalFault("state_damaged", file=str(path)) from None

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def store(self, draft: Draft, body_of: Callable[[int], bytes], at: int) -> tuple[Entry, bool]:
        """The entry, on the disk; and whether it is new.

        A reference that is known gives the first entry back, whatever the draft says; `body_of`
        makes the request from the counter that this entry gets and is called for a new one only.
        """
        with self._transaction() as database:
            known = self.find(draft.kind, draft.reference)
            if known is not None:
                return known, False
            (last,) = database.execute("SELECT last FROM counter").fetchone()
            counter = int(last) + 1
            database.execute("UPDATE counter SET last = ?", (counter,))
            body = body_of(counter)
            database.execute(
                "INSERT INTO entry (entry_id, kind, reference, payment_id, amount_fen, method,"
                " application, terminal_counter, body, state, stored_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'stored', ?)",
                (
                    draft.entry_id,
                    draft.kind.value,
                    draft.reference,
                    draft.payment_id,
                    draft.amount_fen,
                    draft.method,
                    draft.application,
                    counter,
                    body,
                    at,
                ),
            )
        return Entry(draft, counter, body, EntryState.STORED, None, at, ()), True

    def settle(
        self,
        entry_id: str,
        state: EntryState,
        answer: Mapping[str, Any],
        at: int,
        steps: tuple[tuple[str, float], ...] = (),
    ) -> Entry:
        """Write the outcome down. The same outcome twice is once; steps of the first stay.

        Raises TransitionRefused for a change that FLOW does not know.
        """
        with self._transaction() as database:
            entry = self._get(entry_id)
            if entry.state is state:
                return entry
            if (entry.state, state) not in FLOW:
                raise TransitionRefused(f"{entry_id}: {entry.state.value} to {state.value}")
            database.execute(
                "UPDATE entry SET state = ?, answer = ?, answered_at = ?, steps = ?"
                " WHERE entry_id = ?",
                (
                    state.value,
                    json.dumps(dict(answer), ensure_ascii=False),
                    at,
                    json.dumps(steps or entry.steps),
                    entry_id,
                ),
            )
            return self._get(entry_id)

    def find(self, kind: EntryKind, reference: str) -> Entry | None:
        with self._lock:
            row = self._database.execute(
                "SELECT * FROM entry WHERE kind = ? AND reference = ?", (kind.value, reference)
            ).fetchone()
        return None if row is None else self._entry(row)

    def last_result(self, register_reference: str) -> Entry | None:
        """The sale that this number of the cash register made, or None."""
        return self.find(EntryKind.SALE, register_reference)

    def pending(self) -> tuple[Entry, ...]:
        """Entries whose outcome is not known here, oldest first, at most PENDING_MAX."""
        with self._lock:
            rows = self._database.execute(
                "SELECT * FROM entry WHERE state = 'stored' ORDER BY terminal_counter LIMIT ?",
                (PENDING_MAX,),
            ).fetchall()
        return tuple(self._entry(row) for row in rows)

    def _get(self, entry_id: str) -> Entry:
        row = self._database.execute(
            "SELECT * FROM entry WHERE entry_id = ?", (entry_id,)
        ).fetchone()
        if row is None:
            raise KeyError(entry_id)
        return self._entry(row)

    def _entry(self, row: sqlite3.Row) -> Entry:
        draft = Draft(
            kind=EntryKind(row["kind"]),
            entry_id=row["entry_id"],
            reference=row["reference"],
            payment_id=row["payment_id"],
            amount_fen=row["amount_fen"],
            method=row["method"],
            application=row["application"],
        )
        return Entry(
            draft=draft,
            terminal_counter=row["terminal_counter"],
            body=bytes(row["body"]),
            state=EntryState(row["state"]),
            answer=None if row["answer"] is None else json.loads(row["answer"]),
            stored_at=row["stored_at"],
            steps=tuple((name, milliseconds) for name, milliseconds in json.loads(row["steps"])),
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and alone: the write lock is taken before anything is read.

        Raises TerminalFault(state_unusable) when the disk is full or another process keeps the
        lock: then nothing is stored, and nothing may be sent.
        """
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield self._database
                    self._database.execute("COMMIT")
                finally:
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
            except sqlite3.OperationalError as error:
                raise TerminalFault("state_unusable", reason=f"{self._path}: {error}") from None


def _make_private(path: Path) -> None:
    """Create the file with mode 0600 before SQLite would create it with a wider one."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise TerminalFault("state_unusable", reason=error.strerror or str(path)) from None
