"""What a phone signs about its SM2 key: laid out, bound to device and keys, and nothing else."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from card_protocol import sm2
from card_protocol.certificate import BODY_CONTEXT
from card_protocol.device_keys import CONTEXT, is_proven, statement
from card_protocol.errors import MalformedBytes
from card_protocol.identity_code import CODE_CONTEXT, PART_CONTEXT
from card_protocol.key_batch import INFO_CONTEXT

PAGE = (Path(__file__).parents[2] / "docs/protocol/mobile-card.md").read_text("utf-8")
KEY, OTHER = sm2.PrivateKey.generate(), sm2.PrivateKey.generate()
P256 = bytes.fromhex("036B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296")
DEVICE = "dev_01h455vb4pex5vsknk084sn02q"
SAID = (DEVICE, P256, KEY.public_key)


def test_the_statement_byte_by_byte() -> None:
    expected = b"CITY CARD device SM2 key 1\x00" + DEVICE.encode() + b"\x00" + P256 + KEY.public_key
    assert statement(*SAID) == expected


def test_the_page_shows_it() -> None:
    """Goal: who writes a phone from docs/protocol/mobile-card.md signs the same bytes."""
    base_point = b"\x02" + sm2.GX.to_bytes(32)  # GY is even
    section = PAGE.partition("## 5. A phone's SM2 key")[2]
    shown = section.partition("```\n")[2].partition("```")[0]
    assert bytes.fromhex(shown) == statement(DEVICE, P256, base_point)
    assert f"| {len(CONTEXT)} | context |" in section


def test_it_proves_this_key_of_this_device_and_no_other() -> None:
    proof = KEY.sign(statement(*SAID))
    assert is_proven(*SAID, proof)
    assert not is_proven(DEVICE[:-1] + "r", P256, KEY.public_key, proof)
    assert not is_proven(DEVICE, b"\x02" + P256[1:], KEY.public_key, proof)
    assert not is_proven(DEVICE, P256, OTHER.public_key, proof)
    for altered in (proof[:-1], proof + b"\0", bytes(64), proof[32:] + proof[:32]):
        assert not is_proven(*SAID, altered)
    off_the_curve = b"\x02" + bytes(31) + b"\x05"
    assert not is_proven(DEVICE, P256, off_the_curve, proof)


def test_device_id_and_keys_cannot_run_into_each_other() -> None:
    """Goal: no two (device, keys) are one text; the keys have one length, the id no zero byte."""
    with pytest.raises(MalformedBytes, match="device_id"):
        statement("dev_1\x00", P256, KEY.public_key)


@pytest.mark.parametrize(
    "said",
    [
        ("", P256, KEY.public_key),
        ("d" * 65, P256, KEY.public_key),
        ("设备", P256, KEY.public_key),
        (DEVICE, P256[:-1], KEY.public_key),
        (DEVICE, sm2.uncompressed(KEY.public_key), KEY.public_key),
        (DEVICE, P256, b"\x04" + KEY.public_key[1:]),
    ],
    ids=("empty", "long", "not ascii", "short key", "whole point", "no sign"),
)
def test_what_is_no_device_or_key_has_no_statement(said: tuple[str, bytes, bytes]) -> None:
    with pytest.raises(MalformedBytes) as refused:
        statement(*said)
    assert refused.value.code == "device_key_malformed"


def test_no_context_begins_another() -> None:
    """Goal: what is signed for one purpose is never the beginning of another."""
    contexts = {CONTEXT, BODY_CONTEXT, PART_CONTEXT, CODE_CONTEXT, INFO_CONTEXT}
    assert len(contexts) == 5
    for one, other in combinations(contexts, 2):
        assert not one.startswith(other)
        assert not other.startswith(one)
