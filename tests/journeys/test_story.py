"""The whole story, over the loopback reader and over PC/SC, and how it fails."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tools.story import player as story
from tools.story.instance import ROOT, Instance, free_port, fresh_instance
from tools.story.record import Record
from tools.story.stage import StoryFailed, Told

STEPS = 17


def play(
    instance: Instance, reader: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[list[str], dict[str, Any]]:
    """The lines printed and the result file of one story against a running server."""
    result = folder / "story.json"
    urls = ["--public", instance.public, "--internal", instance.internal]
    attested = ["--vendor-key", str(instance.vendor_key)]
    code = story.main([*urls, *attested, "--reader", reader, "--result", str(result)])
    printed = capsys.readouterr()
    assert code == 0, printed.out + printed.err
    return printed.out.splitlines(), json.loads(result.read_text(encoding="utf-8"))


def check(lines: list[str], result: dict[str, Any], reader: str) -> None:
    assert lines[-1] == f"story=ok steps={STEPS}"
    assert [int(line.split()[0]) for line in lines[:-1]] == list(range(1, STEPS + 1))
    assert all(" ms  " in line and " · " in line for line in lines[:-1])
    assert (result["ok"], result["reader"], len(result["steps"])) == (True, reader, STEPS)
    began, ended = (datetime.fromisoformat(result[name]) for name in ("started_at", "finished_at"))
    assert began < ended
    spent = sum(step["milliseconds"] for step in result["steps"])
    assert result["total_milliseconds"] == pytest.approx(spent, abs=1)


def test_over_loopback(
    instance: Instance, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, result = play(instance, "loopback", tmp_path, capsys)
    check(lines, result, "loopback")
    assert "vouched for by its maker" in lines[5]
    assert "12.50 CNY" in lines[9]
    assert "287.51 CNY" in lines[9]


@pytest.mark.pcsc
@pytest.mark.usefixtures("pcscd")
def test_over_pcsc(instance: Instance, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same server may have played the story before: the next person of the city plays."""
    lines, result = play(instance, "pcsc", tmp_path, capsys)
    check(lines, result, "pcsc")
    assert "PC/SC" in lines[9]


def test_no_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = tmp_path / "story.json"
    arguments = ["--public", url, "--internal", url, "--reader", "loopback"]
    assert story.main([*arguments, "--result", str(result)]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("story=failed step=1 reason=")
    kept = json.loads(result.read_text(encoding="utf-8"))
    assert (kept["ok"], kept["steps"]) == (False, [])
    assert kept["finished_at"] is not None


def test_when_every_person_has_played(
    instance: Instance, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A city whose only grown-ups are none: the children of the demo data are not asked."""
    (tmp_path / "persons.csv").write_text(
        "name,id_number,phone,local_household\n叶知秋,999901201204042485,13800000017,yes\n",
        encoding="utf-8",
    )
    city = (ROOT / "city.toml").read_text(encoding="utf-8")
    assert "data/demo/persons.csv" in city
    config = tmp_path / "city.toml"
    config.write_text(city.replace("data/demo/persons.csv", "persons.csv"), encoding="utf-8")
    urls = ["--public", instance.public, "--internal", instance.internal]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITY_CONFIG", str(config))
        assert story.main([*urls, "--reader", "loopback"]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("story=failed step=3 reason=every grown-up of the demo persons")


def test_a_city_that_enrols_attested_phones_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A phone that nobody vouches for is stopped at its enrolment; the demo phone has a maker."""
    city = (ROOT / "city.toml").read_text(encoding="utf-8")
    assert "required = false" in city
    for data in ("data/demo/persons.csv", "data/demo/merchants.toml"):
        city = city.replace(data, str(ROOT / data))
    config = tmp_path / "city.toml"
    config.write_text(city.replace("required = false", "required = true"), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITY_CONFIG", str(config))
        with fresh_instance() as strict:
            urls = ["--public", strict.public, "--internal", strict.internal]
            assert story.main([*urls, "--reader", "loopback"]) == 1
            last = capsys.readouterr().out.splitlines()[-1]
            assert last.startswith("story=failed step=6 reason=Refused: attestation_required")
            lines, _ = play(strict, "loopback", tmp_path, capsys)
    assert "vouched for by its maker" in lines[5]
    assert lines[-1] == f"story=ok steps={STEPS}"


def test_one_url_is_not_enough(capsys: pytest.CaptureFixture[str]) -> None:
    assert story.main(["--public", "http://127.0.0.1:1"]) == 1
    assert capsys.readouterr().out.startswith("story=failed step=0 reason=")


def test_a_step_that_fails_is_no_played_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record(tmp_path / "story.json", reader="loopback")
    with record.step("开始", "begin") as line:
        line.told = Told("好", "good")
    kept = json.loads((tmp_path / "story.json").read_text(encoding="utf-8"))
    assert (kept["ok"], kept["finished_at"], len(kept["steps"])) == (False, None, 1)
    with pytest.raises(StoryFailed), record.step("继续", "go on"):
        raise StoryFailed("two\nlines")
    record.fail("two\nlines")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "story=failed step=2 reason=two lines"
    kept = json.loads((tmp_path / "story.json").read_text(encoding="utf-8"))
    assert [step["number"] for step in kept["steps"]] == [1]
    assert list(tmp_path.iterdir()) == [tmp_path / "story.json"]
