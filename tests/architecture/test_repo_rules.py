"""Each rule of the repository catches a planted sin, and lets the remedy pass.

Sins that a rule would find in this very file are put together from halves.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import repo_rules
from tools.repo_rules import RULES, Source, sins_of

DOC = '"""A module."""\n'
SINS = [
    ("absolute-path", "docs/a.md", "see /wo" + "rk/main/city.toml"),
    ("absolute-path", "tools/a.py", DOC + 'P = "/ho' + 'me/me/x"'),
    ("registry-host", "requirements.txt", "--index-url https://pypi" + ".org/simple"),
    ("later", "hce/a.py", DOC + "# TO" + "DO: sign it"),
    ("later", "docs/a.md", "FIX" + "ME"),
    ("long-file", "hce/a.py", DOC + "x = 1\n" * 400),
    ("module-docstring", "hce/a.py", "x = 1\n"),
    ("swallowed-error", "hce/a.py", DOC + "try:\n    f()\nexcept ValueError:\n    pass\n"),
    ("swallowed-error", "hce/a.py", DOC + "try:\n    f()\nexcept ValueError:\n    ...\n"),
    ("swallowed-error", "hce/a.py", DOC + "try:\n    f()\nexcept:\n    g()\n"),
    ("swallowed-error", "hce/a.py", DOC + "with contextlib.suppress(Exception):\n    f()\n"),
    ("sleep-in-test", "tests/test_a.py", DOC + "time.sleep(1)\n"),
    ("float-money", "hce/a.py", DOC + "amount_fen: float = 1\n"),
    ("float-money", "hce/a.py", DOC + "def f(fee_fen: float | None) -> None: ...\n"),
    ("float-money", "hce/a.py", DOC + "def amount() -> float: ...\n"),
    ("float-money", "hce/a.py", DOC + "x = float(sale.amount_fen)\n"),
    ("stray-commit", "backend/wallet/service.py", DOC + "session.commit()\n"),
    ("requests-import", "hce/a.py", DOC + "import requests\n"),
    ("requests-import", "hce/a.py", DOC + "from requests.adapters import HTTPAdapter\n"),
    ("ambient-clock", "backend/wallet/model.py", DOC + "now = datetime.now(tz=UTC)\n"),
    ("ambient-clock", "backend/wallet/model.py", DOC + "f(clock=time.time)\n"),
    ("ambient-clock", "hce/a.py", DOC + "day = datetime.date.today()\n"),
]
REMEDIES = [
    ("docs/a.md", "see city.toml, GET /work, ../home/x and https://example.org/home/x"),
    ("hce/__init__.py", ""),
    ("hce/a.py", DOC + "x = 1\n" * 399),
    ("hce/a.py", DOC + "try:\n    f()\nexcept ValueError as error:\n    tell(error)\n"),
    ("hce/a.py", DOC + "with contextlib.suppress(FileNotFoundError):\n    f()\n"),
    ("tests/test_a.py", DOC + "time.sleep(31)  # sleep: the code's own 30 s, on a real clock\n"),
    ("tools/a.py", DOC + "time.sleep(0.02)\n"),
    ("hce/a.py", DOC + "amount_fen: int = 1\nfence_metres: float = 1\nratio = float(share)\n"),
    ("backend/db/work.py", DOC + "session.commit()\n"),
    ("hce/a.py", DOC + "import httpx\nfrom .requests import Sale\n"),
    ("backend/kernel/clock.py", DOC + "now = datetime.now(tz=UTC)\n"),
    ("hce/a.py", DOC + "started = time.monotonic()\nnow = clock.now()\n"),
    ("tests/test_a.py", DOC + "now = datetime.now(tz=UTC)\n"),
]


def rules_broken(path: str, text: str) -> set[str]:
    return {sin.split(": ")[1] for sin in sins_of(Source(path, text))}


@pytest.mark.parametrize(("rule", "path", "text"), SINS)
def test_a_planted_sin_is_caught(rule: str, path: str, text: str) -> None:
    assert rules_broken(path, text) == {rule}


def test_every_rule_has_a_planted_sin() -> None:
    assert {rule for rule, _, _ in SINS} == set(RULES)


@pytest.mark.parametrize(("path", "text"), REMEDIES)
def test_the_remedy_passes(path: str, text: str) -> None:
    assert rules_broken(path, text) == set()


def test_a_sin_names_place_rule_and_remedy() -> None:
    (sin,) = sins_of(Source("hce/a.py", DOC + "import requests\n"))
    assert sin == "hce/a.py:2: requests-import: requests: use httpx, with a time limit"


@pytest.mark.parametrize(
    ("lines", "remedy"), [(401, None), (450, None), (451, "split"), (400, "take it out")]
)
def test_the_ratchet(monkeypatch: pytest.MonkeyPatch, lines: int, remedy: str | None) -> None:
    monkeypatch.setattr(repo_rules, "LONGER_FILES", {"hce/a.py": 450})
    found = list(sins_of(Source("hce/a.py", DOC + "x = 1\n" * (lines - 1))))
    assert bool(found) == bool(remedy)
    assert remedy is None or remedy in found[0]


def test_git_names_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: new files count before they are added; ignored ones never do."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("var/\n")
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "a.py").write_text("x = 1\n")
    (tmp_path / "b.py").write_text("x = 1\n")
    monkeypatch.setattr(repo_rules, "ROOT", tmp_path)
    assert [source.path for source in repo_rules.tracked_sources(tmp_path)] == [
        ".gitignore",
        "b.py",
    ]
    assert repo_rules.main() == 1
    (tmp_path / "b.py").write_text(DOC)
    assert repo_rules.main() == 0
