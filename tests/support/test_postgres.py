"""The server of the run: databases are made, copied and thrown away."""

from __future__ import annotations

import time

import psycopg
import pytest

from tests.support import postgres

pytestmark = pytest.mark.postgres


def answer(url: str, question: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def test_it_is_postgresql_18_in_utf8(postgres_url: str) -> None:
    assert str(answer(postgres_url, "SHOW server_version")).startswith("18.")
    assert answer(postgres_url, "SHOW server_encoding") == "UTF8"
    assert answer(postgres_url, "SHOW max_connections") == str(postgres.CONNECTIONS_MAX)
    assert answer(postgres_url, "SHOW fsync") == "off"


def test_a_copy_has_its_templates_tables_and_is_quick(
    postgres_server: postgres.Server, worker_name: str
) -> None:
    with postgres_server.database(f"{worker_name}_model") as model:
        with psycopg.connect(model) as connection:
            connection.execute("CREATE TABLE fact (number int)")
            connection.execute("INSERT INTO fact VALUES (7)")
        started = time.perf_counter()
        with postgres_server.database(
            f"{worker_name}_copy", template=f"{worker_name}_model"
        ) as url:
            took_seconds = time.perf_counter() - started
            assert answer(url, "SELECT number FROM fact") == 7
    assert took_seconds < 2


def test_dropping_throws_out_who_is_connected(
    postgres_server: postgres.Server, worker_name: str
) -> None:
    with postgres_server.database(f"{worker_name}_gone") as url:
        left_open = psycopg.connect(url)
    with pytest.raises(psycopg.OperationalError):
        left_open.execute("SELECT 1")
    left_open.close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
