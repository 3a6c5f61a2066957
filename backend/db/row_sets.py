"""What `Rows` asks of a database: hold, read and write whole sets of rows. Knows no dialect."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any, Protocol

from sqlalchemy import Connection, Table

Key = tuple[Any, ...]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be written to one table. `columns`: those that have new values in `changed`."""

    table: Table
    added: list[Row]
    changed: list[Row]
    columns: tuple[str, ...]
    removed: list[Key]


@dataclass(frozen=True, slots=True)
class Locks:
    """Advisory locks: taken if free, to be alone with in this order, and shared with others."""

    tried: list[int]
    owned: list[int]
    shared: list[int]

    def __bool__(self) -> bool:
        return bool(self.tried or self.owned or self.shared)


NO_LOCKS = Locks([], [], [])


class RowGone(Exception):
    """A row that was read and held is not there any more: somebody went past the locks."""


class SetStatements(Protocol):
    """A fixed number of statements and of round trips, whatever the number of rows."""

    def load(
        self, connection: Connection, locks: Locks, wanted: Mapping[Table, list[Key]]
    ) -> tuple[set[int], dict[Table, list[Row]]]:
        """Take locks until the transaction ends, then read the rows with these primary keys.

        Which of `locks.tried` were free, and the rows.
        """

    def write(self, connection: Connection, changes: list[Changes]) -> None:
        """All changes. Raises RowGone."""


@cache
def column_names(table: Table) -> tuple[str, ...]:
    return tuple(one.name for one in table.columns)


@cache
def key_names(table: Table) -> tuple[str, ...]:
    return tuple(one.name for one in table.primary_key)


@cache
def key_of(table: Table) -> Callable[[Row], Key]:
    """Reads the primary key out of a row, as a tuple."""
    names = key_names(table)
    if len(names) == 1:
        only = names[0]
        return lambda row: (row[only],)
    return itemgetter(*names)


@lru_cache(maxsize=64)  # the rows of a batch share one moment
def _moment_text(moment: date) -> str:
    return moment.isoformat()


def _plain(value: Any) -> str:
    """What JSON does not know, as both databases read it from a text.

    A moment without a zone raises, as it does in `Utc`.
    """
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError("a moment without a zone")
    if isinstance(value, (datetime, date)):
        return _moment_text(value)
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    raise TypeError(type(value).__name__)


def as_json(value: Any) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False)
