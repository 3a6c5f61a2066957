"""The table of loads beside the journal's, in the same file, and the way from an older one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from reader_bridge.faults import TerminalFault
from reader_bridge.loads.values import FLOW, OPEN, TO_TELL, Funding, LoadStage

VERSION: Final = 1  # kept in a table of its own: PRAGMA user_version is the journal's


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(f"'{value}'" for value in values))


_PAIRS: Final = _listed(f"{before}>{after}" for before, ends in FLOW.items() for after in ends)
_STATEMENTS: Final = (
    f"""CREATE TABLE load (
  load_id TEXT PRIMARY KEY,
  reference TEXT NOT NULL UNIQUE,
  purse_number TEXT NOT NULL CHECK (length(purse_number) = 20),
  amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
  funding TEXT NOT NULL CHECK (funding IN ({_listed(Funding)})),
  stage TEXT NOT NULL CHECK (stage IN ({_listed(LoadStage)})),
  intent BLOB NOT NULL,
  body BLOB NOT NULL,
  application TEXT,
  tac BLOB CHECK (length(tac) = 4),
  evidence BLOB,
  answer TEXT,
  asked_at INTEGER NOT NULL,
  looked_at INTEGER NOT NULL,
  CHECK (stage <> 'written' OR tac IS NOT NULL),
  CHECK (stage <> 'returning' OR evidence IS NOT NULL),
  CHECK (stage NOT IN ('refused', 'lost') OR answer IS NOT NULL)
)""",
    # One open load a card: the next one must not cover the trace of this one.
    f"CREATE UNIQUE INDEX load_open ON load (purse_number) WHERE stage IN ({_listed(OPEN)})",
    f"CREATE INDEX load_to_tell ON load (asked_at) WHERE stage IN ({_listed(TO_TELL)})",
    "CREATE INDEX load_to_ask ON load (looked_at) WHERE stage IN ('asked', 'paid', 'lost')",
    "CREATE TRIGGER load_is_kept BEFORE DELETE ON load"
    " BEGIN SELECT RAISE(ABORT, 'every load is kept'); END",
    """CREATE TRIGGER load_facts_stay BEFORE UPDATE ON load
WHEN NEW.load_id IS NOT OLD.load_id OR NEW.reference IS NOT OLD.reference
  OR NEW.purse_number IS NOT OLD.purse_number OR NEW.amount_fen IS NOT OLD.amount_fen
  OR NEW.funding IS NOT OLD.funding OR NEW.body IS NOT OLD.body
  OR (NEW.intent IS NOT OLD.intent AND OLD.stage <> 'asked')
  OR (OLD.tac IS NOT NULL AND NEW.tac IS NOT OLD.tac)
BEGIN SELECT RAISE(ABORT, 'what was stored stays'); END""",
    f"""CREATE TRIGGER load_flows BEFORE UPDATE OF stage ON load
WHEN NEW.stage <> OLD.stage AND (OLD.stage || '>' || NEW.stage) NOT IN ({_PAIRS})
BEGIN SELECT RAISE(ABORT, 'a stage never changes that way'); END""",
)


def make_current(database: sqlite3.Connection) -> None:
    """Bring the file to VERSION; inside a transaction of the caller. Raises
    TerminalFault(state_newer)."""
    database.execute(
        "CREATE TABLE IF NOT EXISTS load_schema"
        " (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL)"
    )
    row = database.execute("SELECT version FROM load_schema").fetchone()
    version = 0 if row is None else int(row[0])
    if version > VERSION:
        raise TerminalFault("state_newer", version=version)
    if version == 0:
        for statement in _STATEMENTS:
            database.execute(statement)
        database.execute("INSERT INTO load_schema VALUES (1, ?)", (VERSION,))
