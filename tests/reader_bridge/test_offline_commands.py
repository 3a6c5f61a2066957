"""`balance` and `forward` on the command line: what they print and how they exit."""

from __future__ import annotations

import io
import json

import pytest

from reader_bridge.cli import cards, main
from reader_bridge.faults import ReaderFault
from reader_bridge.readers.loopback import LoopbackReader
from tests.hce.epurse_bench import PUBLIC
from tests.reader_bridge.acceptance.conftest import backend, stall  # noqa: F401 - fixtures
from tests.reader_bridge.acceptance.world import PurseCard


@pytest.fixture
def run(folder):
    def command(*words: object) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        code = main([str(word) for word in (*words, "--state", folder)], out, err)
        return code, out.getvalue(), err.getvalue()

    return command


@pytest.fixture
def lay_down(monkeypatch):
    """Puts a card on whatever reader the command opens."""
    opened: list[Reader] = []

    class Reader(LoopbackReader):
        card_shown = None

        def __init__(self, name: str | None = None) -> None:
            super().__init__(Reader.card_shown, name=name or "first")
            self.is_closed = False
            opened.append(self)

        def close(self) -> None:
            self.is_closed = True

    def put(transmit=None) -> list[Reader]:
        Reader.card_shown = staticmethod(transmit) if transmit else None
        return opened

    monkeypatch.setattr(cards, "PcscReader", Reader)
    return put


def test_the_balance_of_a_purse(stall, run, lay_down):  # noqa: F811
    opened = lay_down(PurseCard().shown())
    code, out, err = run("balance", "--language", "en", "--times")
    assert (code, err) == (0, "")
    assert "50.00 CNY" in out
    assert "select_application" in out.splitlines()[-1]
    assert [reader.is_closed for reader in opened] == [True]
    assert stall.backend.charges() == []


def test_no_card_for_the_balance(stall, run, lay_down):  # noqa: F811
    opened = lay_down()
    code, out, err = run("balance", "--wait", "0")
    assert (code, out) == (2, "")
    assert err.startswith("no_card: ")
    assert [reader.is_closed for reader in opened] == [True]


def test_forward_uploads_what_waits(stall, run):  # noqa: F811
    stall.go_away()
    stall.tap(PurseCard().shown(), 300)
    stall.terminal.close()
    code, out, err = run("forward")
    assert (code, err) == (0, "")
    assert " waiting=0 waiting_fen=0 " in out
    assert len(stall.backend.uploaded) == 1
    assert run("forward")[0] == 0
    assert len(stall.backend.uploaded) == 1


def test_forward_without_a_backend_leaves_all_in_place(stall, run, backend):  # noqa: F811
    stall.go_away()
    stall.tap(PurseCard().shown(), 300)
    stall.terminal.close()
    backend.script = ["broken"] * 40
    code, out, _ = run("forward")
    assert code == 2
    assert " waiting=1 waiting_fen=300 " in out
    assert stall.backend.uploaded == {}


def test_a_torn_sale_that_a_person_ends(stall, run, lay_down):  # noqa: F811
    """Goal: what the operator needs is printed, and a decided sale no longer holds its card up."""
    plastic = PurseCard()
    with pytest.raises(ReaderFault, match="debit_unknown"):
        stall.tap(plastic.shown(tear="after"), 300, "R1")
    assert plastic.balance_fen == 4_700
    code, out, _ = run("torn")
    report = json.loads(out)
    assert code == 0
    assert report.pop("terminal_id") == stall.terminal.identity.client_id
    assert report.pop("purchase_counter") == 0
    assert report == {
        "purse_number": PUBLIC.serial.hex().upper(),
        "reference": "R1",
        "balance_before_fen": 5_000,
        "amount_fen": 300,
    }
    assert run("torn", "--end", "R9", "--language", "en")[0] == 2
    assert run("torn", "--end", "R1") == (0, "", "")
    assert stall.terminal.journal.to_upload(9) == ()
    receipt = stall.tap(plastic.shown(), 50, "R2")
    assert (receipt.is_green, receipt.finished, plastic.balance_fen) == (True, (), 4_650)
