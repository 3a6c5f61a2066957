"""`python -m sdk_mobile`: a phone somebody tries by hand, and its plug in the virtual reader."""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from card_protocol.mobile_card import GpoResponse
from sdk_mobile.__main__ import fen_from_yuan, main, yuan_text
from tests.sdk_mobile.fake_backend import BANK_CARD, CODE, PHONE
from tests.sdk_mobile.test_flows import NOWHERE, STATIC_CODE
from tests.sdk_mobile.test_taps import GPO, SELECT

ROOT = Path(__file__).parents[2]


@pytest.fixture
def backend(backend):
    """The command line lives by the real clock."""
    backend.clock = time.time
    return backend


@pytest.fixture
def phone(backend, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("builtins.input", lambda prompt: CODE)

    def run(*arguments, url=backend.url):
        status = main(["--state", str(tmp_path / "phone"), "--url", url, *arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_a_whole_story(phone, tmp_path):
    assert phone("login", PHONE)[:2] == (
        0,
        f"a code was sent to {PHONE}\nlogged in; next: register NAME ID_NUMBER\n",
    )
    assert phone("register", "张三", "110101199003070000")[0] == 0
    assert "CITY CARD 96" in phone("card")[1]
    assert phone("top-up", "200", BANK_CARD)[1].endswith(" 200.00 succeeded\n")
    assert "12.50 城东超市" in phone("pay", STATIC_CODE, "12.5")[1]
    status, out, _ = phone("history")
    assert status == 0
    assert out.splitlines()[-1] == "balance 187.50"
    for kind in ("qr", "code128"):
        png = tmp_path / f"{kind}.png"
        out = phone("pay-code", "--picture", str(png), "--kind", kind, url=NOWHERE)[1]
        with Image.open(png) as image:
            (found,) = zxingcpp.read_barcodes(image)
        assert found.text[:10] == out[:10]
    assert "balance 187.50 as of" in phone("history", url=NOWHERE)[1]
    assert phone("resume")[1] == "still open: 0\n"


def test_refusals_and_damage_are_one_line_and_a_status(phone, tmp_path):
    status, _, err = phone("top-up", "1", BANK_CARD)
    assert (status, err) == (1, "NotReady: no_wallet: open the wallet first\n")
    status, _, err = phone("card", url="http://city.example")
    assert (status, err.count("\n")) == (2, 1)
    (tmp_path / "phone" / "state.doc").write_bytes(b"?")
    status, _, err = phone("card")
    assert status == 2
    assert "state.doc" in err
    assert phone("re-enrol")[1] == "put aside: state\nnext: login PHONE, resume, card\n"
    assert phone("re-enrol")[1] == "put aside: nothing\n"
    assert phone("login", PHONE)[0] == 0


@pytest.mark.parametrize(
    ("text", "fen"), [("1", 100), ("12.5", 1250), ("0.07", 7), ("200.00", 20_000)]
)
def test_yuan_become_fen(text, fen):
    assert fen_from_yuan(text) == fen
    assert fen_from_yuan(yuan_text(fen)) == fen


@pytest.mark.parametrize(
    "text", ["", ".", "1.", "1.234", "-1", "1e3", "１", "1,5", "1" * 10, "0x1", " 1"]
)
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        fen_from_yuan(text)


def test_negative_amounts_keep_their_sign():
    assert [yuan_text(fen) for fen in (-1, -100, -1250)] == ["-0.01", "-1.00", "-12.50"]


def test_the_plugged_card_answers_the_virtual_reader(phone, backend, tmp_path):
    phone("login", PHONE)
    phone("card")
    with socket.create_server(("127.0.0.1", 0)) as reader:
        port = str(reader.getsockname()[1])
        at = ["--state", str(tmp_path / "phone"), "--url", backend.url]
        command = [sys.executable, "-m", "sdk_mobile", *at, "plug", "--port", port]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as app:
            reader.settimeout(20)
            line, _ = reader.accept()
            with line:
                line.settimeout(20)
                assert ask(line, b"\x04").startswith(b"\x3b")
                assert ask(line, SELECT.encode()).endswith(b"\x90\x00")
                assert GpoResponse.decode(ask(line, GPO.encode())[:-2]).atc == 1
                assert app.stdout is not None
                assert b"the card is in" in app.stdout.readline()
                app.send_signal(signal.SIGINT)
                assert app.wait(20) == 0


def ask(line: socket.socket, payload: bytes) -> bytes:
    line.sendall(len(payload).to_bytes(2) + payload)
    head = line.recv(2, socket.MSG_WAITALL)
    return line.recv(int.from_bytes(head), socket.MSG_WAITALL)
