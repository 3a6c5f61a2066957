"""`python -m hce` in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from hce.__main__ import main
from tests.hce.desk import Run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`python -m hce …` in this process, in an empty folder, in English unless told otherwise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def hce(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        lang = () if "--lang" in arguments else ("--lang", "en")
        code = main([*arguments, *lang])
        out, err = capsys.readouterr()
        return code, out, err

    return hce
