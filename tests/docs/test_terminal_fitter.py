"""The fitter's page: its commands are commands, its files are there, its words the program's."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from reader_bridge.attached import scanner_of
from reader_bridge.cli import main, parser
from reader_bridge.faults import CardFault, CodeFault, ReaderFault, SamFault, TerminalFault
from reader_bridge.selftest import TITLES
from tests.docs.pages import blocks, table_rows, text_of
from tests.packaging.closure import ROOT, extras

PAGE = "terminal-fitter.md"
KINDS = (ReaderFault, CardFault, CodeFault, TerminalFault, SamFault)
# Codes that are no Fault: the command line's own, the backend's.
OTHERS = frozenset({"backend_unreachable", "terminal_suspended"})


def shell_lines() -> list[str]:
    return [line for block in blocks(PAGE, "sh") for line in block.splitlines()]


def commands() -> list[str]:
    found = [line.partition(" ")[2] for line in shell_lines() if line.startswith("terminal ")]
    assert len(found) >= 16
    return found


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_page_is_a_command(line):
    arguments = parser().parse_args(shlex.split(line))
    assert callable(arguments.command)


def test_every_command_is_on_the_page():
    (choices,) = (
        action.choices
        for action in parser()._actions
        if action.choices and "sell" in action.choices
    )
    text = text_of(PAGE)
    assert [name for name in choices if not re.search(rf"\b{name}\b", text)] == []


def test_the_shell_blocks_are_shell():
    for block in blocks(PAGE, "sh"):
        done = subprocess.run(
            ["bash", "-n"], input=block, capture_output=True, text=True, timeout=20, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_the_files_it_installs_are_there_and_all_of_them():
    text = text_of(PAGE)
    named = set(re.findall(r"deploy/[\w./-]*\w", text)) - {"deploy"}
    assert [path for path in named if not (ROOT / path).is_file()] == []
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "deploy").rglob("*") if path.is_file()}
    assert there == named


def test_what_the_service_is_started_with():
    (line,) = [one for one in blocks(PAGE, "ini")[0].splitlines() if one]
    name, _, options = line.partition("=")
    assert name == "OPTIONS"
    arguments = parser().parse_args(["serve", *shlex.split(options)])
    assert arguments.scanner == [scanner_of("serial:/dev/city-scanner")]


def test_the_extras_are_those_of_the_package():
    rows = {row[0].strip("`") for row in table_rows(PAGE, "Extra")}
    assert rows == {name for name in extras() if name.startswith("bridge")}
    for chosen in re.findall(r"\.whl\[([a-z,-]+)\]", text_of(PAGE)):
        assert set(chosen.split(",")) <= rows


def test_the_self_tests_lines_are_explained():
    rows = [row[0].split(" ", 1) for row in table_rows(PAGE, "Line")]
    assert [name.strip("`") for name, _ in rows] == list(TITLES)
    assert [title for _, title in rows] == [text.zh for text in TITLES.values()]


def test_the_faults_are_codes():
    known = {code for kind in KINDS for code in kind.TEXTS} | OTHERS
    codes = {
        code
        for row in table_rows(PAGE, "Line begins")
        for code in re.findall(r"`([a-z_]+…?)`", row[0])
    }
    assert len(codes) > 25
    for code in codes:
        assert any(one.startswith(code[:-1]) for one in known) if code[-1] == "…" else code in known


def test_the_self_test_fails_where_the_page_says(tmp_path: Path):
    out, err = io.StringIO(), io.StringIO()
    words = ["self-test", "--state", str(tmp_path / "none"), "--no-pcsc", "--port", "0"]
    assert main(words, out, err) == 1
    assert out.getvalue().startswith("FAIL 终端目录: ")
    assert err.getvalue() == ""
