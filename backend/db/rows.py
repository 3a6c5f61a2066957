"""Rows of one transaction, by key: loaded in sets, changed in memory, written in sets.

Whoever decides names the rows first; one statement a table reads them all, and one writes them
all back, however many commands the transaction carries. Knows no domain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, select

from backend.db.metadata import METADATA, Which
from backend.db.row_sets import (
    NO_LOCKS,
    Changes,
    Locks,
    SetStatements,
    column_names,
    key_names,
    key_of,
)
from backend.db.row_sets_postgres import PostgresRows
from backend.db.row_sets_sqlite import SqliteRows
from backend.kernel import new_id

Key = tuple[Any, ...]
Row = Mapping[str, Any]
Step = Callable[[Row | None], Row]
"""A row as it is, or None, to what it becomes."""

ADDED: Final = "added"
CHANGED: Final = "changed"
REMOVED: Final = "removed"

_UNKNOWN: Final[Any] = object()
_LATER: Final[Any] = object()


class RowsBroken(Exception):
    """A row is added twice, changed though it is not there, or read too late: a bug."""


def lock_number(name: str) -> int:
    """The advisory lock of a name: 64 bits, signed, as PostgreSQL wants it."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), signed=True)


def lock_of(table: Table, key: Key) -> int:
    """The lock that guards a row, be there one or not."""
    return lock_number(f"{table.name}:{':'.join(map(str, key))}")


