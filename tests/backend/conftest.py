"""Real databases for backend tests: SQLite files and PostgreSQL, both from the migrations."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from backend.db import METADATA, Databases, Units, Which, open_databases
from backend.db.migrate import upgrade
from backend.kernel import ManualClock
from backend.keys import SoftwareKeys
from tests.support import postgres
from tests.support.databases import make_template, sqlite_urls

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)  # ten in the morning in Shanghai


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three migrated, empty SQLite files, copied for each test."""
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: postgres.Server, worker_name: str) -> Iterator[Databases]:
    """Three migrated PostgreSQL databases of this test process's own."""
    with ExitStack() as stack:
        urls = {
            which: stack.enter_context(
                postgres_server.database(f"{worker_name}_{which.value}")
            ).replace("postgresql://", "postgresql+psycopg://", 1)
            for which in Which
        }
        databases = open_databases(urls)
        upgrade(databases)
        yield databases
        databases.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    """Empty databases: the same test runs on both engines."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        folder = tmp_path / "databases"
        shutil.copytree(template, folder)
        opened = open_databases(sqlite_urls(folder))
        yield opened
        opened.close()
        return
    opened = request.getfixturevalue("postgres_databases")
    yield opened
    for which in Which:
        names = ", ".join(f'"{name}"' for name in METADATA[which].tables)
        with opened[which].engine.begin() as connection:
            connection.execute(text(f"TRUNCATE {names}"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def units(databases: Databases, clock: ManualClock) -> Units:
    return Units(databases, clock)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> SoftwareKeys:
    folder = tmp_path_factory.mktemp("keys")
    return SoftwareKeys.make(folder / "keystore.json", folder / "kek")
