"""The purse's arithmetic against every vector, published or computed, in both suites."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes

from card_protocol.apdu import CommandApdu
from card_protocol.epurse.secured import reload_pin_mac, secure, secured_input
from card_protocol.epurse.suites import (
    DES3,
    SM4_SUITE,
    challenge_as_block,
    diversify_levels,
    get_suite,
    mac_is,
    pad,
)
from card_protocol.epurse.transactions import (
    Load,
    Purchase,
    TransactionKind,
    load_session_key,
    purchase_session_key,
)
from card_protocol.errors import MalformedBytes

VECTORS = Path(__file__).parent / "vectors"
ALL = json.loads((VECTORS / "epurse.json").read_text("utf-8"))
TRIPLE, SM = ALL["des3"], ALL["sm4"]
STANDARD = json.loads((VECTORS / "sm_algorithms.json").read_text("utf-8"))
KEY = bytes.fromhex("11223344556677888877665544332211")
DTK = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
TERMINAL = bytes.fromhex("001122334455")
LOADED_AT = bytes.fromhex("20111221214822")
BOUGHT_AT = bytes.fromhex("20120229135100")
RANDOM = bytes.fromhex("11223344")
SERIAL = bytes.fromhex("00000001")
SUITES = pytest.mark.parametrize("suite", [DES3, SM4_SUITE], ids=["3des", "sm4"])


def hexed(body: bytes) -> str:
    return body.hex().upper()


@pytest.mark.parametrize(
    ("suite", "kind", "vector"),
    [
        (DES3, TransactionKind.ED_LOAD, TRIPLE["load"]),
        (DES3, TransactionKind.LOAD, TRIPLE["load"] | TRIPLE["load_tti02"]),
        (SM4_SUITE, TransactionKind.LOAD, SM["load"]),
    ],
    ids=["published", "3des", "sm4"],
)
def test_load(suite, kind, vector):
    session_key = load_session_key(suite, KEY, RANDOM, 0)
    assert hexed(session_key) == vector["session_key"]
    load = Load(0x1000, TERMINAL, LOADED_AT, kind)
    assert hexed(load.mac1(suite, session_key, 0)) == vector["MAC1"]
    assert hexed(load.mac2(suite, session_key)) == vector["MAC2"]


def test_load_tac():
    load = Load(0x1000, TERMINAL, LOADED_AT)
    assert hexed(load.tac(DES3, DTK, 0x1000, 0)) == TRIPLE["load_tac"]["TAC"]


@pytest.mark.parametrize(
    ("suite", "kind", "vector"),
    [
        (DES3, TransactionKind.PURCHASE, TRIPLE["purchase"]),
        (SM4_SUITE, TransactionKind.PURCHASE, SM["purchase"]),
        (
            DES3,
            TransactionKind.COMPOUND_PURCHASE,
            TRIPLE["purchase"] | TRIPLE["capp_purchase_mac1"],
        ),
    ],
    ids=["published", "sm4", "compound"],
)
def test_purchase(suite, kind, vector):
    session_key = purchase_session_key(suite, KEY, RANDOM, 0, SERIAL)
    assert hexed(session_key) == vector["session_key"]
    purchase = Purchase(0x1000, TERMINAL, SERIAL, BOUGHT_AT, kind)
    assert hexed(purchase.mac1(suite, session_key)) == vector["MAC1"]
    assert hexed(purchase.mac2(suite, session_key)) == vector["MAC2"]


def test_purchase_tac():
    vector = TRIPLE["purchase_tac"]
    kinds = {
        (DES3, TransactionKind.PURCHASE): vector["TAC"],
        (DES3, TransactionKind.COMPOUND_PURCHASE): vector["TAC_with_tti_09"],
        (SM4_SUITE, TransactionKind.PURCHASE): SM["purchase_tac"]["TAC"],
    }
    for (suite, kind), tac in kinds.items():
        purchase = Purchase(0x1000, TERMINAL, SERIAL, BOUGHT_AT, kind)
        assert hexed(purchase.tac(suite, DTK)) == tac


def test_the_tac_key_is_the_fold_of_both_halves():
    folded = bytes.fromhex(TRIPLE["tac_key"]["left_xor_right"])
    assert DES3.tac(DTK, b"any") == DES3.mac(folded, b"any")


def test_diversification():
    factor = bytes.fromhex(TRIPLE["diversify"]["factor8"])
    assert hexed(DES3.diversify(KEY, factor)) == TRIPLE["diversify"]["DK"]
    assert hexed(SM4_SUITE.diversify(KEY, factor)) == SM["diversify"]["DK"]
    two = TRIPLE["diversify_two_level"]
    factors = [bytes.fromhex(two["factor_first"]), bytes.fromhex(two["factor_second"])]
    assert hexed(diversify_levels(DES3, KEY, factors)) == two["DK"]
    assert diversify_levels(DES3, KEY, []) == KEY


def test_emv_keys_and_cryptogram():
    """Goal: the published example of the bank world, made of the same blocks."""
    vector = TRIPLE["emv_ac_key"]
    master, number = bytes.fromhex(vector["MDK"]), bytes.fromhex(vector["Y"])
    card_key = DES3.diversify(master, number)
    assert hexed(card_key) == vector["UDK_no_parity"]
    atc = bytes.fromhex(vector["atc"])
    seeds = bytes(6) + atc, bytes(6) + bytes(byte ^ 0xFF for byte in atc)
    parts = [DES3.encrypt_block(card_key, seed) for seed in seeds]
    assert hexed(b"".join(parts)) == vector["session_key"]
    session_key = bytes.fromhex(vector["session_key"])
    request, code = bytes.fromhex(vector["ARQC"]), bytes.fromhex(vector["ARC"])
    block = (int.from_bytes(request) ^ int.from_bytes(code + bytes(6))).to_bytes(8)
    assert hexed(DES3.encrypt_block(session_key, block)) == vector["ARPC"]


def test_sm4_standard_example():
    vector = STANDARD["sm4_ecb"]
    key, plain = bytes.fromhex(vector["key"]), bytes.fromhex(vector["plain"])
    assert hexed(SM4_SUITE.encrypt_block(key, plain)) == vector["cipher"]


def test_single_des_standard_example():
    """Goal: a fourth opinion on DES itself, the worked example of FIPS 46 textbooks."""
    key, plain = bytes.fromhex("133457799BBCDFF1"), bytes.fromhex("0123456789ABCDEF")
    assert hexed(DES3.encrypt_block(key * 2, plain)) == "85E813540F0AB405"


@pytest.mark.parametrize(
    ("text", "mac"),
    [("Now is the time for all ", "E9086230"), ("Now is the time for it", "5A692CE6")],
)
def test_retail_mac_published_examples(text, mac):
    """Goal: algorithm 3 with padding method 2 against the annex of ISO/IEC 9797-1."""
    key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    assert hexed(DES3.command_mac(key, bytes(8), text.encode("ascii"))) == mac


@pytest.mark.parametrize(
    ("size", "padded_bytes"), [(0, 8), (1, 8), (7, 8), (8, 16), (9, 16), (16, 24)]
)
def test_padding_is_always_there(size, padded_bytes):
    padded = pad(b"\xaa" * size, 8)
    assert len(padded) == padded_bytes
    assert padded[size:] == b"\x80" + bytes(padded_bytes - size - 1)


@SUITES
def test_command_mac_covers_header_length_data_and_challenge(suite):
    command = CommandApdu(0x04, 0xD6, 0x95, 0x1C, b"\x12\x34")
    secured = secure(command, suite, KEY, b"\x01\x02\x03\x04")
    assert secured.data[:-4] == command.data
    assert secured.header == command.header
    covered = secured_input(command.header, command.data)
    assert covered == bytes.fromhex("04D6951C061234")
    macs = {
        suite.command_mac(KEY, b"\x01\x02\x03\x04", covered),
        suite.command_mac(KEY, b"\x01\x02\x03\x05", covered),
        suite.command_mac(KEY, b"\x01\x02\x03\x04", b"\x84" + covered[1:]),
        suite.command_mac(KEY, b"\x01\x02\x03\x04", covered[:-1] + b"\x35"),
        suite.command_mac(DTK, b"\x01\x02\x03\x04", covered),
    }
    assert secured.data[-4:] in macs
    assert len(macs) == 5


@SUITES
@pytest.mark.parametrize("size", [0, 1, 6, 7, 8, 14, 15, 16, 31, 254])
def test_encrypted_data_comes_back(suite, size):
    data = bytes(range(size))
    body = suite.encrypt_data(KEY, data)
    assert len(body) % suite.block_bytes == 0
    assert body != data
    assert suite.decrypt_data(KEY, body) == data


@SUITES
def test_a_full_block_without_padding_is_read_too(suite):
    """Goal: hosts that pad only where needed, as some standards' texts say."""
    data = bytes(suite.block_bytes - 1)
    block = bytes((len(data),)) + data
    assert suite.decrypt_data(KEY, suite.encrypt_block(KEY, block)) == data


