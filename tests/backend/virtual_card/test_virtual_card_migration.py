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
    "SELECT number, kind, version FROM deny_entry WHERE is_denied ORDER BY version": [
        ("6210000000000000002", 1, 1),
        ("6210000000000000003", 1, 2),
    ],
    "SELECT version, floor, tokens_total, purses_total FROM deny_head": [(2, 0, 2, 0)],
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


FULL_DEVICE = (
    "INSERT INTO device (person_id, device_id, slot, name, signing_key, sealing_key, state,"
    " enrolled_at, attested, os_integrity) VALUES ('per_1', 'dev_1', 1, 'phone', {bytes}, {bytes},"
    " 'active', " + MOMENT + ", 'hardware', 'verified')"
)
FULL_TOKEN = (
    "INSERT INTO token (token_id, person_id, wallet_id, device_id, device_public_key, token_number,"
    " short_number, product, label, state, certificate, key_index, changes, created_at, suite,"
    " card_kind) VALUES ('tok_1', 'per_1', 'wal_1', 'dev_1', {bytes}, '6210000000000000001',"
    " '00000001', 'phone_card', 'CITY CARD', 'active', {bytes}, 3, 1, " + MOMENT + ", 1, 'mobile')"
)


@pytest.mark.postgres
@pytest.mark.parametrize("engine_name", ["sqlite", "postgres"])
def test_phones_of_before_have_no_sm2_key_and_may_get_one(
    engine_name: str, postgres_server: postgres.Server, worker_name: str, tmp_path: Path
) -> None:
    with postgres_server.database(f"{worker_name}_suites_business") as server_url:
        url = server_url.replace("postgresql://", "postgresql+psycopg://", 1)
        raw, key = "'\\x02'", f"'\\x{'02' * 33}'"
        if engine_name == "sqlite":
            url, raw, key = f"sqlite:///{tmp_path / 'business.db'}", "x'02'", f"x'{'02' * 33}'"
        engine = create_engine(url)
        config = alembic_config(Which.BUSINESS)
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "business_0003")
            connection.execute(text(FULL_DEVICE.format(bytes=raw)))
            connection.execute(text(FULL_TOKEN.format(bytes=raw)))
            command.upgrade(config, "business_0004")
            connection.commit()
            device = connection.execute(
                text("SELECT device_id, slot, state, attested, os_integrity, sm2_key FROM device")
            )
            assert device.all() == [("dev_1", 1, "active", "hardware", "verified", None)]
            token = connection.execute(text("SELECT token_id, suite, key_index, state FROM token"))
            assert token.all() == [("tok_1", 1, 3, "active")]
            for refused in ("UPDATE token SET suite = 3", f"UPDATE device SET sm2_key = {raw}"):
                with pytest.raises(IntegrityError):
                    connection.execute(text(refused))
                connection.rollback()
            with pytest.raises(IntegrityError):  # the laws of before are still there
                connection.execute(text("UPDATE device SET slot = 6"))
            connection.rollback()
            connection.execute(text(f"UPDATE device SET sm2_key = {key}"))
            connection.execute(text("UPDATE token SET suite = 2"))
            connection.commit()
        engine.dispose()
