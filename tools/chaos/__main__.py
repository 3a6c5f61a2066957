"""`python -m tools.chaos [--seed N]`: the long form; `make chaos`.

Prints the seed first, a line for each scene, and one last line. A failing seed is run again with
`make chaos SEED=…`: the same dice say what each client does next, who is killed and after how
many answers, while the instruction a kill meets is the machine's affair.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from tools.benches.errors import BenchFailed
from tools.chaos import scenes
from tools.chaos.disks import why_no_mounts
from tools.chaos.errors import ChaosFailed
from tools.chaos.faults import fault_on_sqlite
from tools.chaos.full_disk import full_disk_on_postgres, full_disk_on_sqlite
from tools.chaos.scenes import Result
from tools.chaos.storm import storm
from tools.story.instance import InstanceFailed

WORKER_KILLS, POSTGRES_KILLS, SQLITE_KILLS = 50, 20, 50
STORM_IDS = 100_000
STORM_CITIZENS = 2000
FULL_ROUNDS = 5
FAULT_ROUNDS = 3
SEEDS = 1 << 31
SCENES = ("workers", "sqlite", "storm", "disks", "faults")


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 1 and a line that says how to run it again."""
    parser = argparse.ArgumentParser(prog="python -m tools.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="of a run to repeat")
    parser.add_argument("--only", choices=SCENES, help="one part of it")
    chosen = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(SEEDS) if chosen.seed is None else chosen.seed
    print(f"seed={seed}", flush=True)
    signal.signal(signal.SIGTERM, _end)
    seen: list[Result] = []
    try:
        for name, scene in _scenes(seed):
            if chosen.only in (None, name):
                seen.append(scene())
                print(seen[-1].line(), flush=True)
    except (ChaosFailed, BenchFailed, InstanceFailed, AssertionError) as broken:
        traceback.print_exception(broken)
        print(f"chaos=failed seed={seed}; again: make chaos SEED={seed}", flush=True)
        return 1
    except KeyboardInterrupt:
        print("chaos=interrupted", file=sys.stderr)
        return 130
    print(
        f"chaos=ok kills={sum(one.kills for one in seen)}"
        f" payments={sum(one.tally.payments for one in seen)}"
        f" retries={sum(one.tally.retries for one in seen)} seed={seed}"
    )
    return 0


def _scenes(seed: int) -> Iterator[tuple[str, Callable[[], Result]]]:
    yield "workers", lambda: _kills(seed)
    yield "sqlite", lambda: scenes.kill_on_sqlite(seed, kills=SQLITE_KILLS)
    yield "storm", lambda: _storm(seed)
    reason = why_no_mounts()
    yield (
        "disks",
        lambda: full_disk_on_sqlite(seed, rounds=FULL_ROUNDS, is_mounted=reason is None),
    )
    if reason is None:
        yield "disks", lambda: full_disk_on_sqlite(seed, rounds=1, is_mounted=False)
        yield "disks", lambda: full_disk_on_postgres(seed, rounds=FULL_ROUNDS)
    else:
        print(f"SKIPPED PostgreSQL on a full disk, SQLite with RLIMIT_FSIZE instead: {reason}")
    if shutil.which("fiu-run") is not None:
        yield "faults", lambda: fault_on_sqlite(seed, rounds=FAULT_ROUNDS)
    else:
        print("SKIPPED single failing writes: needs fiu-run (Debian: fiu-utils)")


def _kills(seed: int) -> Result:
    with scenes.stage_on_postgres() as stage:
        return scenes.kill_on_postgres(
            seed=seed, stage=stage, workers=WORKER_KILLS, servers=POSTGRES_KILLS
        )


def _storm(seed: int) -> Result:
    with scenes.stage_on_postgres(citizens=STORM_CITIZENS) as stage:
        return storm(stage, seed, ids=STORM_IDS)


def _end(number: int, _frame: FrameType | None) -> None:
    """A TERM leaves as Ctrl-C does: what was started is stopped."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main())
