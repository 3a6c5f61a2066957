"""A durable PostgreSQL that may be killed and is started again, as by a service manager.

A child of ours, not of pg_ctl: who starts a service hears of its end. Knows no table of ours.
"""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tools.benches.server import (
    SETTINGS,
    SUPERUSER,
    SYSTEM_USERS,
    Server,
    program,
    run_program,
)
from tools.chaos.errors import ChaosFailed
from tools.chaos.processes import START_SECONDS, children_of, is_alive, send_kill, stop, until

# Small, and with checkpoints in the middle of a run; as durable as the bench's.
CHAOS_SETTINGS: Mapping[str, str] = {
    **SETTINGS,
    "shared_buffers": "64MB",
    "max_wal_size": "64MB",
    "checkpoint_timeout": "30s",
    "recovery_init_sync_method": "syncfs",  # one call, not one for each of its files
}
BACKEND_ALONE_SHARE = 0.25
"""How many of the kills take one backend only: the postmaster then throws everybody out."""
RESTART_SECONDS = 0.25


@dataclass(slots=True)
class Postgres:
    """The server and how to start it. `restarts` counts what `keep_running` had to do."""

    data: Path
    sockets: Path
    user: str | None
    name: str = "postgres"
    restarts: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def server(self) -> Server:
        """How to reach it."""
        return Server(self.sockets, self.data, "")

    @property
    def log(self) -> Path:
        return self.sockets / "postgres.log"

    def start(self) -> None:
        """Returns once it takes questions. Raises ChaosFailed."""
        self.launch()
        until(self._answers_or_died, "PostgreSQL")
        if not self.answers():
            raise ChaosFailed(f"PostgreSQL did not start: {self._last_words()}")

    def launch(self) -> None:
        """Starts the postmaster and does not wait for it."""
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [str(program("postgres")), "-D", str(self.data)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.data,
                user=self.user,
                group=None if self.user is None else pwd.getpwnam(self.user).pw_gid,
                extra_groups=None if self.user is None else [],
            )

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process, signal.SIGINT)

    def kill(self, dice: random.Random) -> None:
        """The postmaster and every backend; now and then one backend alone."""
        children = children_of(self._running().pid)
        if children and dice.random() < BACKEND_ALONE_SHARE:
            send_kill(dice.choice(children))
        else:
            self.kill_all()

    def kill_all(self) -> None:
        """Returns when nothing of it is left."""
        process = self._running()
        children = children_of(process.pid)
        process.kill()
        for pid in children:
            send_kill(pid)
        process.wait(START_SECONDS)
        # Shared memory is in use until the last one is gone: nobody may start before.
        until(lambda: not any(map(is_alive, children)), "the end of every backend")

    def bring_back(self) -> None:
        if self._running().poll() is None:  # one backend died: the postmaster sees to it
            until(self.answers, "PostgreSQL after the death of a backend")
            return
        self.start()
        self.restarts += 1

    def wait_until_whole(self) -> None:
        until(self.answers, "PostgreSQL")

    def bring_back_until(self, deadline: float) -> None:
        """Starts it again whenever it has ended, until it answers. Raises ChaosFailed."""
        while not self.answers():
            if time.monotonic() > deadline:
                raise ChaosFailed(f"PostgreSQL does not come back: {self._last_words()}")
            if self._running().poll() is not None:
                self.launch()
                self.restarts += 1
            time.sleep(RESTART_SECONDS)

    def answers(self) -> bool:
        """Whether it takes a question now."""
        try:
            with psycopg.connect(self.server.url("postgres"), connect_timeout=5) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _answers_or_died(self) -> bool:
        return self._running().poll() is not None or self.answers()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def _last_words(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-1000:].strip()


@contextmanager
def postgres(
    folder: Path, settings: Mapping[str, str] = CHAOS_SETTINGS, initdb: Sequence[str] = ()
) -> Iterator[Postgres]:
    """A fresh server with its data in `folder`, which stays. Raises BenchFailed, ChaosFailed."""
    user = system_user()
    folder.mkdir(exist_ok=True)
    sockets = Path(tempfile.mkdtemp(prefix="cc-"))
    try:
        if user is not None:
            for one in (folder, sockets):
                shutil.chown(one, user)
            sockets.chmod(0o755)
        data = folder / "data"
        made = ["-D", str(data), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync"]
        run_program("initdb", [*made, *initdb], user=user, cwd=folder)
        lines = [f"{name} = '{value}'" for name, value in settings.items()]
        lines += ["listen_addresses = ''", f"unix_socket_directories = '{sockets}'"]
        with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("\n".join(["", *lines, ""]))
        running = Postgres(data, sockets, user)
        try:
            running.start()
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(sockets)


def system_user() -> str | None:
    """Who runs the server when we are root: PostgreSQL refuses to. Raises ChaosFailed."""
    if os.geteuid() != 0:
        return None
    known = {one.pw_name for one in pwd.getpwall()}
    found = next((name for name in SYSTEM_USERS if name in known), None)
    if found is None:
        raise ChaosFailed(f"root cannot run PostgreSQL, and none of {SYSTEM_USERS} exists")
    return found
