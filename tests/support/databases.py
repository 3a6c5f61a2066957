"""Migrated, empty SQLite databases to copy: migrating for each test would take a second each."""

from __future__ import annotations

from pathlib import Path

from backend.db import Which, open_databases
from backend.db.migrate import upgrade


def sqlite_urls(folder: Path) -> dict[Which, str]:
    """The three databases of a folder."""
    return {which: f"sqlite:///{folder / which.value}.db" for which in Which}


def make_template(folder: Path) -> Path:
    """Make the three in `folder`, one file each: nothing stays behind in a write-ahead log."""
    databases = open_databases(sqlite_urls(folder))
    upgrade(databases)
    for which in Which:
        with databases[which].engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.exec_driver_sql("BEGIN")
    databases.close()
    return folder
