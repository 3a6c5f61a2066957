"""What a city had on its phones before tokens had suites and reasons goes on afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from backend.db import Which
from backend.db.migrate import alembic_config
from tests.support import postgres

MOMENT = "'2026-11-01 00:00:00+00:00'"
TOKEN = (
    "INSERT INTO token (token_id, person_id, wallet_id, device_id, device_public_key, token_number,"
    " short_number, product, label, state, certificate, key_index, changes, created_at)"
    " VALUES ('{id}', 'per_1', 'wal_1', 'dev_1', {bytes}, '621000000000000000{n}', '0000000{n}',"
    " 'phone_card', 'CITY CARD', '{state}', {bytes}, 1, 1, " + MOMENT + ")"
)
DEVICE = (
    "INSERT INTO device (person_id, device_id, slot, name, signing_key, sealing_key, state,"
    " enrolled_at) VALUES ('per_1', 'dev_1', 1, 'phone', {bytes}, {bytes}, 'active', "
    + MOMENT
    + ")"
)
HISTORY = (
    "INSERT INTO token_history (token_id, number, before, after, reason, at)"
    " VALUES ('tok_1', 1, NULL, 'active', 'provisioned', " + MOMENT + ")"
)
QUESTION = (
    "SELECT token_id, state, suspended_for, suite, card_kind, card_id FROM token ORDER BY token_id"
)
AFTER = {
    QUESTION: [
        ("tok_1", "active", None, 1, "mobile", None),
        ("tok_2", "suspended", "holder_reported_loss", 1, "mobile", None),
        ("tok_3", "deleted", None, 1, "mobile", None),
    ],
    "SELECT slot, attested, os_integrity, model FROM device": [(1, "none", "unknown", None)],
    "SELECT reason, by_kind, by_id, event_id FROM token_history": [
        ("provisioned", "citizen", None, None)
    ],
}


@pytest.mark.postgres
@pytest.mark.parametrize("engine_name", ["sqlite", "postgres"])
def test_tokens_of_before_are_whole_afterwards(
    engine_name: str, postgres_server: postgres.Server, worker_name: str, tmp_path: Path
) -> None:
    with postgres_server.database(f"{worker_name}_old_business") as server_url:
        url = server_url.replace("postgresql://", "postgresql+psycopg://", 1)
        raw = "'\\x02'"
        if engine_name == "sqlite":
            url, raw = f"sqlite:///{tmp_path / 'business.db'}", "x'02'"
        engine = create_engine(url)
        config = alembic_config(Which.BUSINESS)
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "business_0001")
            connection.execute(text(DEVICE.format(bytes=raw)))
            for n, state in enumerate(("active", "suspended", "deleted"), start=1):
                statement = TOKEN.format(id=f"tok_{n}", n=n, state=state, bytes=raw)
                connection.execute(text(statement))
            connection.execute(text(HISTORY))
            command.upgrade(config, "head")
            connection.commit()
            for question, expected in AFTER.items():
                assert [tuple(row) for row in connection.execute(text(question))] == expected
            with pytest.raises(IntegrityError):
                connection.execute(text("UPDATE token SET state = 'gone'"))
            connection.rollback()
            with pytest.raises(IntegrityError):  # a kind is no default for new tokens
                connection.execute(text(TOKEN.format(id="tok_4", n=4, state="active", bytes=raw)))
            connection.rollback()
        engine.dispose()
