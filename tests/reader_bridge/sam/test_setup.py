"""Making a SAM in software from a file of masters, and what is refused."""

from __future__ import annotations

import io
import os
from dataclasses import replace

import pytest

from reader_bridge.faults import SamFault
from reader_bridge.sam import sealed
from reader_bridge.sam.__main__ import main
from reader_bridge.sam.setup import KEY_FILE, TALLY_FILE, open_sam, read_masters
from tests.reader_bridge.sam.examples import REQUEST, TERMINAL, TEXTBOOK, right_mac2

MASTERS = f"# trial masters\n1 00 1 {TEXTBOOK.hex()}\n\n1 04 2 {TEXTBOOK.hex()}  # SM4\n"
WORDS = b"correct horse\n"


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(sealed, "SCRYPT_R", 1)  # the real cost is 0.1 s a time
    for name, body in (("masters", MASTERS.encode()), ("words", WORDS)):
        (tmp_path / name).write_bytes(body)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "sam").mkdir()
    return tmp_path


def run(*arguments: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main([str(argument) for argument in arguments], out, err)
    return status, out.getvalue(), err.getvalue()


def make(files, **options: object) -> tuple[int, str, str]:
    wanted = {"masters": files / "masters", "passphrase-file": files / "words"}
    wanted |= {"terminal": TERMINAL.hex()} | options
    pairs = [part for name, value in wanted.items() for part in (f"--{name}", value)]
    return run("create", files / "sam", *pairs)


def test_a_sam_is_made_once_and_pays(files):
    status, out, err = make(files)
    assert (status, err) == (0, "")
    assert out == "terminal 001122334455\nkey index 1, last serial 0\n"
    sam = open_sam(files / "sam", WORDS.strip())
    offer = sam.begin_purchase(REQUEST)
    assert sam.finish_purchase(
        right_mac2(REQUEST, offer.terminal_serial, read_masters(files / "masters"))
    )
    with pytest.raises(SamFault, match="sam_failed"):
        sam.begin_purchase(replace(REQUEST, algorithm=4, issuer=None))
    sam.close()
    for name in (KEY_FILE, TALLY_FILE):
        assert (files / "sam" / name).stat().st_mode & 0o777 == 0o600
    status, _, err = make(files)
    assert status == 1
    assert "is there already" in err
    reading, writing = os.pipe()
    os.write(writing, WORDS)
    os.close(writing)
    status, out, _ = run("check", files / "sam", "--passphrase-fd", reading)
    assert status == 0
    assert "last serial 1" in out


def test_a_wrong_passphrase(files):
    make(files)
    (files / "words").write_bytes(b"wrong")
    status, out, err = run("check", files / "sam", "--passphrase-file", files / "words")
    assert (status, out) == (1, "")
    assert "PSAM 口令不符" in err
    assert "passphrase is wrong" in err


@pytest.mark.parametrize(
    "text",
    [
        f"1 00 0 {TEXTBOOK.hex()}",
        f"1 00 1 {TEXTBOOK.hex()}00",
        f"1 07 1 {TEXTBOOK.hex()}",
        f"x 00 1 {TEXTBOOK.hex()}",
        f"1 00 {TEXTBOOK.hex()}",
        "1 00 1 zz",
        "\xff",
    ],
)
def test_masters_that_are_none(files, text):
    (files / "masters").write_text(text, encoding="latin-1")
    status, out, err = make(files)
    assert (status, out) == (1, "")
    assert "damaged" in err
    assert TEXTBOOK.hex() not in err
    assert list((files / "sam").iterdir()) == []


@pytest.mark.parametrize("options", [{"terminal": "0011"}, {"terminal": "xyz"}, {"key-index": 256}])
def test_names_that_are_none(files, options):
    status, _, err = make(files, **options)
    assert status == 1
    assert "--terminal" in err
    assert list((files / "sam").iterdir()) == []


def test_no_masters_at_all(files, capsys):
    (files / "masters").write_text("# none\n", encoding="ascii")
    assert make(files)[0] == 1
    with pytest.raises(SystemExit):
        run("create", files / "sam", "--passphrase-file", files / "words")
    assert "create needs --masters" in capsys.readouterr().err
