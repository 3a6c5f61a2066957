"""What a bench says in the end: a table, a file of every round, one last line of ratios."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from tools.bench import RESULTS
from tools.benches.rounds import Round, median_per_second

PACKAGES = ("Flask", "flask-smorest", "gevent", "gunicorn", "psycopg", "SQLAlchemy")
BUSY_SHARE_MAX = 0.1
BUSY_LOOK_SECONDS = 0.5
_HEADER = ("subject", "median/s", "min–max", "p50 ms", "p95 ms", "p99 ms", "rounds", "what it is")


@dataclass(frozen=True, slots=True)
class Row:
    """A subject's rounds; `note` says what it does, or what this peer lacks."""

    name: str
    rounds: Sequence[Round]
    note: str


@dataclass(frozen=True, slots=True)
class Report:
    """`form`: "quick" or "long"; ratios by the names the last line has, in its order."""

    bench: str
    form: str
    rows: Sequence[Row]
    ratios: Mapping[str, float]
    versions: Mapping[str, str]
    seconds: float
    busy_before: float  # share of the cores that others used just before, 0..1


def ratio_line(ratios: Mapping[str, float]) -> str:
    """`name=ratio name=ratio …`: what a machine reads."""
    return " ".join(f"{name}={value:.3f}" for name, value in ratios.items())


def table(rows: Sequence[Row]) -> str:
    """Aligned columns; durations are the middle round's, `~` marks a mean alone."""
    cells = [_HEADER, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADER))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in (0, len(_HEADER) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def publish(report: Report, *, results: Path = RESULTS) -> None:
    """Writes `var/bench/<bench>.json`, prints table and ratios; the ratios are the last line."""
    note = {
        "bench": report.bench,
        "form": report.form,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(report.seconds, 1),
        "machine": _machine(report.busy_before),
        "versions": {**report.versions, **_versions()},
        "ratios": {name: round(value, 4) for name, value in report.ratios.items()},
        "subjects": {
            row.name: {
                "note": row.note,
                "median_per_second": round(median_per_second(row.rounds), 1),
                "rounds": [{**asdict(one), "per_second": one.per_second} for one in row.rounds],
            }
            for row in report.rows
        },
    }
    results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(note, indent=2, ensure_ascii=False)
    (results / f"{report.bench}.json").write_text(text + "\n", encoding="utf-8")
    print(table(report.rows))
    if report.busy_before > BUSY_SHARE_MAX:
        print(
            f"not alone: others used {report.busy_before:.0%} of the cores; what has many "
            "processes, as pgbench has, then gets more than its share"
        )
    print(
        f"{report.form} form, {report.seconds:.0f} s with set-up; every round: "
        f"var/bench/{report.bench}.json"
    )
    print(ratio_line(report.ratios), flush=True)


def _cells(row: Row) -> tuple[str, ...]:
    speeds = [one.per_second for one in row.rounds]
    return (
        row.name,
        f"{median(speeds):.0f}",
        f"{min(speeds):.0f}–{max(speeds):.0f}",
        _duration(row.rounds, "p50_ms"),
        _duration(row.rounds, "p95_ms"),
        _duration(row.rounds, "p99_ms"),
        str(len(row.rounds)),
        row.note,
    )


def _duration(rounds: Sequence[Round], name: str) -> str:
    times = [one.times for one in rounds if one.times is not None]
    seen = [value for one in times if (value := getattr(one, name)) is not None]
    if seen:
        return f"{median(seen):.2f}"
    return f"~{median(one.mean_ms for one in times):.2f}" if times and name == "p50_ms" else "–"


def busy_share(seconds: float = BUSY_LOOK_SECONDS, stat: Path = Path("/proc/stat")) -> float:
    """The share of all cores in use while this process waits (Linux; elsewhere 0)."""
    if not stat.exists():
        return 0.0
    before = _ticks(stat)
    time.sleep(seconds)
    after = _ticks(stat)
    idle, total = (after[n] - before[n] for n in range(2))
    return 1 - idle / total if total else 0.0


def _ticks(stat: Path) -> tuple[int, int]:
    """Idle and all ticks since the start (proc_stat(5): user nice system idle iowait …)."""
    ticks = [int(word) for word in stat.read_text("ascii").splitlines()[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def _machine(busy_before: float) -> dict[str, object]:
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "busy_before": round(busy_before, 3),
    }


def _versions() -> dict[str, str]:
    packages = {name.lower(): version(name) for name in PACKAGES}
    return {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, **packages}