class Rows:
    """What a transaction knows, and what it is going to write.

    A table's `info` tells how its rows are guarded. `lock`: reading a row holds its key until the
    transaction ends, also a key that has no row yet ("own"), or keeps a change of the row away
    ("shared"); PostgreSQL by advisory locks, SQLite has one writer. `rank` (default 1): keys of
    a higher rank are held later; within a rank everybody asks in one order. A table without
    `lock` is guarded by another whose key its commands hold.
    """

    __slots__ = (
        "_appended",
        "_fates",
        "_holds",
        "_is_reading",
        "_known",
        "_later",
        "_log",
        "_sets",
        "_touched",
        "_wanted",
        "connection",
        "now",
        "told",
        "which",
    )

    def __init__(
        self, which: Which, connection: Connection, now: datetime, *, is_reading: bool = False
    ) -> None:
        self.which, self.connection, self.now = which, connection, now
        self.told = 0
        is_postgres = connection.dialect.name == "postgresql"
        self._sets: SetStatements = PostgresRows() if is_postgres else SqliteRows()
        self._is_reading = is_reading
        self._holds = not is_reading and connection.dialect.name == "postgresql"
        self._known: dict[Table, dict[Key, Row | None]] = {}
        self._wanted: dict[Table, dict[Key, None]] = {}
        self._fates: dict[Table, dict[Key, str]] = {}
        self._touched: dict[Table, set[str]] = {}
        self._appended: dict[Table, list[Row]] = {}
        self._later: dict[Table, dict[Key, list[Step]]] = {}
        self._log: list[tuple[Table, Key | None, Any, Any]] = []

    # --- reading ----------------------------------------------------------------------------

    def want(self, table: Table, *key: Any) -> None:
        """Name a row that will be read: the next `load` brings it with all the others."""
        if key not in self._known.setdefault(table, {}):
            self._wanted.setdefault(table, {})[key] = None

    def load(self, tried: Iterable[int] = (), *, rank_max: int = 9) -> set[int]:
        """Hold and read what is wanted of tables up to `rank_max`.

        `tried` are locks that are taken only when nobody has them; those that were got.
        """
        wanted = {
            table: list(keys)
            for table, keys in self._wanted.items()
            if table.info.get("rank", 1) <= rank_max
        }
        for table in wanted:
            del self._wanted[table]
        return self._fetch(wanted, list(tried))

    def is_known(self, table: Table, *key: Any) -> bool:
        """Whether the row, or that there is none, was read already."""
        return key in self._known.get(table, {})

    def find(self, table: Table, *key: Any) -> Row | None:
        """The row as this transaction sees it; None when there is none."""
        row = self._known.setdefault(table, {}).get(key, _UNKNOWN)
        if row is _UNKNOWN:  # nobody wanted it: a round trip of its own
            self._wanted.setdefault(table, {})[key] = None
            self.load()
            row = self._known[table][key]
        found: Row | None = row
        return found

    def find_where(self, table: Table, condition: ColumnElement[bool], limit: int) -> list[Row]:
        """Rows the database has for a condition, each as this transaction sees it by now."""
        names = column_names(table)
        known = self._known.setdefault(table, {})
        statement = select(table).where(condition).order_by(*table.primary_key).limit(limit)
        found = []
        for values in self.connection.execute(statement).all():
            read = dict(zip(names, values, strict=True))
            row = known.setdefault(key_of(table)(read), read)
            if row is not None:
                found.append(row)
        return found

    def added(self, table: Table) -> list[Row]:
        """Rows this transaction is going to add."""
        known: Mapping[Key, Any] = self._known.get(table, {})
        return [known[key] for key, fate in self._fates.get(table, {}).items() if fate is ADDED]

    # --- writing ----------------------------------------------------------------------------

    def add(self, table: Table, row: Row) -> None:
        """A new row; every column that is not named is null."""
        key = key_of(table)(row)
        if self._known.setdefault(table, {}).get(key) is not None:
            raise RowsBroken(f"{table.name} {key} is there already")
        self._put(table, key, row, ADDED)

    def append(self, table: Table, row: Row) -> None:
        """A new row that nobody reads again in this transaction."""
        appended = self._appended.setdefault(table, [])
        self._log.append((table, None, len(appended), None))
        appended.append(row)

    def change(self, table: Table, key: Key, **values: Any) -> None:
        """New values for some columns of a row that was read."""
        row = self._known[table].get(key)
        if row is None:
            raise RowsBroken(f"{table.name} {key} is not there")
        self._touched.setdefault(table, set()).update(values)
        is_new = self._fates.get(table, {}).get(key) is ADDED
        self._put(table, key, {**row, **values}, ADDED if is_new else CHANGED)

    def later(self, table: Table, key: Key, step: Step) -> None:
        """Change a row, or add it, when everything else is decided.

        For rows that everybody changes: they are held for the last round trips only. Steps run
        in the order they were given. Whoever reads such a row wants it before the first step:
        then it is held from the start, and a step runs at once.
        """
        if key in self._known.get(table, ()):
            self._replace(table, key, step(self._known[table][key]))
            return
        self._later.setdefault(table, {}).setdefault(key, []).append(step)
        self._log.append((table, key, _LATER, None))

    def remove(self, table: Table, *key: Any) -> None:
        """Take a row away that was read; does nothing when there is none."""
        if self.find(table, *key) is not None:
            is_new = self._fates.get(table, {}).get(key) is ADDED
            self._put(table, key, None, None if is_new else REMOVED)

    def tell(self, topic: str, *, due_at: datetime | None = None, **payload: object) -> None:
        """Put an event in the outbox: delivered at least once after the commit.

        `due_at` (default: now) is the earliest moment of delivery.
        """
        event = {
            "event_id": new_id("evt"),
            "topic": topic,
            "payload": payload,
            "created_at": self.now,
            "due_at": due_at or self.now,
            "attempts": 0,
        }
        self.add(METADATA[self.which].tables["outbox"], event)
        self.told += 1

    def mark(self) -> int:
        """Where `undo` may go back to."""
        return len(self._log)

    def undo(self, mark: int) -> None:
        """Forget every write since the mark; what was read stays known."""
        while len(self._log) > mark:
            table, key, row, fate = self._log.pop()
            if key is None:
                del self._appended[table][row:]
                continue
            if row is _LATER:
                self._take_back_step(table, key)
                continue
            if row is _UNKNOWN:
                del self._known[table][key]
            else:
                self._known[table][key] = row
            if fate is None:
                self._fates[table].pop(key, None)
            else:
                self._fates[table][key] = fate

    def forget(self) -> None:
        """Know nothing any more: the database went back to an earlier moment."""
        for memory in (self._known, self._wanted, self._fates, self._touched):
            memory.clear()
        self._appended.clear()
        self._later.clear()
        self._log.clear()

    def flush(self) -> None:
        """Write everything: one statement a table and kind of change. Raises RowGone.

        While reading, what was changed in memory is a view of what would be, and stays there.
        """
        if self._is_reading:
            return
        self._run_later()
        changes = [self._changes(table, fates) for table, fates in self._fates.items() if fates]
        changes += [Changes(table, rows, [], (), []) for table, rows in self._appended.items()]
        if changes:
            self._sets.write(self.connection, changes)
        self._appended.clear()
        self._fates.clear()
        self._touched.clear()
        self._log.clear()

    # --- inside -----------------------------------------------------------------------------

    def _run_later(self) -> None:
        later = {table: steps for table, steps in self._later.items() if steps}
        if not later:
            return
        self._later = {}
        self._fetch({table: list(steps) for table, steps in later.items()}, [])
        for table, by_key in later.items():
            for key, steps in by_key.items():
                row = self._known[table][key]
                for step in steps:
                    row = step(row)
                assert row is not None
                self._replace(table, key, row)

    def _replace(self, table: Table, key: Key, row: Row) -> None:
        """The whole row anew, be it there or not."""
        old = self._known[table][key]
        if old is None:
            self.add(table, row)
            return
        if values := {name: new for name, new in row.items() if new != old[name]}:
            self.change(table, key, **values)

    def _take_back_step(self, table: Table, key: Key) -> None:
        by_key = self._later[table]
        by_key[key].pop()
        if not by_key[key]:
            del by_key[key]

    def _changes(self, table: Table, fates: Mapping[Key, str]) -> Changes:
        known: Mapping[Key, Any] = self._known[table]
        return Changes(
            table,
            added=[known[key] for key, fate in fates.items() if fate is ADDED],
            changed=[known[key] for key, fate in fates.items() if fate is CHANGED],
            columns=tuple(sorted(self._touched.get(table, ()))),
            removed=[key for key, fate in fates.items() if fate is REMOVED],
        )

    def _put(self, table: Table, key: Key, row: Row | None, fate: str | None) -> None:
        known = self._known[table]
        fates = self._fates.setdefault(table, {})
        self._log.append((table, key, known.get(key, _UNKNOWN), fates.get(key)))
        known[key] = row
        if fate is None:
            fates.pop(key, None)
        elif fate is ADDED and fates.get(key) is REMOVED:
            # The database has a row under this key still, and nothing of it may stay.
            fates[key] = CHANGED
            blank = dict.fromkeys(column_names(table))
            known[key] = {**blank, **(row or {})}
            self._touched.setdefault(table, set()).update(blank.keys() - set(key_names(table)))
        else:
            fates[key] = fate

    def _fetch(self, wanted: Mapping[Table, list[Key]], tried: list[int]) -> set[int]:
        """Hold and read, in one round trip; those of `tried` that were free."""
        for table, keys in wanted.items():
            waiting = self._later.get(table)
            if waiting and not waiting.keys().isdisjoint(keys):
                raise RowsBroken(f"{table.name}: read after it was to be changed later")
        locks = self._locks(wanted, tried) if self._holds else NO_LOCKS
        got, found = self._sets.load(self.connection, locks, wanted)
        for table, keys in wanted.items():
            known = self._known.setdefault(table, {})
            known.update(dict.fromkeys(keys))
            read_key = key_of(table)
            for row in found[table]:
                known[read_key(row)] = row
        return got if self._holds else set(tried)

    @staticmethod
    def _locks(wanted: Mapping[Table, list[Key]], tried: list[int]) -> Locks:
        """Locks that may be busy, locks to wait for, locks that are shared."""
        owned: list[tuple[int, int]] = []
        shared: list[int] = []
        for table, keys in wanted.items():
            lock, rank = table.info.get("lock"), table.info.get("rank", 1)
            if lock == "shared":
                shared += [lock_of(table, key) for key in keys]
            elif lock == "own":
                owned += [(rank, lock_of(table, key)) for key in keys]
        in_order = [number for _rank, number in sorted(set(owned))]
        return Locks(sorted(tried), in_order, sorted(shared))
