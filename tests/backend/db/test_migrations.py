"""Migrations make exactly the tables the code declares, on both engines."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from backend.db import METADATA, Databases, Which
from backend.db.migrate import upgrade
from tools.revision import import_tables

import_tables()


@pytest.mark.parametrize("which", list(Which))
def test_tables_are_what_the_code_declares(databases: Databases, which: Which) -> None:
    with databases[which].engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA[which]) == []


@pytest.mark.parametrize("which", list(Which))
def test_upgrade_again_changes_nothing(databases: Databases, which: Which) -> None:
    before = inspect(databases[which].engine).get_table_names()
    upgrade(databases)
    assert inspect(databases[which].engine).get_table_names() == before


@pytest.mark.parametrize("which", list(Which))
def test_every_unique_rule_contains_one_column_all_share(which: Which) -> None:
    """Citus: keys and unique rules share the distribution column; reference tables are whole."""
    distributed = [
        table for table in METADATA[which].tables.values() if table.info.get("citus") != "reference"
    ]
    for table in distributed:
        keys = [set(table.primary_key.columns.keys())]
        keys += [
            {column.name for column in rule.columns}
            for rule in (*table.constraints, *table.indexes)
            if getattr(rule, "unique", False) or type(rule).__name__ == "UniqueConstraint"
        ]
        assert set.intersection(*keys), f"{table.name}: {keys}"
