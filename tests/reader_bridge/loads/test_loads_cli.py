"""`load` and `loads` on the command line, against the real city."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from reader_bridge.cli import loads, main
from reader_bridge.readers.loopback import LoopbackReader
from tests.docs.city import City
from tests.hce.epurse_bench import PIN
from tests.reader_bridge.loads.world import make_plastic


def test_the_command_line(
    city: City, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Goal: a fitter loads a card with its PIN, sees a torn one, and the same card ends it."""
    plastic = make_plastic(city, load_needs_pin=True)
    cards: list[Any] = []
    monkeypatch.setattr(loads, "PcscReader", lambda name: LoopbackReader(cards.pop(0)))
    pin = tmp_path / "pin"
    pin.write_text(f"{PIN.hex()}\n")

    def run(*words: object) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        code = main([str(word) for word in (*words, "--state", folder)], out, err)
        return code, out.getvalue(), err.getvalue()

    load = ("load", "--amount", "20", "--funding", "cash", "--register-reference")
    cards += [plastic.shown(), plastic.shown(), plastic.shown(tear="before"), plastic.shown()]
    code, _, err = run(*load, "CLI1")
    assert (code, err.partition(":")[0]) == (2, "load_pin_wanted")
    code, out, _ = run(*load, "CLI1", "--pin-file", pin, "--times")
    assert (code, "圈存成功" in out, "confirm " in out) == (0, True, True)
    code, _, err = run(*load, "CLI2", "--pin-file", pin)
    assert (code, err.partition(":")[0]) == (3, "credit_unknown")
    code, out, _ = run("loads")
    assert (code, "CLI2" in out) == (3, True)
    code, out, _ = run(*load, "CLI2", "--pin-file", pin, "--language", "en")
    assert (code, "Not loaded: 20.00 CNY" in out) == (1, True)
    assert run("loads") == (0, "", "")
