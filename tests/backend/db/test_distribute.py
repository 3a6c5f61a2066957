"""Citus: every table says how it is spread, and keeps the rules that this asks for.

There is no Citus here: `create_distributed_table` and its kin are stand-ins of the same names and
arguments that write down how they were called. What Citus itself would refuse is tested as rules
about the tables.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Table, UniqueConstraint, text

from backend.db import METADATA, Databases, Which
from backend.db.distribute import REFERENCE, CannotDistribute, distribute, in_order
from tools.revision import import_tables

import_tables()
TABLES = [(which, table) for which in Which for table in METADATA[which].sorted_tables]
every_table = pytest.mark.parametrize(
    ("which", "table"), TABLES, ids=[f"{which.value}.{table.name}" for which, table in TABLES]
)


@every_table
def test_a_table_says_how_it_is_spread(which: Which, table: Table) -> None:
    assert table.info.get("citus") in {REFERENCE, *table.columns.keys()}


@every_table
def test_keys_and_unique_rules_contain_what_spreads_the_table(which: Which, table: Table) -> None:
    column = table.info["citus"]
    if column == REFERENCE:
        return  # whole on each node: any rule holds
    rules = [table.primary_key, *(r for r in table.constraints if type(r) is UniqueConstraint)]
    rules += [index for index in table.indexes if index.unique]
    for rule in rules:
        assert column in {one.name for one in rule.columns}, rule
    assert not table.columns[column].nullable


@every_table
def test_foreign_keys_point_at_whole_tables_or_beside(which: Which, table: Table) -> None:
    for key in table.foreign_keys:
        other = key.column.table
        beside = other.info["citus"] == table.info["citus"] == key.parent.name
        assert other.info["citus"] == REFERENCE or beside, key


@pytest.mark.parametrize("which", list(Which))
def test_columns_of_one_name_have_one_type(which: Which) -> None:
    """Goal: tables spread by columns of one name can lie together."""
    kinds: dict[str, set[str]] = {}
    for table in METADATA[which].sorted_tables:
        if (column := table.info["citus"]) != REFERENCE:
            kinds.setdefault(column, set()).add(type(table.columns[column].type).__name__)
    assert all(len(found) == 1 for found in kinds.values()), kinds


STAND_INS = """
CREATE SCHEMA citus_stand_in;
CREATE TABLE citus_stand_in.pg_dist_partition (logicalrelid regclass PRIMARY KEY);
CREATE TABLE citus_stand_in.call (
    number bigint GENERATED ALWAYS AS IDENTITY, said text, unsafe text
);
CREATE FUNCTION citus_stand_in.create_reference_table(table_name regclass) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO citus_stand_in.call (said, unsafe) VALUES (
        table_name::text || ' whole', current_setting('citus.enable_unsafe_triggers', true));
    INSERT INTO citus_stand_in.pg_dist_partition VALUES (table_name)
$$;
CREATE FUNCTION citus_stand_in.create_distributed_table(
    table_name regclass, distribution_column text, distribution_type text DEFAULT 'hash',
    colocate_with text DEFAULT 'default'
) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO citus_stand_in.call (said, unsafe) VALUES (
        table_name::text || ' by ' || distribution_column || ' beside ' || colocate_with,
        current_setting('citus.enable_unsafe_triggers', true));
    INSERT INTO citus_stand_in.pg_dist_partition VALUES (table_name)
$$;
"""


@pytest.fixture
def citus(postgres_databases: Databases) -> Iterator[Databases]:
    """The three databases with stand-ins for what Citus brings, found by the search path."""
    for which in Which:
        engine = postgres_databases[which].engine
        with engine.begin() as connection:
            connection.exec_driver_sql(STAND_INS)
            catalog = connection.execute(text("SELECT current_database()")).scalar()
            connection.exec_driver_sql(
                f'ALTER DATABASE "{catalog}" SET search_path = public, citus_stand_in'
            )
        engine.dispose()  # the path is read at connecting
    yield postgres_databases
    for which in Which:
        engine = postgres_databases[which].engine
        with engine.begin() as connection:
            catalog = connection.execute(text("SELECT current_database()")).scalar()
            connection.exec_driver_sql(f'ALTER DATABASE "{catalog}" RESET search_path')
            connection.exec_driver_sql("DROP SCHEMA citus_stand_in CASCADE")
        engine.dispose()


def calls(databases: Databases, which: Which) -> list[str]:
    asked = text("SELECT said, unsafe FROM call ORDER BY number")
    with databases[which].engine.connect() as connection:
        rows = connection.execute(asked).all()
    assert {row.unsafe for row in rows} <= {"on"}
    return [row.said for row in rows]


@pytest.mark.postgres
def test_every_table_is_distributed_once(citus: Databases) -> None:
    done = {one.which: one for one in distribute(citus)}
    for which in Which:
        said = calls(citus, which)
        assert len(said) == len(METADATA[which].tables)
        assert [line.split()[0] for line in said] == list(done[which].tables)
        assert [line.endswith(" whole") for line in said] == sorted(
            (line.endswith(" whole") for line in said), reverse=True
        )
    ledger = calls(citus, Which.LEDGER)
    assert "segment whole" in ledger
    assert "posting by operation_id beside none" in ledger
    accounts = [line for line in ledger if " by account_id " in line]
    assert sorted(line.split()[0] for line in accounts) == ["account", "entry", "usage"]
    first = accounts[0].split()[0]
    assert [line.split()[-1] for line in accounts] == ["none", first, first]
    again = distribute(citus)
    assert [(one.tables, one.before) for one in again] == [
        ((), len(METADATA[which].tables)) for which in Which
    ]


@pytest.mark.postgres
def test_what_was_left_half_way_is_finished(citus: Databases) -> None:
    """Goal: after a failure the rest is done, beside what was there."""
    first = next(table for table in in_order(Which.LEDGER) if table.info["citus"] == "token_id")
    with citus[Which.LEDGER].engine.begin() as connection:
        connection.exec_driver_sql(
            "SET LOCAL citus.enable_unsafe_triggers = on;"
            f"SELECT create_distributed_table('{first.name}', 'token_id', colocate_with => 'none')"
        )
    ledger = next(one for one in distribute(citus) if one.which is Which.LEDGER)
    assert (ledger.before, first.name in ledger.tables) == (1, False)
    beside = [line for line in calls(citus, Which.LEDGER) if " by token_id " in line]
    assert [line.split()[-1] for line in beside] == ["none", first.name, first.name]


def test_what_is_no_citus_is_refused_in_one_line(databases: Databases) -> None:
    with pytest.raises(CannotDistribute) as refusal:
        distribute(databases)
    said = str(refusal.value)
    assert "\n" not in said
    assert said.startswith("distribute: database identity ")
    assert ("SQLite" in said) == databases[Which.IDENTITY].is_sqlite
    assert ("citus" in said) != databases[Which.IDENTITY].is_sqlite
