"""Sets of rows in SQLite: keys as one JSON text, rows through one prepared statement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Insert,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import sqlite

from backend.db.row_sets import Changes, Key, Locks, Row, RowGone, as_json, column_names, key_names


class SqliteRows:
    """Keys as one JSON text; rows one after the other through one prepared statement."""

    def load(
        self, connection: Connection, locks: Locks, wanted: Mapping[Table, list[Key]]
    ) -> tuple[set[int], dict[Table, list[Row]]]:
        # One writer: who writes holds everything.
        found = {table: self._read_table(connection, table, keys) for table, keys in wanted.items()}
        return set(locks.tried), found

    def write(self, connection: Connection, changes: list[Changes]) -> None:
        for one in changes:
            table = one.table
            named = [dict(zip(key_names(table), key, strict=True)) for key in one.removed]
            _run_for_each(connection, _delete_text(table), table, named)
            _run_for_each(connection, _insert_text(table), table, one.added)
            if one.changed:
                update_text = _update_text(table, one.columns)
                _run_for_each(connection, update_text, table, one.changed)

    @staticmethod
    def _read_table(connection: Connection, table: Table, keys: list[Key]) -> list[Row]:
        wanted = [key[0] for key in keys] if len(keys[0]) == 1 else keys
        names = column_names(table)
        found = connection.execute(_select_by_keys(table), {"keys": as_json(wanted)})
        return [dict(zip(names, row, strict=True)) for row in found]


@cache
def _select_by_keys(table: Table) -> Select[Any]:
    names = list(table.primary_key)
    each = func.json_each(bindparam("keys")).table_valued("value")
    if len(names) == 1:
        return select(table).where(names[0].in_(select(each.c.value)))
    parts = (func.json_extract(each.c.value, f"$[{place}]") for place in range(len(names)))
    return select(table).where(tuple_(*names).in_(select(*parts)))


SQLITE = sqlite.dialect()
Statement = tuple[str, tuple[str, ...]]
"""A statement as the driver takes it, and the column each `?` stands for."""


def _run_for_each(
    connection: Connection, statement: Statement, table: Table, rows: Sequence[Row]
) -> None:
    """Run it for all rows, in the driver's own values: SQLAlchemy's way costs three times that.

    Raises RowGone.
    """
    if not rows:
        return
    words, names = statement
    columns = []
    for name in names:
        store = _storing(table, name)
        values = [row.get(name) for row in rows]
        columns.append(values if store is None else [store(one) for one in values])
    done = connection.exec_driver_sql(words, list(zip(*columns, strict=True))).rowcount
    if done != len(rows):
        raise RowGone(f"{table.name}: {done} rows of {len(rows)}")


@cache
def _storing(table: Table, name: str) -> Callable[[Any], Any] | None:
    """How SQLAlchemy would store a column; None: as it is."""
    return table.c[name].type.dialect_impl(SQLITE).bind_processor(SQLITE)


def _as_text(statement: Insert | Update | Delete) -> Statement:
    compiled = statement.compile(dialect=SQLITE)
    return compiled.string, tuple(name.removeprefix("at__") for name in compiled.positiontup or ())


@cache
def _insert_text(table: Table) -> Statement:
    return _as_text(insert(table).values({name: bindparam(name) for name in column_names(table)}))


@cache
def _update_text(table: Table, columns: tuple[str, ...]) -> Statement:
    new: dict[str, Any] = {name: bindparam(name) for name in columns}
    return _as_text(update(table).values(new).where(_is_key(table)))


@cache
def _delete_text(table: Table) -> Statement:
    return _as_text(delete(table).where(_is_key(table)))


def _is_key(table: Table) -> ColumnElement[bool]:
    return and_(*(table.c[name] == bindparam(f"at__{name}") for name in key_names(table)))
