"""Scenario files are read strictly; what is wrong is named with step and line."""

from __future__ import annotations

import re

import pytest

from reader_bridge.simulator.script import (
    FILE_BYTES_MAX,
    ScriptRefused,
    built_in_names,
    find_script,
    read_script,
)
from reader_bridge.simulator.steps import Sale
from tests.reader_bridge.simulator.support import simulate

STEP = 'steps = ["sale S1 1.00"]\n'
REFUSED = {
    "no TOML": ("title = ", "line 1|end of document"),
    "no title": (STEP, "`title` is a text"),
    "an unknown member": (f'title = "x"\nstep = 1\n{STEP}', "unknown: step"),
    "no steps": ('title = "x"\n', "`steps`: 1 to 500"),
    "empty steps": ('title = "x"\nsteps = []\n', "`steps`: 1 to 500"),
    "a step that is no text": ('title = "x"\nsteps = ["restart", 7]\n', "step 2 is no text"),
    "an unknown step": (
        'title = "x"\nsteps = [\n "restart",\n "dance",\n]\n',
        r"step 2 \(line 4\): dance: 'dance' is none of: balance, cancel",
    ),
    "a card nobody has": (
        'title = "x"\nsteps = ["present gold"]\n',
        r"step 1 \(line 2\): present gold: no card 'gold'; there are: again, both",
    ),
    "another card nobody has": (
        'title = "x"\nsteps = ["present plastic with gold"]\n',
        "no card 'gold'",
    ),
    "a reader nobody has": ('title = "x"\nsteps = ["unplug attic"]\n', "no reader 'attic'"),
    "too many repeats": (f'title = "x"\nrepeat = 101\n{STEP}', "`repeat` is a whole number"),
    "true is no number": (f'title = "x"\nrepeat = true\n{STEP}', "`repeat` is a whole number"),
    "a moment without offset": (
        f'title = "x"\nstarts_at = 2026-09-21T14:13:20\n{STEP}',
        "`starts_at` is a moment with its offset",
    ),
    "no readers": (f'title = "x"\nreaders = []\n{STEP}', "`readers`: 1 to 8"),
    "a reader twice": (f'title = "x"\nreaders = ["a", "a"]\n{STEP}', "named twice"),
    "a reader with a space": (f'title = "x"\nreaders = ["a b"]\n{STEP}', "letters, digits"),
    "a card of no kind": (f'title = "x"\n{STEP}[cards.a]\nkind = "gold"\n', "card 'a': `kind` is"),
    "a phone with a balance": (
        f'title = "x"\n{STEP}[cards.a]\nkind = "phone"\nbalance = "1.00"\n',
        "card 'a': unknown: balance",
    ),
    "a balance that is none": (
        f'title = "x"\n{STEP}[cards.a]\nkind = "plastic"\nbalance = 5\n',
        "card 'a': `balance` is a text",
    ),
    "a program that cannot dial": (
        f'title = "x"\n{STEP}[cards.a]\nkind = "program"\ncommand = ["true"]\n',
        "names {port}",
    ),
    "a recording of no file": (f'title = "x"\n{STEP}[cards.a]\nkind = "recording"\n', "`file` is"),
    "too long": ("#" * (FILE_BYTES_MAX + 1), "more than"),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused(text, reason, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(ScriptRefused, match=reason) as caught:
        read_script(path)
    assert str(path) in str(caught.value)


def test_the_number_of_the_round_is_filled_in(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text('title = "x"\nrepeat = 3\nsteps = ["sale S{n} {n}.00"]\n')
    steps = [line.step for line in read_script(path).lines]
    assert steps == [Sale(f"S{n}", n * 100) for n in (1, 2, 3)]


def test_the_same_step_twice_has_two_lines(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text('title = "x"\nsteps = [\n"restart",\n"upload",\n"restart",\n]\n')
    assert [line.place for line in read_script(path).lines] == [
        "step 1 (line 3)",
        "step 2 (line 4)",
        "step 3 (line 5)",
    ]


def test_not_utf8_and_not_there(tmp_path):
    path = tmp_path / "s.toml"
    path.write_bytes(b'title = "\xff"')
    with pytest.raises(ScriptRefused, match="utf-8"):
        read_script(path)
    with pytest.raises(ScriptRefused, match="No such file"):
        read_script(tmp_path / "none.toml")
    assert find_script(str(tmp_path / "none.toml")) is None
    code, out, _ = simulate(tmp_path, "none.toml")
    assert (code, out) == (2, f"none.toml: no file, and none of: {', '.join(built_in_names())}\n")


def test_the_list_names_each_with_its_title(tmp_path):
    code, out, _ = simulate(tmp_path, "--list")
    assert code == 0
    assert re.findall(r"^\S+", out, re.M) == list(built_in_names())
