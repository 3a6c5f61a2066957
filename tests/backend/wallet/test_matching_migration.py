"""Top-ups from before the day's match know their statement's day after the migration."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text

from backend.db import Databases, Which, open_databases
from backend.db.migrate import alembic_config, upgrade
from tests.support import postgres
from tests.support.databases import sqlite_urls

INSERT = (
    "INSERT INTO topup (topup_id, wallet_id, person_id, amount_fen, state, bank_card_sealed,"
    " bank_card_end, created_at, settled_at) VALUES (:id, 'w', 'p', 1, :state, :sealed, '1234',"
    " :settled, :settled_or_null)"
)
# Midnight in Shanghai is 16:00 UTC; moments as each engine stores them.
BEFORE, AFTER = "2026-11-23 15:59:59.999999", "2026-11-23 16:00:00.000000"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def old(request: pytest.FixtureRequest, tmp_path: Path, worker_name: str) -> Iterator[Databases]:
    """Empty databases, the ledger's as it was before."""
    urls, server, names = sqlite_urls(tmp_path), None, []
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
        assert isinstance(server, postgres.Server)
        names = [f"{worker_name}_before_{which.value}" for which in Which]
        urls = {
            which: server.create(name).replace("postgresql://", "postgresql+psycopg://", 1)
            for which, name in zip(Which, names, strict=True)
        }
    opened = open_databases(urls)
    config = alembic_config(Which.LEDGER)
    with opened[Which.LEDGER].engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "ledger_0003")
        connection.commit()
    yield opened
    opened.close()
    for name in names:
        assert server is not None
        server.drop(name)


def test_the_statements_day_of_old_top_ups(old: Databases) -> None:
    engine = old[Which.LEDGER].engine
    zone = "+00" if engine.dialect.name == "postgresql" else ""
    rows = [
        ("top_1", "succeeded", BEFORE),
        ("top_2", "succeeded", AFTER),
        ("top_3", "failed", AFTER),
        ("top_4", "processing", None),
    ]
    with engine.begin() as connection:
        for name, state, settled in rows:
            values = {
                "id": name,
                "state": state,
                "sealed": b"x",
                "settled": (settled or BEFORE) + zone,
                "settled_or_null": settled and settled + zone,
            }
            connection.execute(text(INSERT), values)
    upgrade(old)
    with engine.connect() as connection:
        query = text("SELECT topup_id, booked_on FROM topup ORDER BY topup_id")
        found = {
            name: day and date.fromisoformat(str(day)) for name, day in connection.execute(query)
        }
    assert found == {
        "top_1": date(2026, 11, 23),
        "top_2": date(2026, 11, 24),
        "top_3": None,
        "top_4": None,
    }
