"""The simulator's page: its commands and its scenario run as written, its tables are complete."""

from __future__ import annotations

import io
import re
import shlex

from reader_bridge.cli import main
from reader_bridge.simulator.card_specs import Kind
from reader_bridge.simulator.prompt import HELP
from reader_bridge.simulator.script import FOLDER, built_in_names, read_script
from reader_bridge.simulator.steps import EXPECTED, OF_A_SALE, VERBS, step_of
from tests.docs import pages

PAGE = "simulator.md"


def test_the_three_commands_run(tmp_path, monkeypatch):
    monkeypatch.setenv("READER_BRIDGE_STATE", str(tmp_path / "state"))
    (script,) = pages.blocks(PAGE, "toml")
    (tmp_path / "my-register.toml").write_text(script)
    (commands,) = pages.blocks(PAGE, "sh")
    for line in commands.splitlines():
        words = shlex.split(line)
        assert words[:3] == ["python", "-m", "reader_bridge"]
        out = io.StringIO()
        named = [str(tmp_path / word) if word.endswith(".toml") else word for word in words[3:]]
        assert main(named, out, io.StringIO()) == 0, out.getvalue()
    assert "my-register: as expected" in out.getvalue()


def test_what_is_typed_can_be_typed():
    (typed,) = re.findall(
        r"^```\n\$ python -m reader_bridge simulate\n(.*?)^quit\n```",
        pages.text_of(PAGE),
        re.DOTALL | re.MULTILINE,
    )
    for line in typed.splitlines():
        step_of(line.replace("sale ", "sale P1 "))


def test_every_step_stands_there():
    told = " ".join(cells[0] for cells in pages.table_rows(PAGE, "Step"))
    assert {verb for verb in VERBS if verb not in told} == set()
    rows = " ".join(" ".join(cells) for cells in pages.table_rows(PAGE, "Step"))
    assert {name for name in EXPECTED | OF_A_SALE if f"`{name}`" not in rows} == set()
    assert {verb for verb in VERBS if verb not in HELP} == set()


def test_every_kind_and_every_scenario_stands_there():
    kinds = {
        one for row in pages.table_rows(PAGE, "`kind`") for one in re.findall(r"`(\w+)`", row[0])
    }
    assert kinds == set(Kind)
    told = {
        name
        for row in pages.table_rows(PAGE, "Scenario")
        for name in re.findall(r"`([\w-]+)`", row[0])
    }
    assert told == set(built_in_names())


def test_every_code_it_names_is_expected_in_a_scenario():
    codes = {
        code
        for row in pages.table_rows(PAGE, "Scenario")
        for code in re.findall(r"`([a-z]+_[a-z_]+)`", row[1])
    }
    played = " ".join(
        line.text
        for name in built_in_names()
        for line in read_script(FOLDER / f"{name}.toml").lines
    )
    assert codes
    assert {code for code in codes if f"code={code}" not in played} == set()
