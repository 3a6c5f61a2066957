"""APDU cases, BER-TLV rules and bounds, status words."""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_protocol import status, tlv
from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.errors import MalformedBytes
from card_protocol.status import MEANINGS, StatusWord

VECTORS = json.loads((Path(__file__).parent / "vectors/emvco_qr.json").read_text("utf-8"))
BYTES_U8 = st.integers(0, 255)

WRONG_COMMANDS = {
    "": "nothing",
    "00A404": "header cut",
    "00A4040002A0": "data cut",
    "00A4040002A0A10000": "two bytes after short data",
    "00A4040000000001A0FF": "one byte after extended data",
    "00A404000000": "one byte of an extended length",
    "00A40400000000AA": "extended length zero with data",
    "00A40400000002A0": "extended data cut",
}


@pytest.mark.parametrize("wire", WRONG_COMMANDS, ids=WRONG_COMMANDS.get)
def test_a_command_of_no_case_is_refused(wire):
    with pytest.raises(MalformedBytes) as refusal:
        CommandApdu.decode(bytes.fromhex(wire))
    assert refusal.value.code == "apdu_malformed"


def test_a_needlessly_extended_command_keeps_its_meaning():
    wire = bytes.fromhex("00A40400000002A0A10000")
    command = CommandApdu.decode(wire)
    assert command == CommandApdu(0, 0xA4, 4, 0, b"\xa0\xa1", 65_536)
    assert CommandApdu.decode(bytes.fromhex("00A40400000002A0A1")).encode() == bytes.fromhex(
        "00A4040002A0A1"
    )


@given(
    header=st.tuples(BYTES_U8, BYTES_U8, BYTES_U8, BYTES_U8),
    data=st.one_of(st.binary(max_size=300), st.integers(0, 65_535).map(bytes)),
    le=st.none() | st.integers(1, 65_536),
)
def test_commands_come_back(header, data, le):
    command = CommandApdu(*header, data, le)
    assert CommandApdu.decode(command.encode()) == command


@given(data=st.binary(max_size=300), sw=st.integers(0x6100, 0x6FFF) | st.integers(0x9000, 0x9FFF))
def test_answers_come_back(data, sw):
    answer = ResponseApdu(data, sw)
    assert ResponseApdu.decode(answer.encode()) == answer


TAGS = st.sampled_from((0x50, 0x5A, 0x6F, 0x77, 0x9F02, 0x5F2A, 0xBF0C, 0xDF0A, 0xDF8101))


@given(st.lists(st.builds(tlv.Tlv, TAGS, st.binary(max_size=300)), max_size=8))
def test_objects_come_back(items):
    assert tlv.parse(tlv.encode(items)) == tuple(items)


@given(st.binary(max_size=64))
def test_what_parses_has_one_encoding(body):
    try:
        items = tlv.parse(body)
    except MalformedBytes:
        return
    assert tlv.encode(items) == body


WRONG_TLV = {
    "9F": "tag cut",
    "9F81": "tag cut in the middle",
    "9F81818101": "tag of four bytes",
    "0000": "padding 00",
    "FF00": "padding FF",
    "50": "no length",
    "50800000": "indefinite length",
    "508105AAAAAAAAAA": "81 where one byte is enough",
    "50820080" + "AA" * 128: "82 where 81 is enough",
    "5081": "length cut",
    "5084000000010A": "four length bytes",
    "5002AA": "value cut",
    "5000 50": "second object cut",
}


@pytest.mark.parametrize("wire", WRONG_TLV, ids=WRONG_TLV.get)
def test_broken_objects_are_refused(wire):
    with pytest.raises(MalformedBytes) as refusal:
        tlv.parse(bytes.fromhex(wire))
    assert refusal.value.code == "tlv_malformed"


def nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = tlv.Tlv(0x61, body).encode()
    return body


def test_depth_is_bounded():
    assert tlv.parse_tree(nested(tlv.DEPTH_MAX))[0].tag == 0x61
    with pytest.raises(MalformedBytes, match="too deep"):
        tlv.parse_tree(nested(tlv.DEPTH_MAX + 1))
    with pytest.raises(MalformedBytes, match="too deep"):
        tlv.parse_tree(nested(10_000))


