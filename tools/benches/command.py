"""What both benches share of their command line: quick or long, and how they end."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from tools.benches.errors import BenchFailed
from tools.benches.rounds import Round
from tools.story.instance import InstanceFailed

QUICK_SECONDS, QUICK_ROUNDS = 1.25, 2
BOUNDS_MAX = {"seconds": 60, "rounds": 50, "processes": 16}
LONG_SECONDS, LONG_ROUNDS = 8.0, 5


@dataclass(frozen=True, slots=True)
class Form:
    """How long each round is, and how many of each subject."""

    is_long: bool
    seconds: float
    rounds: int
    processes: int = 2

    @property
    def name(self) -> str:
        return "long" if self.is_long else "quick"

    def tell(self, text: str) -> None:
        """Progress goes to stderr: stdout has the table and the ratios."""
        print(text, file=sys.stderr, flush=True)

    def tell_round(self, name: str, one: Round) -> None:
        p99_ms = None if one.times is None else one.times.p99_ms
        p99 = "" if p99_ms is None else f", p99 {p99_ms:.1f} ms"
        self.tell(f"  {name}: {one.per_second:.0f}/s{p99}")


def run(
    program: str,
    description: str | None,
    bench: Callable[[Form], None],
    arguments: list[str] | None = None,
) -> int:
    """Runs a bench: 0, or 1 and one line when its figures would be worth nothing."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument("--long", action="store_true", help="longer rounds, more of them")
    parser.add_argument("--seconds", type=float, help="of each round")
    parser.add_argument("--rounds", type=int, help="of each subject")
    parser.add_argument("--processes", type=int, default=2, help="of the ledger's 16 clients")
    chosen = parser.parse_args(arguments)
    for name in ("seconds", "rounds", "processes"):
        if (value := getattr(chosen, name)) is not None and not 0 < value <= BOUNDS_MAX[name]:
            parser.error(f"--{name}: above 0 and up to {BOUNDS_MAX[name]}")
    form = Form(
        is_long=chosen.long,
        seconds=chosen.seconds or (LONG_SECONDS if chosen.long else QUICK_SECONDS),
        rounds=chosen.rounds or (LONG_ROUNDS if chosen.long else QUICK_ROUNDS),
        processes=chosen.processes,
    )
    before = signal.signal(signal.SIGTERM, _end)
    try:
        bench(form)
    except (BenchFailed, InstanceFailed) as failure:
        print(f"{program}: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _end(number: int, _frame: FrameType | None) -> None:
    """A service manager's TERM leaves as Ctrl-C does: what was started is stopped."""
    raise KeyboardInterrupt
