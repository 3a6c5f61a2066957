"""CI's reading of a test run: a silent skip is not a pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import test_report as tool

ALL_RAN = {"pcsc": 3, "postgres": 4, "softhsm": 2}


@pytest.mark.parametrize(
    ("ran", "skipped", "words"),
    [
        (ALL_RAN, {}, []),
        (ALL_RAN | {"browser": 1}, {}, []),
        (ALL_RAN, {"pcsc": 1}, ["pcsc were skipped"]),
        (ALL_RAN, {"browser": 2}, ["browser were skipped"]),
        ({"pcsc": 3, "softhsm": 2}, {"postgres": 4}, ["postgres were skipped"]),
        ({"postgres": 4, "softhsm": 2}, {}, ["no test marked pcsc ran"]),
        ({}, {}, [f"no test marked {name} ran" for name in ALL_RAN]),
    ],
)
def test_complaints(ran: dict[str, int], skipped: dict[str, int], words: list[str]) -> None:
    found = tool.complaints({"ran": ran, "skipped": skipped})
    assert len(found) == len(words)
    for complaint, word in zip(found, words, strict=True):
        assert word in complaint


def test_a_report_of_a_good_run(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"ran": ALL_RAN, "skipped": {}}))
    assert tool.main(path) == 0


def test_a_report_of_a_bad_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"ran": ALL_RAN, "skipped": {"pcsc": 1}}))
    assert tool.main(path) == 1
    assert "pcsc" in capsys.readouterr().err


def test_no_report_at_all(tmp_path: Path) -> None:
    assert tool.main(tmp_path / "absent.json") == 2
