"""Every built-in scenario, played for real: till, local API, cards as processes, demo city."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from reader_bridge.readers.recording import parse
from reader_bridge.simulator import command
from reader_bridge.simulator.play import Player
from reader_bridge.simulator.script import FOLDER, built_in_names, read_script
from tests.reader_bridge.simulator.support import comparable, simulate

TRANSCRIPTS = Path(__file__).with_name("transcripts")
# For each fault that the page names, one scenario at least.
WANTED = {
    "torn",
    "torn-phone",
    "two-cards",
    "slow-card",
    "wrong-card",
    "unplugged-reader",
    "network-loss",
    "wrong-clock",
    "double-upload",
    "both-on-one-phone",
}


def test_there_is_one_for_each_fault():
    assert set(built_in_names()) >= WANTED


def test_there_is_no_transcript_of_nothing():
    assert {path.stem for path in TRANSCRIPTS.glob("*.tap")} == set(built_in_names())


@pytest.mark.parametrize("name", built_in_names())
def test_it_goes_as_expected_and_every_tap_to_the_byte(name, tmp_path):
    record, golden = tmp_path / "taps", TRANSCRIPTS / f"{name}.tap"
    code, out, _ = simulate(tmp_path, name, "--record", str(record))
    assert (code, out.splitlines()[-1]) == (0, f"{name}: as expected"), out
    assert not list((tmp_path / "simulator").iterdir()), "a played terminal stays"
    got = comparable(record.read_text())
    if "WRITE_TRANSCRIPTS" in os.environ:
        golden.write_text(got)
    assert got == golden.read_text()
    assert parse(record.read_text()), "what was recorded can be replayed"


@pytest.mark.parametrize("name", built_in_names())
def test_each_expects_something_of_the_money(name):
    lines = read_script(FOLDER / f"{name}.toml").lines
    assert any("state=" in line.text for line in lines)
    assert any("spent=" in line.text or "city=" in line.text for line in lines) or (
        name == "torn-phone"
    )


def test_a_false_expectation_fails_and_names_its_place(tmp_path):
    script = tmp_path / "wrong.toml"
    script.write_text(
        'title = "expects too much"\n'
        "starts_at = 2026-09-21T14:13:20Z\n"
        'steps = ["sale S1 1.00",\n "present foreign",\n "expect S1 state=refused",\n'
        ' "sale S1 2.00",\n "present again on nowhere"]\n'
    )
    code, out, _ = simulate(tmp_path, str(script))
    assert code == 2
    assert "step 5 (line 7): present again on nowhere: no reader 'nowhere'" in out
    good = script.read_text().replace(" on nowhere", '", "unplug", "present plastic')
    script.write_text(good)
    code, out, _ = simulate(tmp_path, str(script))
    assert code == 1
    assert "FAILED step 7 (line 7): present plastic" in out
    assert "reader 'counter' is unplugged" in out
    assert out.splitlines()[-1] == "wrong: FAILED"


def test_what_was_seen_instead_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "Player", partial(Player, expect_seconds=0.3))
    script = tmp_path / "wrong.toml"
    script.write_text('title = "x"\nsteps = ["sale S1 1.00", "expect stage=done city=1"]\n')
    code, out, _ = simulate(tmp_path, str(script))
    assert code == 1
    assert "after 0.3 s: city=0, stage=waiting; [waiting] Hold a card" in out