@SUITES
@pytest.mark.parametrize("plain", ["FF", "0141AA", "0141800001", "00"], ids=str)
def test_wrong_padding_is_refused(suite, plain):
    block = bytes.fromhex(plain).ljust(suite.block_bytes, b"\x00")
    with pytest.raises(MalformedBytes):
        suite.decrypt_data(KEY, suite.encrypt_block(KEY, block))


@SUITES
def test_wrong_lengths_are_refused(suite):
    for call in (
        lambda: suite.diversify(KEY[:8], bytes(8)),
        lambda: suite.diversify(KEY, bytes(7)),
        lambda: suite.session_key(KEY, bytes(9)),
        lambda: suite.tac(KEY + b"\x00", b""),
        lambda: suite.mac(KEY + b"\x00", b""),
        lambda: suite.encrypt_block(KEY, bytes(7)),
        lambda: suite.decrypt_data(KEY, b""),
        lambda: suite.decrypt_data(KEY, bytes(9)),
        lambda: suite.encrypt_data(KEY, bytes(255)),
        lambda: suite.command_mac(KEY, bytes(5), b""),
    ):
        with pytest.raises(MalformedBytes):
            call()


def test_a_challenge_is_filled_or_cut_to_a_block():
    assert challenge_as_block(b"\x01" * 4, 8) == b"\x01" * 4 + bytes(4)
    assert challenge_as_block(b"\x01" * 16, 8) == b"\x01" * 8
    assert challenge_as_block(b"\x01" * 8, 16) == b"\x01" * 8 + bytes(8)