def test_the_count_of_objects_is_bounded_over_the_whole_tree():
    row = tlv.Tlv(0x61, b"\x50\x00" * 511).encode()
    assert len(tlv.parse_tree(row * 2)) == 2
    with pytest.raises(MalformedBytes, match="too many"):
        tlv.parse_tree(row * 2 + b"\x50\x00")
    with pytest.raises(MalformedBytes, match="too many"):
        tlv.parse(b"\x50\x00" * (tlv.ITEMS_MAX + 1))


def test_size_is_bounded():
    body = tlv.Tlv(0x50, bytes(tlv.SIZE_MAX_BYTES)).encode()
    with pytest.raises(MalformedBytes, match="too long"):
        tlv.parse(body)


def test_find_walks_a_path_and_get_refuses_an_absent_object():
    body = bytes.fromhex("6F 0A A5 08 50 01 41 50 01 42 87 00")
    assert tlv.find(body, (0x6F, 0xA5, 0x50)) == b"A"
    assert tlv.find(body, (0x6F, 0xA5, 0x87)) == b""
    assert tlv.find(body, (0x6F, 0x84, 0x50)) is None
    assert tlv.get(body, (0x6F, 0xA5, 0x50)) == b"A"
    with pytest.raises(MalformedBytes, match="no 6F/84"):
        tlv.get(body, (0x6F, 0x84))
    with pytest.raises(MalformedBytes):
        tlv.find(body, ())


def leaves(nodes):
    return {
        f"{node.tag:X}": leaves(node.children) if node.children else node.value for node in nodes
    }


def as_bytes(parsed, raw):
    """The published values are hex, or text where the object is text."""
    if isinstance(parsed, dict):
        return {tag: as_bytes(value, raw[tag]) for tag, value in parsed.items()}
    return parsed.encode() if raw == parsed.encode() else bytes.fromhex(parsed)


@pytest.mark.parametrize("vector", VECTORS["cpm_valid"])
def test_published_consumer_code_parses(vector):
    body = base64.b64decode(vector["base64"], validate=True)
    assert body == bytes.fromhex(vector["hex"])
    nodes = tlv.parse_tree(body)
    assert (nodes[0].tag, nodes[0].value) == (0x85, b"CPV01")
    assert tlv.encode(tlv.parse(body)) == body
    seen = [leaves((node,)) for node in nodes[1:]]
    published = [{tag.partition("[")[0]: fields} for tag, fields in vector["parsed"].items()]
    assert len(seen) == len(published)
    for ours, theirs in zip(seen, published, strict=True):
        assert as_bytes(theirs, ours) == ours


@pytest.mark.parametrize("vector", VECTORS["cpm_invalid"])
def test_published_wrong_consumer_code_is_refused(vector):
    text = vector["base64"]
    body = binascii.a2b_base64(text + "=" * (-len(text) % 4))
    with pytest.raises(MalformedBytes):
        tlv.parse_tree(body)


def test_every_status_word_has_both_languages():
    assert set(MEANINGS) == set(StatusWord)
    for language in ("en", "zh_cn"):
        texts = [getattr(meaning, language) for meaning in MEANINGS.values()]
        assert all(texts)
        assert len(set(texts)) == len(texts)
    assert all(meaning.en.isascii() for meaning in MEANINGS.values())
    assert not any(meaning.zh_cn.isascii() for meaning in MEANINGS.values())


@pytest.mark.parametrize(
    ("sw", "en"),
    [
        (0x9000, "done"),
        (0x6110, "16 bytes are waiting"),
        (0x6100, "256 bytes are waiting"),
        (0x6C04, "wrong Le: 4 is right"),
        (0x63C2, "PIN is wrong: 2 tries left"),
        (0x6A82, "file or application not found"),
        (0x6301, "unknown status word 6301"),
    ],
)
def test_status_words_read_out(sw, en):
    assert status.meaning_of(sw).en == en
    assert status.meaning_of(sw).zh_cn


def test_every_status_word_can_be_answered():
    for word in StatusWord:
        assert ResponseApdu(b"", word).encode() == int(word).to_bytes(2)
