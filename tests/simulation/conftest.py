"""Migrated SQLite files to copy, and keys: a simulation begins hundreds of cities."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.db import Which, open_databases
from backend.db.migrate import upgrade
from backend.keys import SoftwareKeys


def urls(folder: Path) -> dict[Which, str]:
    return {which: f"sqlite:///{folder / which.value}.db" for which in Which}


@pytest.fixture(scope="session")
def empty_city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three migrated, empty databases."""
    folder = tmp_path_factory.mktemp("empty-city")
    databases = open_databases(urls(folder))
    upgrade(databases)
    for which in Which:  # one file each: nothing may stay behind in a write-ahead log
        with databases[which].engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.exec_driver_sql("BEGIN")
    databases.close()
    return folder


@pytest.fixture(scope="session")
def city_keys(tmp_path_factory: pytest.TempPathFactory) -> SoftwareKeys:
    folder = tmp_path_factory.mktemp("city-keys")
    return SoftwareKeys.make(folder / "keystore.json", folder / "kek")
