"""Goal: docs/protocol/sam.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from card_protocol.epurse.sam import SamRequest, SamTally, finish, read_key_index, select_folder
from card_protocol.epurse.sam import read_terminal_number as terminal_number
from reader_bridge.kernels.epurse.purchase import NOT_DEBITED
from reader_bridge.sam import pcsc
from reader_bridge.sam.sealed import _HEAD_BYTES
from tests.reader_bridge.sam.examples import REQUEST, TERMINAL

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/protocol/sam.md").read_text("utf-8")


def test_the_words_that_mean_not_paid():
    (line,) = re.findall(r"^\| ([0-9A-F ]+) \| not paid \|$", PAGE, re.MULTILINE)
    assert {int(word, 16) for word in line.split()} == set(NOT_DEBITED)


def test_the_commands():
    said = [
        re.sub(r"[ `]", "", cell)
        for cell in re.findall(r"^\| [a-z, ]+ \| (`0?[08][^|]+) \|", PAGE, re.MULTILINE)
    ]
    short = SamRequest.decode(REQUEST.encode()[: SamRequest.DATA_BYTES]).to_apdu().encode()
    assert said == [
        select_folder().encode().hex().upper(),
        terminal_number().encode().hex().upper(),
        read_key_index().encode().hex().upper(),
        short.hex().upper()[:10] + "request08",
        REQUEST.to_apdu().encode().hex().upper()[:10] + "request‖issuer(8)08",
        finish(bytes(4)).encode().hex().upper()[:10] + "MAC2",
    ]


def test_the_unsure_words():
    (line,) = re.findall(
        r"^\| words for a missing key and for a lock \| (.*?) \|", PAGE, re.MULTILINE
    )
    missing, locked = ({int(word, 16) for word in part.split(", ")} for part in line.split("; "))
    assert (missing, locked) == (set(pcsc.KEY_UNKNOWN), set(pcsc.LOCKED))


def test_the_files():
    assert f"the first {_HEAD_BYTES} bytes are vouched for" in PAGE
    assert len(SamTally(TERMINAL).encode()) == 4 + 6 + 8 + 4 + 2 + 4
