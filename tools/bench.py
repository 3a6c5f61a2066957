"""Measures one thing many times and holds it against its promise; knows not what it measures.

A benchmark (`tools/bench_*.py`) sets its stage up, hands over what is to be repeated, and exits
with what `report` returns.
"""

from __future__ import annotations

import gc
import json
import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "var" / "bench"
NANOSECONDS_PER_MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Figures:
    """What was seen: milliseconds, of every round after the warm-up."""

    rounds: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    worst_ms: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0..1] of `ordered` do not exceed (nearest rank, no guess).

    Raises ValueError when there is nothing to rank or the share is outside (0, 1].
    """
    if not ordered or not 0 < share <= 1:
        raise ValueError("a percentile needs values, and a share above 0 and up to 1")
    return ordered[math.ceil(share * len(ordered)) - 1]


def figures(durations_ms: Sequence[float]) -> Figures:
    """Ranks durations. Raises ValueError when there are none."""
    ordered = sorted(durations_ms)
    return Figures(
        rounds=len(ordered),
        p50_ms=percentile(ordered, 0.50),
        p95_ms=percentile(ordered, 0.95),
        p99_ms=percentile(ordered, 0.99),
        worst_ms=percentile(ordered, 1.0),
    )


def measure(
    once: Callable[[int], object],
    *,
    rounds: int,
    warm_up: int = 0,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
) -> Figures:
    """Calls `once(number)` warm_up + rounds times, numbered from 0, and times the last `rounds`.

    What `once` raises ends the measurement: a failed round is not a fast one. The garbage
    collector stays on, as it is in production; it starts from a clean heap.
    """
    for number in range(warm_up):
        once(number)
    gc.collect()
    durations_ms = []
    for number in range(warm_up, warm_up + rounds):
        started = clock_ns()
        once(number)
        durations_ms.append((clock_ns() - started) / NANOSECONDS_PER_MILLISECOND)
    return figures(durations_ms)


def report(
    name: str,
    seen: Figures,
    *,
    p95_max_ms: float,
    parts: Mapping[str, Figures] | None = None,
    results: Path = RESULTS,
) -> int:
    """Prints one line, keeps the figures under var/bench/, returns 0 when the promise is kept.

    `parts` are the figures of what a round is made of, kept beside it.
    """
    kept = seen.p95_ms <= p95_max_ms
    results.mkdir(parents=True, exist_ok=True)
    note: dict[str, object] = {
        "name": name,
        **asdict(seen),
        "p95_max_ms": p95_max_ms,
        "kept": kept,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }
    if parts is not None:
        note["parts"] = {part: asdict(figure) for part, figure in parts.items()}
    (results / f"{name}.json").write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
    print(
        f"{name}: {seen.rounds} rounds, p50 {seen.p50_ms:.1f} ms, p95 {seen.p95_ms:.1f} ms "
        f"(promised {p95_max_ms:.0f}), p99 {seen.p99_ms:.1f} ms, worst {seen.worst_ms:.1f} ms: "
        f"{'kept' if kept else 'BROKEN'}"
    )
    return 0 if kept else 1
