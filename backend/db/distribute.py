"""Spreads the tables of the three databases over the nodes of a Citus cluster.

Which column a table is spread by stands in its `info["citus"]`; "reference": whole on each node.
Tables spread by columns of one name lie together, so that what belongs to one account, token or
person is on one node.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Table, text

from backend.db.engines import Database, Databases
from backend.db.metadata import METADATA, Which

REFERENCE = "reference"


class CannotDistribute(Exception):
    """The database is no Citus: told to the operator, in one line."""


@dataclass(frozen=True, slots=True)
class Distributed:
    """What was done to one database; `before`: how many tables were distributed already."""

    which: Which
    tables: tuple[str, ...]
    before: int


def distribute(databases: Databases) -> list[Distributed]:
    """Distribute every table that is not yet; safe to repeat after a failure half-way.

    Raises CannotDistribute, before anything is done, when one of the three is no Citus.
    """
    for which in Which:
        _check_citus(databases[which])
    return [_distribute(databases[which]) for which in Which]


def _check_citus(database: Database) -> None:
    name = database.which.value
    if database.is_sqlite:
        raise CannotDistribute(f"distribute: database {name} is SQLite: only Citus is distributed")
    with database.engine.connect() as connection:
        asked = connection.execute(text("SELECT to_regproc('create_distributed_table')"))
        if asked.scalar() is None:
            raise CannotDistribute(
                f"distribute: database {name} lacks the extension citus (CREATE EXTENSION citus)"
            )


def _distribute(database: Database) -> Distributed:
    done = []
    tables = in_order(database.which)
    for table in tables:
        # One transaction a table: Citus moves rows at once, and what is done stays done.
        with database.engine.begin() as connection:
            if not _is_distributed(connection, table):
                _distribute_table(connection, table, tables)
                done.append(table.name)
    return Distributed(database.which, tuple(done), len(tables) - len(done))


def in_order(which: Which) -> list[Table]:
    """The tables of a database: whole ones first, because others may point at them."""
    tables = METADATA[which].sorted_tables
    return sorted(tables, key=lambda table: table.info["citus"] != REFERENCE)


def _is_distributed(connection: Connection, table: Table) -> bool:
    asked = text("SELECT 1 FROM pg_dist_partition WHERE logicalrelid = CAST(:name AS regclass)")
    return connection.execute(asked, {"name": _quoted(connection, table)}).first() is not None


def _distribute_table(connection: Connection, table: Table, tables: list[Table]) -> None:
    column = table.info["citus"]
    name = _quoted(connection, table)
    # Citus takes tables with triggers only so. Ours refuse a row and touch nothing else.
    connection.execute(text("SET LOCAL citus.enable_unsafe_triggers = on"))
    if column == REFERENCE:
        connection.execute(text("SELECT create_reference_table(:name)"), {"name": name})
        return
    first = next(other for other in tables if other.info["citus"] == column)
    beside = "none" if first is table else _quoted(connection, first)
    connection.execute(
        text("SELECT create_distributed_table(:name, :column, colocate_with => :beside)"),
        {"name": name, "column": column, "beside": beside},
    )


def _quoted(connection: Connection, table: Table) -> str:
    return connection.dialect.identifier_preparer.format_table(table)
