"""The peer's report is read, and read whole."""

from __future__ import annotations

import pytest

from tools.benches.errors import BenchFailed
from tools.benches.pgbench import Outcome, parse

REPORT = """pgbench (18.6)
starting vacuum...end.
transaction type: <builtin: TPC-B (sort of)>
scaling factor: 64
query mode: simple
number of clients: 16
number of threads: 2
maximum number of tries: 1
duration: 2 s
number of transactions actually processed: 7534
number of failed transactions: 3 (0.040%)
latency average = 4.240 ms
initial connection time = 21.302 ms
tps = 3773.654200 (without initial connection time)
"""


def test_a_report() -> None:
    assert parse(REPORT) == Outcome(processed=7534, failed=3, tps=3773.6542, latency_ms=4.24)


@pytest.mark.parametrize("word", ["actually processed", "failed transactions", "tps", "latency"])
def test_a_report_without_a_figure(word: str) -> None:
    cut = "\n".join(line for line in REPORT.splitlines() if word not in line)
    with pytest.raises(BenchFailed, match="pgbench says nothing of"):
        parse(cut)
