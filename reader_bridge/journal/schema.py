"""The journal's tables, and the way from an older file to them. Each law is said here again."""

from __future__ import annotations

import sqlite3
from typing import Final

from reader_bridge.faults import TerminalFault
from reader_bridge.journal.forget import DAY_SECONDS, UNSETTLED, WINDOW_SECONDS
from reader_bridge.journal.model import ANSWERED, FLOW, OF_SALES_ONLY, EntryState

# PRAGMA user_version; 0 is a new file, or one made before offline sales; 1 kept every entry.
VERSION: Final = 2
OPENINGS_KEPT: Final = 64


def _listed(states: frozenset[EntryState]) -> str:
    return ", ".join(sorted(f"'{state.value}'" for state in states))


_PAIRS: Final = ", ".join(sorted(f"'{before.value}>{after.value}'" for before, after in FLOW))
_TO_UPLOAD: Final = "state = 'accepted' AND aside IS NULL"

_ENTRY: Final = f"""
CREATE TABLE entry (
  entry_id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('sale', 'refund')),
  reference TEXT NOT NULL,
  payment_id TEXT NOT NULL,
  amount_fen INTEGER NOT NULL,
  method TEXT NOT NULL,
  application TEXT,
  terminal_counter INTEGER NOT NULL UNIQUE CHECK (terminal_counter > 0),
  body BLOB NOT NULL,
  state TEXT NOT NULL CHECK (state IN ({_listed(frozenset(EntryState))})),
  answer TEXT,
  stored_at INTEGER NOT NULL,
  answered_at INTEGER,
  steps TEXT NOT NULL DEFAULT '[]',
  card_key TEXT,
  accepted_at INTEGER,
  link INTEGER UNIQUE CHECK (link > 0),
  chain BLOB CHECK (length(chain) = 32),
  clock_suspect INTEGER NOT NULL DEFAULT 0 CHECK (clock_suspect IN (0, 1)),
  aside TEXT,
  CHECK ((state IN ({_listed(ANSWERED)})) = (answer IS NOT NULL)),
  CHECK (kind = 'sale' OR state NOT IN ({_listed(OF_SALES_ONLY)})),
  CHECK (kind = 'refund' OR state <> 'posted'),
  CHECK (amount_fen > 0 OR (amount_fen = 0 AND card_key IS NOT NULL)),
  CHECK (card_key IS NOT NULL OR state NOT IN ('intended', 'accepted', 'dropped')),
  CHECK ((link IS NULL) = (chain IS NULL) AND (link IS NULL) = (accepted_at IS NULL)),
  CHECK (state <> 'accepted' OR link IS NOT NULL),
  CHECK (link IS NULL OR state NOT IN ('stored', 'intended', 'dropped')),
  CHECK (aside IS NULL OR state = 'accepted')
)
"""

# `book` is one row: what the next entry needs, and the sums that a tap must not have to add up.
_BOOK: Final = """
CREATE TABLE book (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  last_counter INTEGER NOT NULL CHECK (last_counter >= 0),
  last_at INTEGER NOT NULL,
  last_link INTEGER NOT NULL CHECK (last_link >= 0),
  chain BLOB NOT NULL CHECK (length(chain) = 32),
  open_sum_fen INTEGER NOT NULL CHECK (open_sum_fen >= 0),
  open_count INTEGER NOT NULL CHECK (open_count >= 0)
)
"""

_REST: Final = (
    "INSERT INTO book VALUES (1, 0, 0, 0, zeroblob(32), 0, 0)",
    "CREATE TABLE card (card_key TEXT PRIMARY KEY, last_atc INTEGER NOT NULL,"
    " expires_at INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX card_expiry ON card (expires_at)",
    "CREATE TABLE opening (number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " incarnation TEXT NOT NULL UNIQUE CHECK (length(incarnation) = 16))",
    "CREATE UNIQUE INDEX entry_reference ON entry (kind, reference) WHERE state <> 'dropped'",
    "CREATE INDEX entry_pending ON entry (terminal_counter) WHERE state = 'stored'",
    "CREATE UNIQUE INDEX entry_torn ON entry (card_key) WHERE state = 'intended'",
    f"CREATE INDEX entry_to_upload ON entry (link) WHERE {_TO_UPLOAD}",
    f"CREATE INDEX entry_of_card ON entry (card_key, amount_fen) WHERE {_TO_UPLOAD}",
    "CREATE INDEX entry_aside ON entry (link) WHERE aside IS NOT NULL",
)

