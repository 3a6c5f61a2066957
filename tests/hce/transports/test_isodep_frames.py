"""RATS, ATS, PPS and blocks: each vector both ways, everything else refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_protocol.errors import MalformedBytes
from hce.transports.isodep_frames import (
    Ats,
    Block,
    Kind,
    Pps,
    Rats,
    frame_size,
    waiting_seconds,
)

BLOCKS = {
    "02 00A4": Block(Kind.INFORMATION, 0, bytes.fromhex("00A4")),
    "03 00A4": Block(Kind.INFORMATION, 1, bytes.fromhex("00A4")),
    "02": Block(Kind.INFORMATION, 0),
    "12 00": Block(Kind.INFORMATION, 0, b"\x00", is_chained=True),
    "13 00": Block(Kind.INFORMATION, 1, b"\x00", is_chained=True),
    "0A 05 00": Block(Kind.INFORMATION, 0, b"\x00", cid=5),
    "06 21 00": Block(Kind.INFORMATION, 0, b"\x00", nad=0x21),
    "0F 0E 21 00": Block(Kind.INFORMATION, 1, b"\x00", cid=14, nad=0x21),
    "A2": Block(Kind.ACK, 0),
    "A3": Block(Kind.ACK, 1),
    "B2": Block(Kind.NAK, 0),
    "BB 05": Block(Kind.NAK, 1, cid=5),
    "C2": Block(Kind.DESELECT),
    "CA 05": Block(Kind.DESELECT, cid=5),
    "F2 0A": Block(Kind.WTX, inf=b"\x0a"),
    "FA 05 3B": Block(Kind.WTX, inf=b"\x3b", cid=5),
}
NO_BLOCKS = {
    "empty": "",
    "bit 2 of I is 0": "00 00",
    "bit 6 of I is 1": "22 00",
    "no R: bit 2 is 0": "A0",
    "no R: bit 3 is 1": "A6",
    "R with an information field": "A2 00",
    "R with a CID and more": "AA 05 00",
    "R without its CID": "AA",
    "S: bits 5 and 6 differ": "D2",
    "S: bit 1 is 1": "C3",
    "S: bit 3 is 1": "C6",
    "deselect with an information field": "C2 00",
    "WTX without a multiplier": "F2",
    "WTX with two": "F2 01 01",
    "WTX of 0": "F2 00",
    "WTX of 60": "F2 3C",
    "CID 15": "0A 0F 00",
    "CID with bits 5 and 6": "0A 15 00",
    "I without its CID": "0A",
    "I without its NAD": "06",
    "RATS": "E0 80",
    "PPS": "D0 01",
    "REQA": "26",
}


@pytest.mark.parametrize(("frame", "block"), BLOCKS.items(), ids=BLOCKS)
def test_blocks_both_ways(frame: str, block: Block) -> None:
    assert Block.decode(bytes.fromhex(frame)) == block
    assert block.encode() == bytes.fromhex(frame)


@pytest.mark.parametrize("frame", NO_BLOCKS.values(), ids=NO_BLOCKS)
def test_what_is_no_block(frame: str) -> None:
    with pytest.raises(MalformedBytes) as refused:
        Block.decode(bytes.fromhex(frame))
    assert refused.value.code == "block_malformed"


def test_power_levels_of_a_card_are_read_over() -> None:
    assert Block.decode(bytes.fromhex("FA C5 8A")) == Block(Kind.WTX, inf=b"\x0a", cid=5)


@given(st.binary(max_size=20))
def test_any_bytes_are_a_block_or_refused(frame: bytes) -> None:
    try:
        block = Block.decode(frame)
    except MalformedBytes:
        return
    assert Block.decode(block.encode()) == block
    assert len(block.encode()) == len(frame)


def test_the_ats_is_what_readers_in_the_field_want() -> None:
    assert Ats().encode().hex() == "0578807002"
    told = Ats(fsci=5, fwi=8, sfgi=1, is_cid_supported=False, historical=b"CITY")
    assert told.encode().hex() == "0975808100" + b"CITY".hex()
    assert Ats().frame_bytes_max == 254
    assert round(Ats().waiting_seconds * 1000, 1) == 38.7


@pytest.mark.parametrize(
    "changes", [{"fsci": 9}, {"fwi": 15}, {"sfgi": 15}, {"historical": b"x" * 16}]
)
def test_an_ats_that_cannot_be(changes: dict[str, int]) -> None:
    with pytest.raises(MalformedBytes):
        Ats(**changes)  # type: ignore[arg-type]


def test_sizes_and_times() -> None:
    assert [frame_size(code) for code in (0, 5, 8, 15)] == [16, 64, 256, 256]
    assert round(waiting_seconds(0) * 1e6) == 302
    assert round(waiting_seconds(14), 2) == 4.95


def test_rats() -> None:
    assert Rats.decode(bytes.fromhex("E085")) == Rats(8, 5)
    for wrong in ("", "E0", "E08000", "E08F", "D080"):
        with pytest.raises(MalformedBytes):
            Rats.decode(bytes.fromhex(wrong))


def test_pps() -> None:
    assert Pps.decode(bytes.fromhex("D51100")) == Pps(5, 0)
    assert Pps.decode(bytes.fromhex("D001")) == Pps(0, 0)
    assert Pps.decode(bytes.fromhex("D01105")).rates == 5
    assert Pps(5, 0).answer().hex() == "d5"
    for wrong in ("D0", "D011", "D00100", "D01100FF", "D002", "DF01", "D01110", "E001"):
        with pytest.raises(MalformedBytes):
            Pps.decode(bytes.fromhex(wrong))
