"""Counts the SQL statements that reach a database: a batch must not send more for being longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import psycopg
from sqlalchemy import Connection, Engine, event


@dataclass
class Statements:
    """The SQL statements that were sent while somebody looked, BEGIN and COMMIT left out."""

    sent: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sent)


@contextmanager
def counting(engine: Engine) -> Iterator[Statements]:
    """Counts what reaches a cursor: a prepared statement with many rows is one."""
    seen = Statements()

    def note(words: object) -> None:
        text = str(words)
        if not text.startswith(("BEGIN", "SAVEPOINT", "RELEASE")):
            seen.sent.append(text)

    with _noting_driver(note) if engine.dialect.name == "postgresql" else _noting(engine, note):
        yield seen


@contextmanager
def _noting(engine: Engine, note: Callable[[object], None]) -> Iterator[None]:
    def hear(_connection: Connection, _cursor: Any, words: str, *_: Any) -> None:
        note(words)

    event.listen(engine, "before_cursor_execute", hear)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", hear)


@contextmanager
def _noting_driver(note: Callable[[object], None]) -> Iterator[None]:
    """Sets of rows go to psycopg without SQLAlchemy, so we listen where both arrive."""
    true_execute = psycopg.Cursor.execute

    def execute(cursor: Any, query: object, *values: Any, **more: Any) -> Any:
        note(query)
        return true_execute(cursor, query, *values, **more)

    with mock.patch.object(psycopg.Cursor, "execute", execute):
        yield
