"""The command line of a till that sells offline: what waits, and a SAM that is not there."""

from __future__ import annotations

import io

from reader_bridge.cli import main
from tests.reader_bridge.acceptance.world import PurseCard


def run(folder, *words: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main([str(word) for word in (*words, "--state", folder)], out, err)
    return code, out.getvalue(), err.getvalue()


def test_what_waits_is_told(stall, folder):
    stall.go_away()
    stall.tap(PurseCard().shown(), 300)
    code, out, err = run(folder, "status")
    assert (code, err) == (0, "")
    assert " waiting=1 waiting_fen=300 torn=0 aside=0" in out
    assert " profile=4 " in out


def test_a_sam_that_is_not_there_is_the_terminals_trouble(stall, folder, tmp_path):
    sale = ("sell", "--amount", "1", "--register-reference", "R1", "--sam", tmp_path / "none")
    code, out, err = run(folder, *sale)
    assert (code, out) == (2, "")
    assert err.startswith("sam_missing: ")
