"""Migrations make exactly the tables the code declares, on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from backend.db import METADATA, Databases, Which
from backend.db.migrate import alembic_config, upgrade
from tests.support import postgres
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


# What a city had written before postings stood alone (revision ledger_0002).
BEFORE = (
    "INSERT INTO account VALUES ('wal_a', 'wallet', 'credit', 0, 500000, 'article', 'open',"
    " 100, 1000, 50, 0, 2)",
    "INSERT INTO account VALUES ('bank', 'channel_receivable', 'debit', 0, NULL, NULL, 'open',"
    " 1000, 0, 0, 0, 1)",
    "INSERT INTO transfer VALUES ('top_1', 'top_up', NULL, 'memo', '2026-11-01',"
    " '2026-11-01 00:00:00+00:00')",
    "INSERT INTO posting VALUES ('top_1', 0, 'bank', 'wal_a', 1000)",
    "INSERT INTO entry VALUES ('wal_a', 1, 'top_1', 0, 'credit', 1000, 1000)",
    "INSERT INTO entry VALUES ('bank', 1, 'top_1', 0, 'debit', 1000, 1000)",
    "INSERT INTO hold VALUES ('pay_2', 'wal_a', 'shop', 50, 'pending',"
    " '2026-12-01 00:00:00+00:00', '2026-11-24 00:00:00+00:00', NULL)",
    "INSERT INTO proof_use VALUES ('tok_1', 'tap', 7, 1, 'pay_1', '2026-11-24 00:00:00+00:00')",
    "INSERT INTO proof_use VALUES ('tok_1', 'tap', 9, 1, 'pay_3', '2026-11-24 00:00:00+00:00')",
    "INSERT INTO proof_use VALUES ('tok_1', 'pay_code', 99, 1, 'pay_4',"
    " '2026-11-24 00:00:00+00:00')",
)
AFTER = {
    "SELECT operation_id, debit, credit, amount_fen, code, memo, segment FROM posting": [
        ("top_1", "bank", "wal_a", 1000, "top_up", "memo", 1)
    ],
    "SELECT account_id, balance_fen, code FROM entry ORDER BY account_id": [
        ("bank", 1000, "top_up"),
        ("wal_a", 1000, "top_up"),
    ],
    "SELECT account_class, debits_pending, lines FROM account WHERE account_id = 'wal_a'": [
        ("registered", 50, 2)
    ],
    "SELECT account_id FROM account WHERE holds_expire_at IS NOT NULL": [("wal_a",)],
    "SELECT hold_id, amount_fen, state, counts FROM hold": [("pay_2", 50, "pending", "")],
    "SELECT token_id, atc_highest FROM token_use": [("tok_1", 9)],
    "SELECT token_id, key_index, taps FROM key_use": [("tok_1", 1, 2)],
}


@pytest.mark.postgres
@pytest.mark.parametrize("engine_name", ["sqlite", "postgres"])
def test_what_was_posted_before_is_there_after(
    engine_name: str, postgres_server: postgres.Server, worker_name: str, tmp_path: Path
) -> None:
    """Goal: a city that has run before goes on with every fen, hold and used proof."""
    with postgres_server.database(f"{worker_name}_old_ledger") as server_url:
        url = server_url.replace("postgresql://", "postgresql+psycopg://", 1)
        if engine_name == "sqlite":
            url = f"sqlite:///{tmp_path / 'ledger.db'}"
        engine = create_engine(url)
        config = alembic_config(Which.LEDGER)
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "ledger_0002")
            for statement in BEFORE:
                connection.execute(text(statement))
            command.upgrade(config, "head")
            connection.commit()
            for question, expected in AFTER.items():
                found = [tuple(row) for row in connection.execute(text(question))]
                assert found == expected, question
        engine.dispose()
