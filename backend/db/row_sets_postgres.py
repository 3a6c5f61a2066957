"""Sets of rows in PostgreSQL and Citus: one JSON text a set, one plan whatever its size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from functools import cache
from typing import Any, LiteralString
from typing import cast as cast_type

import psycopg
from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Delete,
    Insert,
    Select,
    String,
    Table,
    TableValuedAlias,
    Text,
    Update,
    and_,
    bindparam,
    cast,
    column,
    delete,
    func,
    insert,
    literal_column,
    null,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import psycopg as postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeDecorator, UserDefinedType

from backend.db.row_sets import (
    Changes,
    Key,
    Locks,
    Row,
    RowGone,
    as_json,
    column_names,
    key_names,
)

Run = Callable[..., "psycopg.Cursor[Any]"]
POSTGRES = postgresql.dialect()


class PostgresRows:
    """Statements are made once; a whole set of them goes to the server in one round trip."""

    def load(
        self, connection: Connection, locks: Locks, wanted: Mapping[Table, list[Key]]
    ) -> tuple[set[int], dict[Table, list[Row]]]:
        # Each statement sees what was committed before it began: the rows are read after the
        # locks are held, though both are sent at once.
        tables = tuple(wanted)
        with _pipeline(connection) as run:
            held = run(_HOLD, _lock_values(locks)) if locks else None
            read = run(_select_text(tables), _keys_of(wanted)) if tables else None
            free = held.fetchone() if held else None
            found = read.fetchall() if read else ()
        rows = {tables[place]: _rows(tables[place], given or []) for place, given in found}
        return set(free[0] or ()) if free else set(), rows

    def write(self, connection: Connection, changes: list[Changes]) -> None:
        with _pipeline(connection) as run:
            updates = [cursor for one in changes for cursor in self._write_table(run, one)]
        for cursor, expected in updates:
            if cursor.rowcount != expected:
                raise RowGone(f"{cursor.rowcount} rows of {expected}")

    @staticmethod
    def _write_table(run: Run, new: Changes) -> list[tuple[psycopg.Cursor[Any], int]]:
        table = new.table
        if new.removed:
            run(_delete_text_json(table), {"keys": _keys_json(table, new.removed)})
        if new.added:
            run(_insert_text_json(table), {"rows": as_json(new.added)})
        if not new.changed:
            return []
        names = (*key_names(table), *new.columns)
        rows = [{name: row[name] for name in names} for row in new.changed]
        cursor = run(_update_text_json(table, new.columns), {"rows": as_json(rows)})
        return [(cursor, len(rows))]


def _lock_values(locks: Locks) -> dict[str, list[int]]:
    return {"tried": locks.tried, "owned": locks.owned, "shared": locks.shared}


@contextmanager
def _driver(connection: Connection) -> Iterator[psycopg.Connection[Any]]:
    """The driver's own connection; its errors are SQLAlchemy's, as everywhere else."""
    try:
        yield cast_type("psycopg.Connection[Any]", connection.connection.driver_connection)
    except psycopg.Error as error:
        raise DBAPIError.instance(None, None, error, psycopg.Error) from error


@contextmanager
def _pipeline(connection: Connection) -> Iterator[Run]:
    """Runs statements without waiting for the answer of each."""
    with _driver(connection) as driver, driver.pipeline():
        yield driver.execute


@cache
def _readers(table: Table) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    """How the columns are read that JSON has no word for."""
    readers = ((one.name, _reader(one)) for one in table.columns)
    return tuple((name, read) for name, read in readers if read is not None)


def _reader(column: Column[Any]) -> Callable[[Any], Any] | None:
    stored = column.type
    if isinstance(stored, TypeDecorator):
        stored = stored.impl_instance
    from_text = _FROM_TEXT.get(stored.python_type)
    from_driver = column.type.dialect_impl(POSTGRES).result_processor(POSTGRES, None)
    if from_text is None or from_driver is None:
        return from_text or from_driver
    return lambda said: from_driver(from_text(said))


_FROM_TEXT: Mapping[type, Callable[[str], Any]] = {
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    bytes: lambda said: bytes.fromhex(said.removeprefix("\\x")),
}


def _rows(table: Table, found: list[Row]) -> list[Row]:
    for name, read in _readers(table):
        for row in cast_type("list[dict[str, Any]]", found):
            if row[name] is not None:
                row[name] = read(row[name])
    return found


# Each lock is asked for in the order of the array: everybody queues in the same order; the shared
# ones first, since whoever waits to be alone waits for those who hold nothing yet. And what
# follows goes by key alone: a plan made while a table was small must not read it whole for ever.
_HOLD = """
SELECT (SELECT array_agg(k) FROM unnest(%(tried)s::bigint[]) k WHERE pg_try_advisory_xact_lock(k)),
  (SELECT count(pg_advisory_xact_lock_shared(k)) FROM unnest(%(shared)s::bigint[]) k),
  (SELECT count(pg_advisory_xact_lock(k)) FROM unnest(%(owned)s::bigint[]) k),
  set_config('enable_seqscan', 'off', true)
