"""Files that are no purse and no key file: one line, exit 2, no traceback, no secret."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

import pytest

from card_protocol.errors import MalformedBytes
from hce.card_file import CardRecord
from hce.purse_disk import PurseFileStore
from hce.purse_keys import TEST_KEYS, TEST_PIN, IssuerKeys
from hce.purse_order import PurseOrder, make_purse
from hce.purse_profile import PROFILES
from hce.purse_store import STORE_BYTES
from tests.hce.desk import NUMBER, Run, document, write_keys
from tests.hce.examples import STATE

# --- key files -----------------------------------------------------------------------------------

BAD_KEYS: dict[str, object] = {
    "empty": "",
    "not JSON": "{",
    "a list": "[]",
    "deep": "[" * 100_000,
    "another format": document(format="card"),
    "another version": document(version=2),
    "no issuer": {key: value for key, value in document().items() if key != "issuer"},
    "a short sealing key": document(sealing_key="00"),
    "no hex": document(sealing_key="zz" * 32),
    "a number for hex": document(issuer=5),
    "an unknown suite": document(masters={"aes": {}}),
    "an unknown kind": document(masters={"3des": {"MONEY": "00" * 16}}),
    "masters a list": document(masters=[1]),
    "masters in a list": document(masters={"3des": ["PURCHASE"]}),
    "a short master": document(masters={"3des": {"LOAD": "00"}}),
    "three levels": document(levels=3),
    "levels a text": document(levels="1"),
    "a test perhaps": document(is_test="yes"),
}


@pytest.mark.parametrize("body", BAD_KEYS.values(), ids=BAD_KEYS)
def test_bad_key_files(run: Run, tmp_path: Path, body: object) -> None:
    write_keys(tmp_path / "k", body)
    for command in (("new", "--purse", "--card", "p"), ("plug", "--card", "p", "--port", "9")):
        code, out, err = run(*command, "--keys", "k")
        assert (code, out) == (2, "")
        assert err.startswith("hce: k: damaged key file (")
        assert "5A5A" not in err


def test_a_key_file_that_others_may_read(run: Run, tmp_path: Path) -> None:
    for mode in (0o640, 0o604, 0o660):
        write_keys(tmp_path / "k", mode=mode)
        _, _, err = run("new", "--purse", "--card", "p", "--keys", "k")
        assert err == "hce: k: keys that others may read: chmod 600, and change them\n"


def test_a_pin_that_is_none_is_refused(run: Run, tmp_path: Path) -> None:
    write_keys(tmp_path / "k", document(pin="FFFF"))
    code, _, err = run("new", "--purse", "--card", "p", "--keys", "k")
    assert code == 2
    assert "Traceback" not in err


def test_keys_without_masters_open_a_purse_and_make_none() -> None:
    keys = replace(TEST_KEYS, masters={})
    with pytest.raises(MalformedBytes, match="no master"):
        make_purse(PurseOrder(PROFILES["sim"], date(2025, 1, 1), NUMBER), keys)
    assert TEST_KEYS.pin == TEST_PIN
    assert repr(TEST_KEYS) == "IssuerKeys(<secret>)"
    assert {one.name for one in fields(IssuerKeys)} > {"masters", "sealing_key"}


# --- card and purse files -----------------------------------------------------------------------


def spoilt(path: Path, at: int, length: int = 1) -> None:
    body = bytearray(path.read_bytes())
    for one in range(at, at + length):
        body[one] ^= 0xFF
    path.write_bytes(bytes(body))


def make_altered(path: Path) -> None:
    state = make_purse(PurseOrder(PROFILES["sim"], date(2025, 1, 1), NUMBER), TEST_KEYS)
    PurseFileStore.create(path, state, TEST_KEYS.sealing_key).close()
    spoilt(path, 30)
    spoilt(path, STORE_BYTES // 2 + 30)


def holding(body: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(body)


# Files that are no card, of each kind that a hand or a disk can make, and what is said of them.
BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no such file"),
    "folder": (Path.mkdir, "not a plain file"),
    "pipe": (os.mkfifo, "not a plain file"),
    "link to itself": (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    "empty": (holding(b""), "damaged card file"),
    "a purse cut short": (holding(b"CPS1" + bytes(100)), "a purse file has one size"),
    "a purse of zero bytes": (holding(bytes(STORE_BYTES)), "no slot is whole"),
    "a purse too long": (holding(b"CPS1" + bytes(STORE_BYTES)), "a purse file has one size"),
    "a large one": (holding(b"{" * 2_000_000), "damaged card file"),
    "noise": (holding(bytes(range(256)) * 64), "no slot is whole"),
    "key elsewhere": (holding(CardRecord(STATE).encode()), "carries no signing key"),
    "altered purse": (make_altered, "no slot is whole"),
}


@pytest.mark.parametrize(("put", "reason"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_one_line(
    run: Run, tmp_path: Path, put: Callable[[Path], object], reason: str
) -> None:
    put(tmp_path / "c")
    for command in ("plug", "listen"):
        code, out, err = run(command, "--card", "c")
        assert (code, out) == (2, "")
        assert re.fullmatch(rf"hce: c: {re.escape(reason)}.*\n", err), err
