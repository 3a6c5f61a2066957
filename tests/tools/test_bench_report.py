"""What a bench says: table, file, and the last line that a machine reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tools.benches.report import Report, Row, busy_share, publish, ratio_line, table
from tools.benches.rounds import Round, Times

PEER = Row("peer", [Round(n, n, 2.0, times=Times(4.0)) for n in (900, 1000, 1200)], "lacks ids")
OURS = Row("ours", [Round(200, 200, 1.0, times=Times(5, 4.5, 6.25, 7.125))], "has them")


def test_ratios_are_one_line_in_their_order() -> None:
    assert ratio_line({"http_pgbench": 0.51251, "hot_uniform": 1.0}) == (
        "http_pgbench=0.513 hot_uniform=1.000"
    )


def test_table_has_medians_and_extremes() -> None:
    lines = table([PEER, OURS]).splitlines()
    assert lines[0].split()[:2] == ["subject", "median/s"]
    assert lines[1].split() == ["peer", "500", "450–600", "~4.00", "–", "–", "3", "lacks", "ids"]
    assert lines[2].split()[:7] == ["ours", "200", "200–200", "4.50", "6.25", "7.12", "1"]


def test_publish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    versions = {"postgresql": "18.6"}
    report = Report("bench-x", "quick", [PEER, OURS], {"a": 0.4}, versions, 12.3, 0.05)
    publish(report, results=tmp_path)
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "a=0.400"
    assert "not alone" not in said
    kept = json.loads((tmp_path / "bench-x.json").read_text("utf-8"))
    assert kept["ratios"] == {"a": 0.4}
    assert kept["versions"]["postgresql"] == "18.6"
    assert kept["versions"]["gunicorn"]
    assert [one["per_second"] for one in kept["subjects"]["peer"]["rounds"]] == [450, 500, 600]
    assert kept["subjects"]["ours"]["rounds"][0]["times"]["p99_ms"] == 7.125
    publish(replace(report, busy_before=0.62), results=tmp_path)
    assert "not alone: others used 62% of the cores" in capsys.readouterr().out


def test_busy_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1\n", encoding="utf-8")
    later = "cpu  130 0 60 850 60 0 0 0 0 0\n"  # 40 of 100 ticks were work
    monkeypatch.setattr("time.sleep", lambda _: stat.write_text(later, encoding="utf-8"))
    assert busy_share(0.1, stat) == pytest.approx(0.4)
    assert busy_share(0.1, tmp_path / "none") == 0