"""


class _RowOf(UserDefinedType[Any]):
    """A table's row type: it tells PostgreSQL the types of a JSON object's members."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        return f'"{self.name}"'


def _rows_of_json(table: Table, name: str) -> TableValuedAlias:
    """The objects of a JSON array as rows of the table."""
    given = cast(bindparam(name, type_=Text), JSON)
    rows = func.json_populate_recordset(cast(null(), _RowOf(table.name)), given)
    return rows.table_valued(*(column(one.name, one.type) for one in table.columns)).alias("new")


def _keys_json(table: Table, keys: list[Key]) -> str:
    names = key_names(table)
    if len(names) == 1:
        return as_json([key[0] for key in keys])
    return as_json([dict(zip(names, key, strict=True)) for key in keys])


def _is_among(table: Table, keys: str = "keys") -> ColumnElement[bool]:
    names = list(table.primary_key)
    if len(names) == 1:
        each = func.json_array_elements_text(cast(bindparam(keys, type_=Text), JSON))
        typed = each if isinstance(names[0].type, String) else cast(each, names[0].type)
        return _is_any(names[0], select(typed))
    wanted = _rows_of_json(table, keys)
    listed = tuple_(*names).in_(select(*(wanted.c[one.name] for one in names)))
    return and_(_is_first_any(table, keys), listed)


def _is_first_any(table: Table, name: str) -> ColumnElement[bool]:
    """The first column of the key is one of those in the JSON rows."""
    first = next(iter(table.primary_key))
    return _is_any(first, select(_rows_of_json(table, name).c[first.name]))


def _is_any(one: Column[Any], wanted: Select[Any]) -> ColumnElement[bool]:
    # An array that is made first: the planner always sees a few keys, and takes the index. Of a
    # join with JSON rows it expects a hundred, and may read the whole table instead.
    return one == func.any(func.array(wanted.scalar_subquery()))


def _text_of(statement: Select[Any] | Insert | Update | Delete) -> LiteralString:
    # Made of our own metadata alone; what a caller says travels as a parameter.
    return statement.compile(dialect=POSTGRES).string


@cache
def _select_text(tables: tuple[Table, ...]) -> LiteralString:
    """One statement for all tables: the place of each, and its rows as one JSON array."""
    each = (
        select(literal_column(str(place)), func.json_agg(table.table_valued()))
        .select_from(table)
        .where(_is_among(table, _keys_name(place)))
        for place, table in enumerate(tables)
    )
    return " UNION ALL ".join(_text_of(one) for one in each)


def _keys_of(wanted: Mapping[Table, list[Key]]) -> dict[str, str]:
    return {
        _keys_name(place): _keys_json(table, keys)
        for place, (table, keys) in enumerate(wanted.items())
    }


def _keys_name(place: int) -> str:
    return f"keys_{place}"


@cache
def _delete_text_json(table: Table) -> LiteralString:
    return _text_of(delete(table).where(_is_among(table)))


@cache
def _insert_text_json(table: Table) -> LiteralString:
    names = column_names(table)
    new = _rows_of_json(table, "rows")
    chosen = select(*(new.c[name] for name in names))
    return _text_of(insert(table).from_select(names, chosen, include_defaults=False))


@cache
def _update_text_json(table: Table, columns: tuple[str, ...]) -> LiteralString:
    new = _rows_of_json(table, "rows")
    return _text_of(
        update(table)
        .values({name: new.c[name] for name in columns})
        .where(
            _is_first_any(table, "rows"),
            *(table.c[name] == new.c[name] for name in key_names(table)),
        )
    )
