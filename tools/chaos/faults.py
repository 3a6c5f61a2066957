"""Single writes and syncs that fail now and then, by libfiu: not a full disk, a bad one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tools.benches.server import scratch_folder
from tools.chaos.crowd import Crowd, ask_again
from tools.chaos.errors import ChaosFailed
from tools.chaos.full_disk import (
    ANSWERS_BEFORE,
    BACK_SECONDS_MAX,
    CITIZENS,
    CLIENTS,
    MERCHANTS,
)
from tools.chaos.notebook import Notebook
from tools.chaos.processes import LAST_WORDS, START_SECONDS, until
from tools.chaos.proof import prove
from tools.chaos.scenes import Result, Watch
from tools.chaos.town import Town, make_town
from tools.story.instance import ROOT, Instance, environment, free_port, is_ready

POINTS = ("posix/io/rw/pwrite", "posix/io/sync/fdatasync", "posix/io/rw/pread")
PROBABILITY = 0.2
CONTROL_SECONDS = 10
REFUSALS = 20
FAULT_SECONDS_MAX = 60.0
PAUSE_SECONDS = 0.05


def fault_on_sqlite(seed: int, *, rounds: int) -> Result:
    """Each point fails for a while in one of `rounds` turns, then no more; nothing is lost."""
    notebook, back = Notebook(), []
    watch = Watch(notebook)
    with scratch_folder() as folder:
        town = make_town(folder / "var", {}, CITIZENS, MERCHANTS)
        with _under_fiu(town) as (process, instance):
            for number in range(rounds):
                crowd = Crowd(
                    town, instance.public_port, seed + number, clients=CLIENTS, notebook=notebook
                )
                with crowd:
                    crowd.wait_for_answers(ANSWERS_BEFORE)
                    _fail_for_a_while(process.pid, POINTS[number % len(POINTS)], notebook)
                    well_at = time.monotonic()
                    back.append(crowd.wait_for_answer_after(well_at, BACK_SECONDS_MAX))
                    crowd.wait_for_answers(ANSWERS_BEFORE)
            ask_again(instance.public_port, notebook, sorted(notebook.told), seed)
        prove(town, notebook)
    return watch.result("failing writes, SQLite", back)


def _fail_for_a_while(pid: int, point: str, notebook: Notebook) -> None:
    goal = notebook.retries["database_unavailable"] + REFUSALS
    deadline = time.monotonic() + FAULT_SECONDS_MAX
    _control(pid, f"enable_random name={point},probability={PROBABILITY},failinfo=5")  # EIO
    try:
        while notebook.retries["database_unavailable"] < goal:
            if time.monotonic() > deadline:
                raise ChaosFailed(f"{point} fails and nobody is refused: {notebook.retries}")
            time.sleep(PAUSE_SECONDS)
    finally:
        _control(pid, f"disable name={point}")


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ChaosFailed(f"needs {name} (Debian: fiu-utils)")
    return found


def _control(pid: int, command: str) -> None:
    arguments = [_program("fiu-ctrl"), "-c", command, str(pid)]
    done = subprocess.run(
        arguments, capture_output=True, text=True, check=False, timeout=CONTROL_SECONDS
    )
    if done.returncode != 0:
        raise ChaosFailed(f"fiu-ctrl: {done.stderr.strip() or done.stdout.strip()}")


@contextmanager
def _under_fiu(town: Town) -> Iterator[tuple[subprocess.Popen[bytes], Instance]]:
    """`python -m backend run` under fiu-run, which becomes the very process. Raises ChaosFailed."""
    instance = Instance(town.city.var, free_port(), free_port())
    served: Sequence[str] = [sys.executable, "-m", "backend", "run", "--no-story"]
    with instance.log.open("ab") as log:
        process = subprocess.Popen(
            [_program("fiu-run"), "-x", *served],
            cwd=ROOT,
            env={
                **os.environ,
                **environment(instance.var, instance.public_port, instance.internal_port),
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        until(
            lambda: process.poll() is not None or is_ready(instance.public),
            f"a city under fiu-run ({START_SECONDS:.0f} s)",
        )
        if process.poll() is not None:
            last = instance.log.read_text(encoding="utf-8", errors="replace")[-LAST_WORDS:]
            raise ChaosFailed(f"fiu-run ended: {last}")
        yield process, instance
    finally:
        process.kill()
        process.wait()
