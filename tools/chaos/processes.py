"""What is killed, and how it comes back: gunicorn's workers, PostgreSQL, the SQLite process.

Where a production machine has a service manager, `bring_back` is it; gunicorn replaces a worker
by itself.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from tools.benches.city import City
from tools.benches.served import WORKER_PATH
from tools.chaos.errors import ChaosFailed
from tools.story.instance import ROOT, Instance, environment, free_port

SERVED = "tools.benches.served:public()"
START_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.05
LAST_WORDS = 2000


class Victim(Protocol):
    """Something that can be killed with -9."""

    name: str

    def kill(self, dice: random.Random) -> None:
        """No handler runs, nothing is flushed."""

    def bring_back(self) -> None:
        """What a service manager does; nothing where the product does it itself."""

    def wait_until_whole(self) -> None:
        """As many processes as before the kill. Raises ChaosFailed."""


@dataclass(slots=True)
class Gunicorn:
    """The public network on gunicorn, with an even chance for each of its workers to die."""

    port: int
    workers: int
    log: Path
    master: subprocess.Popen[bytes]
    name: str = "worker"

    def kill(self, dice: random.Random) -> None:
        children = self._children()
        if not children:
            raise ChaosFailed("no worker to kill")
        send_kill(dice.choice(children))

    def bring_back(self) -> None:
        """gunicorn's own affair."""
        if self.master.poll() is not None:
            raise ChaosFailed(f"gunicorn ended: {self._last_words()}")

    def wait_until_whole(self) -> None:
        until(lambda: len(self._children()) == self.workers, "as many workers as before")

    def wait_until_all_answer(self) -> None:
        """Until every worker has said its name on some connection. Raises ChaosFailed."""
        heard: set[str] = set()

        def all_heard() -> bool:
            with contextlib.suppress(httpx.TransportError):
                url = f"http://127.0.0.1:{self.port}{WORKER_PATH}"
                answer = httpx.get(url, timeout=5, trust_env=False)
                if answer.is_success:
                    heard.add(answer.text)
            return heard.issuperset(map(str, self._children())) and len(heard) >= self.workers

        until(all_heard, f"answers of {self.workers} workers: {self._last_words()}", pause=0.005)

    def wait_until_logged(self, words: str) -> None:
        """Until gunicorn has written a line with `words`. Raises ChaosFailed."""
        until(lambda: words in self.log.read_text("utf-8", "replace"), f"the line {words!r}")

    def _children(self) -> list[int]:
        return [pid for pid in children_of(self.master.pid) if is_alive(pid)]

    def _last_words(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-LAST_WORDS:].strip()


@contextmanager
def gunicorn(city: City, workers: int) -> Iterator[Gunicorn]:
    """`wsgi:public` as the operator's page serves it; all workers answer. Raises ChaosFailed."""
    port, log = free_port(), city.var.parent / "gunicorn.log"
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", SERVED]
    settings = {**environment(city.var, port, free_port()), **city.settings}
    with log.open("ab") as out:
        master = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**settings, "CITY_WORKERS": str(workers)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    served = Gunicorn(port, workers, log, master)
    try:
        served.wait_until_all_answer()
        yield served
    finally:
        stop(master, signal.SIGINT)


@dataclass(slots=True)
class SqliteProcess:
    """`python -m backend run` on three SQLite files: both networks and the outbox in one."""

    instance: Instance
    name: str = "sqlite"

    @property
    def port(self) -> int:
        return self.instance.public_port

    def kill(self, dice: random.Random) -> None:
        self.instance.kill()

    def bring_back(self) -> None:
        """Started again on what the dead one left, as `Restart=always` does."""
        self.instance.start()

    def wait_until_whole(self) -> None:
        """`start` has waited until both networks are ready."""


@contextmanager
def sqlite_process(city: City) -> Iterator[SqliteProcess]:
    """Started and ready; killed at the end: nothing of it is kept. Raises InstanceFailed."""
    instance = Instance(city.var, free_port(), free_port())
    try:
        instance.start()
        yield SqliteProcess(instance)
    finally:
        if instance.process is not None and instance.process.poll() is None:
            instance.kill()


def children_of(pid: int) -> list[int]:
    """Direct children, as /proc tells (Linux); none when the process is gone."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(one) for one in listed.split()]


def is_alive(pid: int) -> bool:
    """Whether it runs; a dead one that nobody has asked after yet does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def send_kill(pid: int) -> None:
    """To a process that may have died a moment ago."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def stop(process: subprocess.Popen[bytes], kindly: signal.Signals) -> None:
    """An orderly end, or a hard one when that takes too long."""
    if process.poll() is not None:
        return
    process.send_signal(kindly)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)


def until(is_true: Callable[[], bool], what: str, *, pause: float = POLL_SECONDS) -> None:
    """Asks again and again. Raises ChaosFailed when it stays false for START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    while not is_true():
        if time.monotonic() > deadline:
            raise ChaosFailed(f"waited {START_SECONDS:.0f} s for {what}")
        time.sleep(pause)
