"""Opens the three databases: SQLite (one writer, no hub blocked) or PostgreSQL."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gevent import monkey
from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from backend.db.metadata import METADATA, Which
from backend.db.waiting import CooperativeConnection
from backend.kernel import DomainError, Kind, Words

WAIT_SECONDS_MAX = 10
"""How long anybody waits for a connection, a lock or the right to write."""

OPENING_WAIT_MS = 1_000

BEGIN_MODE = "city_begin"
"""Execution option: how to begin, "IMMEDIATE" to write, "DEFERRED" to read, "NOT AT ALL" to ask
one question, which is a transaction by itself."""


class DatabaseUnavailable(DomainError):
    kind, code, retryable = Kind.UNAVAILABLE, "database_unavailable", True
    title = Words(zh="系统繁忙", en="Temporarily unavailable")
    detail = Words(zh="请稍后用同一编号重试。", en="Please try again later with the same id.")


class DatabaseDamaged(Exception):
    """A database cannot be opened or is not whole: told to the operator, in one line."""


@dataclass(frozen=True, slots=True)
class Database:
    """One engine; `writer` lets one greenlet (or thread) write to SQLite at a time."""

    which: Which
    engine: Engine
    writer: threading.Lock | None

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"


@dataclass(frozen=True, slots=True)
class Databases:
    """The three, by name."""

    by_name: Mapping[Which, Database]

    def __getitem__(self, which: Which) -> Database:
        return self.by_name[which]

    def check(self, *, missing_ok: bool = False) -> None:
        """Raises DatabaseDamaged, naming the database, when one does not answer or is not whole.

        `missing_ok`: they are about to be made.
        """
        for database in self.by_name.values():
            _check(database, missing_ok=missing_ok)

    def answers(self, which: Which) -> bool:
        """Whether a database can be read now; cheap enough for a probe every second."""
        database = self.by_name[which]
        try:
            _check_file(database)
            with database.engine.connect() as connection:
                # `SELECT 1` alone would be answered without a look at SQLite's file.
                probe = "PRAGMA schema_version" if database.is_sqlite else "SELECT 1"
                connection.exec_driver_sql(probe).scalar()
        except (DatabaseDamaged, SQLAlchemyError, OSError):
            return False
        return True

    def has_rows(self, which: Which) -> bool:
        """Whether a database holds anything; a SQLite file that is not there holds nothing."""
        engine = self.by_name[which].engine
        if self.by_name[which].is_sqlite and not Path(engine.url.database or "").exists():
            return False
        made = set(inspect(engine).get_table_names())
        with engine.connect() as connection:
            return any(
                connection.execute(select(table).limit(1)).first() is not None
                for name, table in METADATA[which].tables.items()
                if name in made
            )

    def close(self) -> None:
        for database in self.by_name.values():
            database.engine.dispose()


def open_databases(urls: Mapping[Which, str], *, pool_size: int = 10) -> Databases:
    """Engines for the three URLs (`sqlite:///var/ledger.db`, `postgresql+psycopg://…`)."""
    return Databases({which: _open(which, urls[which], pool_size) for which in Which})


def _open(which: Which, url: str, pool_size: int) -> Database:
    # An error's text ends in a log: it must not carry the values of a row.
    settings: dict[str, Any] = {
        "hide_parameters": True,
        "max_overflow": 0,
        "pool_size": pool_size,
        "pool_timeout": WAIT_SECONDS_MAX,
    }
    if not url.startswith("sqlite"):
        bounds = {
            "connect_timeout": WAIT_SECONDS_MAX,
            "options": f"-c lock_timeout={WAIT_SECONDS_MAX}s",
        }
        # We begin by hand: BEGIN is then the first thing a connection hears, and finds out
        # whether the server is still there without a question of its own (see Units).
        engine = create_engine(url, isolation_level="AUTOCOMMIT", connect_args=bounds, **settings)
        event.listen(engine, "begin", _begin_postgres)
        if monkey.is_module_patched("socket"):
            event.listen(engine, "do_connect", _connect_cooperatively)
        return Database(which, engine, None)
    # SQLite's own waiting sleeps in C and would stop every greenlet: Units waits instead.
    engine = create_engine(url, poolclass=QueuePool, connect_args={"timeout": 0}, **settings)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return Database(which, engine, threading.Lock())


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # We begin by hand: the driver's own begin is deferred and would fail when it upgrades.
    connection.isolation_level = None
    # Only here the driver may wait: another process that opens the same file at this moment holds
    # it for some milliseconds. Afterwards Units waits, so that greenlets can run.
    wait = f"busy_timeout={OPENING_WAIT_MS}"
    for pragma in (wait, "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("PRAGMA busy_timeout=0")


def _connect_cooperatively(
    _dialect: Any, _record: Any, arguments: tuple[Any, ...], settings: dict[str, Any]
) -> CooperativeConnection:
    return CooperativeConnection.connect(*arguments, **settings)


def _begin_postgres(connection: Connection) -> None:
    if connection.get_execution_options().get(BEGIN_MODE) == "NOT AT ALL":
        return
    is_reading = connection.get_execution_options().get(BEGIN_MODE) == "DEFERRED"
    # One snapshot for everything a reader asks.
    mode = " ISOLATION LEVEL REPEATABLE READ" if is_reading else ""
    connection.exec_driver_sql(f"BEGIN{mode}")


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get(BEGIN_MODE, "DEFERRED")
    if mode == "NOT AT ALL":
        return
    connection.exec_driver_sql(f"BEGIN {mode}")


def _check(database: Database, *, missing_ok: bool) -> None:
    name = database.which.value
    try:
        if not missing_ok:
            _check_file(database)
        with database.engine.connect() as connection:
            if database.is_sqlite:
                verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
                if verdict != "ok":
                    raise DatabaseDamaged(
                        f"database {name} is damaged: {' '.join(str(verdict).split())}"
                    )
            connection.execute(text("SELECT 1"))
    except (DBAPIError, SQLAlchemyError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise DatabaseDamaged(f"database {name} cannot be opened: {reason}") from error


def _check_file(database: Database) -> None:
    """SQLite makes a missing file without a word; a city that lost its ledger must hear it."""
    path = database.engine.url.database
    if database.is_sqlite and path and not Path(path).exists():
        raise DatabaseDamaged(f"database {database.which.value} is missing: {path}")
