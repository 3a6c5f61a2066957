"""The measuring tool measures right, on a clock handed in."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest

from tools import bench

MILLISECOND_NS = 1_000_000


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([7.0], 0.5, 7.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0),
        ([1.0, 2.0, 3.0, 4.0], 0.51, 3.0),
        ([float(n) for n in range(1, 201)], 0.95, 190.0),
        ([float(n) for n in range(1, 201)], 1.0, 200.0),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[float], share: float, expected: float) -> None:
    assert bench.percentile(values, share) == expected


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0), ([1.0], 1.1)])
def test_percentile_of_nothing(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        bench.percentile(values, share)


def test_warm_up_is_called_but_not_timed() -> None:
    called: list[int] = []
    ticks = count(step=5 * MILLISECOND_NS)
    seen = bench.measure(called.append, rounds=4, warm_up=2, clock_ns=lambda: next(ticks))
    assert called == [0, 1, 2, 3, 4, 5]
    assert seen == bench.Figures(rounds=4, p50_ms=5, p95_ms=5, p99_ms=5, worst_ms=5)


def test_a_failed_round_ends_it() -> None:
    with pytest.raises(ZeroDivisionError):
        bench.measure(lambda number: 1 // (3 - number), rounds=5)


@pytest.mark.parametrize(("p95_max_ms", "code", "word"), [(5, 0, "kept"), (4.9, 1, "BROKEN")])
def test_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], p95_max_ms: float, code: int, word: str
) -> None:
    seen = bench.figures([5.0] * 10)
    assert bench.report("tap", seen, p95_max_ms=p95_max_ms, results=tmp_path) == code
    assert capsys.readouterr().out.rstrip().endswith(word)
    assert json.loads((tmp_path / "tap.json").read_text())["kept"] is (code == 0)


def test_report_keeps_the_parts(tmp_path: Path) -> None:
    seen, part = bench.figures([5.0] * 10), bench.figures([2.0] * 10)
    bench.report("tap", seen, p95_max_ms=6, parts={"card": part}, results=tmp_path)
    kept = json.loads((tmp_path / "tap.json").read_text())
    assert kept["p95_ms"] == 5.0
    assert kept["parts"]["card"]["p95_ms"] == 2.0
