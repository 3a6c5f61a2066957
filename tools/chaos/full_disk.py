"""The disk is full, then it is not: what callers hear in between, and what the books say after."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import httpx

from tools.benches.city import postgres_settings
from tools.benches.server import scratch_folder
from tools.chaos.crowd import Crowd, ask_again
from tools.chaos.disks import ShortFiles, SmallDisk, small_disk
from tools.chaos.errors import ChaosFailed
from tools.chaos.notebook import Notebook
from tools.chaos.postgres import CHAOS_SETTINGS, Postgres, postgres
from tools.chaos.processes import SqliteProcess, gunicorn, sqlite_process
from tools.chaos.proof import prove
from tools.chaos.scenes import Result, Watch
from tools.chaos.town import Town, make_town

CITIZENS, MERCHANTS, CLIENTS, WORKERS = 40, 3, 16, 2
SQLITE_DISK_BYTES, POSTGRES_DISK_BYTES = 32 << 20, 384 << 20
WAL_SEGMENT_MB = 1
POSTGRES_SETTINGS = {
    **CHAOS_SETTINGS,
    "shared_buffers": "16MB",
    "max_wal_size": "4MB",
    "min_wal_size": "2MB",
    "wal_recycle": "off",  # every segment of the log is a new file: a full disk is met at once
}
ANSWERS_BEFORE = 60
REFUSALS = 30
FULL_SECONDS_MAX = 60.0
BACK_SECONDS_MAX = 60.0
FILL_PAUSE_SECONDS = 0.02


class Disk(Protocol):
    """Something that can be full."""

    def fill(self) -> None: ...

    def make_room(self) -> None: ...


def full_disk_on_sqlite(seed: int, *, rounds: int, is_mounted: bool) -> Result:
    """`is_mounted`: on a small tmpfs; else with files that may not grow (RLIMIT_FSIZE)."""
    notebook, back = Notebook(), []
    watch = Watch(notebook)
    with _sqlite_on_a_small_disk(is_mounted=is_mounted) as (town, process, disk):
        for number in range(rounds):
            crowd = Crowd(town, process.port, seed + number, clients=CLIENTS, notebook=notebook)
            with crowd:
                crowd.wait_for_answers(ANSWERS_BEFORE)
                _fill_until_refused(disk, notebook)
                _require_reads(town, process.port, notebook)
                back.append(_make_room(disk, crowd))
        ask_again(process.port, notebook, sorted(notebook.told), seed)
        prove(town, notebook)
    return watch.result("full disk, SQLite", back)


def full_disk_on_postgres(seed: int, *, rounds: int) -> Result:
    """PostgreSQL's data directory on a small tmpfs.

    When it cannot write its log PostgreSQL ends, and cannot start again before there is room:
    the service manager tries until then.
    """
    notebook, back = Notebook(), []
    watch = Watch(notebook)
    with _postgres_on_a_small_disk() as (town, port, server, disk):
        for number in range(rounds):
            crowd = Crowd(town, port, seed + number, clients=CLIENTS, notebook=notebook)
            with crowd:
                crowd.wait_for_answers(ANSWERS_BEFORE)
                _fill_until_refused(disk, notebook)
                back.append(_make_room(disk, crowd, server))
        ask_again(port, notebook, sorted(notebook.told), seed)
        prove(town, notebook)
    return watch.result("full disk, PostgreSQL", back)


def _fill_until_refused(disk: Disk, notebook: Notebook) -> None:
    """Any answer but a 503 with its code, or one that lasts, ends the run in the notebook."""
    goal = notebook.retries["database_unavailable"] + REFUSALS
    deadline = time.monotonic() + FULL_SECONDS_MAX
    while notebook.retries["database_unavailable"] < goal:
        if time.monotonic() > deadline:
            raise ChaosFailed(f"nobody was refused: {dict(notebook.retries)}")
        disk.fill()  # again: what a checkpoint frees is somebody's room
        time.sleep(FILL_PAUSE_SECONDS)


def _make_room(disk: Disk, crowd: Crowd, server: Postgres | None = None) -> float:
    """Seconds until something asked afterwards is answered; nothing is repaired by hand."""
    room_at = time.monotonic()
    disk.make_room()
    if server is not None:
        server.bring_back_until(room_at + BACK_SECONDS_MAX)
    seconds = crowd.wait_for_answer_after(room_at, BACK_SECONDS_MAX)
    crowd.wait_for_answers(ANSWERS_BEFORE)
    return seconds


def _require_reads(town: Town, port: int, notebook: Notebook) -> None:
    """Who only asks is answered while nothing can be written."""
    path, headers = town.look(notebook.made[0])
    answer = httpx.get(
        f"http://127.0.0.1:{port}{path}", headers=headers, timeout=30, trust_env=False
    )
    if not answer.is_success:
        raise ChaosFailed(f"a question to a full disk was answered {answer.status_code}")


@contextmanager
def _sqlite_on_a_small_disk(*, is_mounted: bool) -> Iterator[tuple[Town, SqliteProcess, Disk]]:
    with _folder(is_mounted=is_mounted) as (folder, small):
        town = make_town(folder / "var", {}, CITIZENS, MERCHANTS)
        with sqlite_process(town.city) as process:
            assert process.instance.process is not None
            yield town, process, small or ShortFiles(process.instance.process.pid)


@contextmanager
def _postgres_on_a_small_disk() -> Iterator[tuple[Town, int, Postgres, Disk]]:
    """Only its data: the log of its doings lies elsewhere."""
    options = (f"--wal-segsize={WAL_SEGMENT_MB}",)
    with (
        small_disk(POSTGRES_DISK_BYTES) as disk,
        scratch_folder() as folder,
        postgres(disk.folder / "pg", POSTGRES_SETTINGS, options) as server,
    ):
        settings = postgres_settings(server.server)
        town = make_town(folder / "var", settings, CITIZENS, MERCHANTS)
        with gunicorn(town.city, WORKERS) as served:
            yield town, served.port, server, disk


@contextmanager
def _folder(*, is_mounted: bool) -> Iterator[tuple[Path, SmallDisk | None]]:
    if is_mounted:
        with small_disk(SQLITE_DISK_BYTES) as disk:
            yield disk.folder, disk
    else:
        with scratch_folder() as folder:
            yield folder, None
