"""The scenes: what is set up, who dies how often, and the figures of it. Seeded throughout.

A seed decides what each client does next, who is killed and after how many answers. Which
instruction a kill meets is the machine's affair: a failing seed is run again, several times if
need be.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tools.benches.city import postgres_settings
from tools.benches.server import scratch_folder
from tools.chaos.crowd import Crowd, ask_again
from tools.chaos.dice import dice_for
from tools.chaos.notebook import Notebook, Tally
from tools.chaos.postgres import Postgres, postgres, system_user
from tools.chaos.processes import Gunicorn, Victim, gunicorn, sqlite_process
from tools.chaos.proof import prove
from tools.chaos.town import Town, make_town

CITIZENS, MERCHANTS, WORKERS = 400, 8, 3
ANSWERS_BETWEEN = (20, 200)
LATE_SECONDS_MAX = 0.05
BACK_SECONDS_MAX = 60.0
AGAIN_MAX = 3000


@dataclass(frozen=True, slots=True)
class Result:
    """What a scene saw; `seconds_back`: from each kill to an answer asked after it."""

    name: str
    tally: Tally
    seconds: float
    kills: int = 0
    seconds_back: Sequence[float] = field(default=(), repr=False)

    def line(self) -> str:
        back = sorted(self.seconds_back)
        times = (
            f", back after {back[len(back) // 2]:.2f} s (median), {back[-1]:.2f} s (longest)"
            if back
            else ""
        )
        return (
            f"{self.name}: {self.kills} kills, {self.tally.operations} operations,"
            f" {self.tally.payments} payments, {self.tally.retries} retries,"
            f" {self.tally.replays} replays,"
            f" {self.seconds:.0f} s{times}"
        )


class Watch:
    """Counts what a scene adds to a notebook, and its seconds."""

    def __init__(self, notebook: Notebook) -> None:
        self._notebook, self._before = notebook, notebook.tally()
        self._began = time.monotonic()

    @property
    def tally(self) -> Tally:
        return self._notebook.tally().since(self._before)

    def result(self, name: str, back: Sequence[float] = (), *, kills: int = 0) -> Result:
        return Result(name, self.tally, time.monotonic() - self._began, kills, tuple(back))


@dataclass(frozen=True, slots=True)
class Stage:
    """PostgreSQL (fsync on), gunicorn and a town between them; what its callers were told."""

    postgres: Postgres
    served: Gunicorn
    town: Town
    notebook: Notebook = field(default_factory=Notebook)


@contextmanager
def stage_on_postgres(*, citizens: int = CITIZENS) -> Iterator[Stage]:
    """All of it running; stopped and swept away at the end."""
    with (
        scratch_folder(owner=system_user()) as data,
        scratch_folder() as folder,
        postgres(data) as server,
    ):
        settings = postgres_settings(server.server)
        town = make_town(folder / "var", settings, citizens, MERCHANTS)
        with gunicorn(town.city, WORKERS) as served:
            yield Stage(server, served, town)


def kill_on_postgres(stage: Stage, seed: int, *, workers: int, servers: int) -> Result:
    """Kills of workers and of PostgreSQL in seeded order, under 64 clients."""
    dice = dice_for(seed, "postgres")
    victims: list[Victim] = [stage.served] * workers + [stage.postgres] * servers
    dice.shuffle(victims)
    watch, notebook = Watch(stage.notebook), stage.notebook
    with Crowd(stage.town, stage.served.port, seed, notebook=notebook) as crowd:
        back = _kill(crowd, victims, dice)
    stage.served.wait_until_all_answer()
    _ask_again(stage.served.port, notebook, seed)
    prove(stage.town, notebook)
    return watch.result("gunicorn and PostgreSQL", back, kills=len(back))


def kill_on_sqlite(seed: int, *, kills: int) -> Result:
    """Kills of `python -m backend run` on three SQLite files, under 64 clients."""
    dice = dice_for(seed, "sqlite")
    notebook = Notebook()
    watch = Watch(notebook)
    with scratch_folder() as folder:
        town = make_town(folder / "var", {}, CITIZENS, MERCHANTS)
        with sqlite_process(town.city) as process:
            with Crowd(town, process.port, seed, notebook=notebook) as crowd:
                back = _kill(crowd, [process] * kills, dice)
            _ask_again(process.port, notebook, seed)
        prove(town, notebook)
    return watch.result("SQLite process", back, kills=len(back))


def _kill(crowd: Crowd, victims: Sequence[Victim], dice: random.Random) -> list[float]:
    """One after the other, each in the middle of the crowd's work; seconds until it is served."""
    back = []
    for victim in victims:
        crowd.wait_for_answers(dice.randint(*ANSWERS_BETWEEN))
        time.sleep(dice.uniform(0, LATE_SECONDS_MAX))  # between two answers too
        killed_at = time.monotonic()
        victim.kill(dice)
        victim.bring_back()
        back.append(crowd.wait_for_answer_after(killed_at, BACK_SECONDS_MAX))
        victim.wait_until_whole()
    crowd.wait_for_answers(ANSWERS_BETWEEN[0])
    return back


def _ask_again(port: int, notebook: Notebook, seed: int) -> None:
    ids = sorted(notebook.told)
    chosen = dice_for(seed, "again").sample(ids, min(len(ids), AGAIN_MAX))
    ask_again(port, notebook, chosen, seed)