def test_suites_by_their_byte():
    assert get_suite(0x00) is DES3
    assert get_suite(0x04) is SM4_SUITE
    with pytest.raises(MalformedBytes):
        get_suite(0x01)


def test_reload_pin_mac_is_a_tac_over_the_new_pin():
    assert reload_pin_mac(DES3, DTK, b"\x12\x34") == DES3.tac(DTK, b"\x12\x34")


def test_macs_are_compared_whole():
    assert mac_is(b"\x01\x02\x03\x04", b"\x01\x02\x03\x04")
    assert not mac_is(b"\x01\x02\x03", b"\x01\x02\x03\x04")
    assert not mac_is(b"\x01\x02\x03\x05", b"\x01\x02\x03\x04")


def test_sm3_standard_examples():
    """Goal: the build of OpenSSL at hand has SM3 right: alone, and as SM2 signatures use it."""

    def sm3(body: bytes) -> str:
        digest = hashes.Hash(hashes.SM3())
        digest.update(body)
        return hexed(digest.finalize())

    assert sm3(STANDARD["sm3"]["message_ascii"].encode()) == STANDARD["sm3"]["digest"]
    vector = STANDARD["sm2_sign"]
    message = bytes.fromhex(vector["Za"]) + vector["message_ascii"].encode()
    assert sm3(message) == vector["e"]