# What the counter was at vouched moments, one row a day: how old an entry is at least.
_MARK: Final = (
    "CREATE TABLE mark (at INTEGER PRIMARY KEY, counter INTEGER NOT NULL CHECK (counter >= 0))"
)
_KEPT: Final = f"""CREATE TRIGGER entry_is_kept BEFORE DELETE ON entry
WHEN OLD.state IN {UNSETTLED} OR OLD.terminal_counter > coalesce((SELECT max(counter) FROM mark
  WHERE at <= (SELECT max(at) FROM mark) - {WINDOW_SECONDS - DAY_SECONDS}), 0)
BEGIN SELECT RAISE(ABORT, 'what is not settled, or not old, is kept'); END"""  # noqa: S608 - constants
_TRIGGERS: Final = (
    _KEPT,
    """CREATE TRIGGER entry_facts_stay BEFORE UPDATE ON entry
WHEN NEW.entry_id IS NOT OLD.entry_id OR NEW.kind IS NOT OLD.kind
  OR NEW.reference IS NOT OLD.reference OR NEW.payment_id IS NOT OLD.payment_id
  OR NEW.amount_fen IS NOT OLD.amount_fen OR NEW.card_key IS NOT OLD.card_key
  OR NEW.terminal_counter IS NOT OLD.terminal_counter
  OR (NEW.body IS NOT OLD.body
    AND NOT (OLD.state IN ('intended', 'stored') AND NEW.state = 'accepted'))
  OR (OLD.link IS NOT NULL AND (NEW.link IS NOT OLD.link OR NEW.chain IS NOT OLD.chain
    OR NEW.accepted_at IS NOT OLD.accepted_at))
BEGIN SELECT RAISE(ABORT, 'what was stored stays'); END""",
    f"""CREATE TRIGGER entry_flows BEFORE UPDATE OF state ON entry
WHEN NEW.state <> OLD.state AND (OLD.state || '>' || NEW.state) NOT IN ({_PAIRS})
BEGIN SELECT RAISE(ABORT, 'a state never changes that way'); END""",
    """CREATE TRIGGER entry_is_counted AFTER INSERT ON entry
WHEN NEW.state = 'accepted' AND NEW.aside IS NULL
BEGIN UPDATE book SET open_sum_fen = open_sum_fen + NEW.amount_fen, open_count = open_count + 1;
END""",
    """CREATE TRIGGER entry_is_recounted AFTER UPDATE OF state, aside ON entry
WHEN (OLD.state = 'accepted' AND OLD.aside IS NULL)
  <> (NEW.state = 'accepted' AND NEW.aside IS NULL)
BEGIN UPDATE book SET
  open_sum_fen = open_sum_fen
    + (2 * (NEW.state = 'accepted' AND NEW.aside IS NULL) - 1) * NEW.amount_fen,
  open_count = open_count + 2 * (NEW.state = 'accepted' AND NEW.aside IS NULL) - 1;
END""",
    """CREATE TRIGGER atc_only_rises BEFORE UPDATE OF last_atc ON card
WHEN NEW.last_atc < OLD.last_atc BEGIN SELECT RAISE(ABORT, 'a counter only rises'); END""",
)

_OLD_COLUMNS: Final = (
    "entry_id, kind, reference, payment_id, amount_fen, method, application, terminal_counter,"
    " body, state, answer, stored_at, answered_at, steps"
)


def make_current(database: sqlite3.Connection, incarnation: str) -> None:
    """Bring a new or older file to VERSION and note this opening: inside one transaction.

    The caller has begun it and commits it. Raises TerminalFault(state_newer).
    """
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise TerminalFault("state_newer", version=version)
    if version == 1:
        database.execute("DROP TRIGGER entry_is_kept")
        database.execute(_MARK)
        database.execute(_KEPT)
    if version == 0:
        is_older = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'entry'").fetchone()
        if is_older:
            _migrate_from_0(database)
        else:
            _create(database)
    if version < VERSION:
        database.execute(f"PRAGMA user_version = {VERSION}")
    database.execute("INSERT INTO opening (incarnation) VALUES (?)", (incarnation,))
    database.execute(
        "DELETE FROM opening WHERE number <= (SELECT max(number) FROM opening) - ?",
        (OPENINGS_KEPT,),
    )


def _create(database: sqlite3.Connection) -> None:
    for statement in (_ENTRY, _BOOK, *_REST, _MARK, *_TRIGGERS):
        database.execute(statement)


def _migrate_from_0(database: sqlite3.Connection) -> None:
    """Checks of a table cannot be changed: a new one, the old rows, the old one away."""
    for name in ("entry_is_kept", "entry_facts_stay"):
        database.execute(f"DROP TRIGGER IF EXISTS {name}")
    database.execute("DROP INDEX IF EXISTS entry_pending")
    database.execute("ALTER TABLE entry RENAME TO entry_of_version_0")
    _create(database)
    database.execute(
        f"INSERT INTO entry ({_OLD_COLUMNS}) SELECT {_OLD_COLUMNS} FROM entry_of_version_0"  # noqa: S608
        " ORDER BY terminal_counter"
    )
    database.execute(
        "UPDATE book SET last_counter = (SELECT last FROM counter),"
        " last_at = coalesce((SELECT stored_at FROM entry"
        " ORDER BY terminal_counter DESC LIMIT 1), 0)"
    )
    database.execute("DROP TABLE entry_of_version_0")
    database.execute("DROP TABLE counter")
