"""E-purse MACs by published worked examples with textbook keys (design B.1.13)."""

from __future__ import annotations

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from backend.keys.blocks import SM4, TRIPLE_DES, SoftwareBlock
from backend.keys.derivations import CommandMac, SessionMac, TacMac
from backend.keys.handles import software_handle
from backend.keys.purse import SUITES, card_key, purse_mac

KEY = bytes.fromhex("11223344556677888877665544332211")
DTK = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
SERIAL = bytes.fromhex("0479138120190718")
ISSUER = bytes.fromhex("01011000FFFFFFFF")
LOAD_SEED, PURCHASE_SEED = "1122334400008000", "1122334400000001"
LOAD_MAC1 = "00000000 00001000 {tti} 001122334455"
LOAD_MAC2 = "00001000 {tti} 001122334455 20111221214822"
PURCHASE_MAC1 = "00001000 {tti} 001122334455 20120229135100"
PURCHASE_MAC2 = "00001000"
PURCHASE_TAC = "00001000 {tti} 001122334455 00000001 20120229135100"
LOAD_TAC = "00001000 0000 00001000 02 001122334455 20111221214822"

SESSIONS = [
    (TRIPLE_DES, LOAD_SEED, "9B1D924E05595603"),
    (TRIPLE_DES, PURCHASE_SEED, "003238ABC57659DD"),
    (SM4, LOAD_SEED, "2BA8909BD617FF7DBC1316598E8BEF60"),
    (SM4, PURCHASE_SEED, "837A2D7BAD7148114F160172E17BD1E9"),
]
MACS = [
    (TRIPLE_DES, LOAD_SEED, LOAD_MAC1, "01", "2988AE5A"),
    (TRIPLE_DES, LOAD_SEED, LOAD_MAC2, "01", "3A845BF0"),
    (TRIPLE_DES, LOAD_SEED, LOAD_MAC1, "02", "A5638AA0"),
    (TRIPLE_DES, LOAD_SEED, LOAD_MAC2, "02", "FDD12AF1"),
    (TRIPLE_DES, PURCHASE_SEED, PURCHASE_MAC1, "06", "F15CAB75"),
    (TRIPLE_DES, PURCHASE_SEED, PURCHASE_MAC1, "09", "0E5AE1C1"),
    (TRIPLE_DES, PURCHASE_SEED, PURCHASE_MAC2, "06", "56988A13"),
    (SM4, LOAD_SEED, LOAD_MAC1, "02", "AE274668"),
    (SM4, LOAD_SEED, LOAD_MAC2, "02", "F83FF331"),
    (SM4, PURCHASE_SEED, PURCHASE_MAC1, "06", "9BAFBCAC"),
    (SM4, PURCHASE_SEED, PURCHASE_MAC2, "06", "B05BF7F7"),
]
TACS = [
    (TRIPLE_DES, PURCHASE_TAC, "06", "B3A0D49C"),
    (TRIPLE_DES, PURCHASE_TAC, "09", "3C07F9C0"),
    (TRIPLE_DES, LOAD_TAC, "02", "422E9358"),
    (SM4, PURCHASE_TAC, "06", "30DF7104"),
]


class _CardKey:
    """Answers for a master whose card key is given: the examples begin with the card's."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt_blocks(self, blocks: bytes) -> bytes:
        assert blocks[:8] == SERIAL
        return self._key

    def cmac(self, data: bytes) -> bytes:
        raise AssertionError(data)


def _data(text: str, tti: str) -> bytes:
    return bytes.fromhex(text.format(tti=tti))


@pytest.mark.parametrize(
    ("algorithm", "factors", "key"),
    [
        (TRIPLE_DES, (SERIAL,), "A208221480631DD0E95395F2EA40D955"),
        (TRIPLE_DES, (ISSUER, SERIAL), "9A4E348D9F653057DB877957061175A0"),
        (SM4, (SERIAL,), "BB56357B9EE82097828AFA13EA62E279"),
    ],
)
def test_diversification(algorithm: str, factors: tuple[bytes, ...], key: str) -> None:
    assert card_key(SoftwareBlock(algorithm, KEY), algorithm, factors).hex().upper() == key


@pytest.mark.parametrize(("algorithm", "seed", "key"), SESSIONS)
def test_session_keys(algorithm: str, seed: str, key: str) -> None:
    assert SUITES[algorithm].session_key(KEY, bytes.fromhex(seed)).hex().upper() == key


@pytest.mark.parametrize(("algorithm", "seed", "text", "tti", "mac"), MACS)
def test_session_macs(algorithm: str, seed: str, text: str, tti: str, mac: str) -> None:
    how = SessionMac((SERIAL,), bytes.fromhex(seed))
    assert purse_mac(_CardKey(KEY), algorithm, how, _data(text, tti)).hex().upper() == mac


@pytest.mark.parametrize(("algorithm", "text", "tti", "tac"), TACS)
def test_tacs(algorithm: str, text: str, tti: str, tac: str) -> None:
    made = purse_mac(_CardKey(DTK), algorithm, TacMac((SERIAL,)), _data(text, tti))
    assert made.hex().upper() == tac


def test_a_command_mac_is_the_retail_mac() -> None:
    """ISO 9797-1 algorithm 3: with two equal halves it is the plain CBC-MAC, else it is not."""
    how, command = CommandMac((SERIAL,), bytes.fromhex("11223344")), b"\x84\x1e\0\0\4"
    alike, half = _CardKey(KEY[:8] * 2), KEY[:8]
    start = how.challenge + bytes(4)
    padded = command + b"\x80" + bytes(-(len(command) + 1) % 8)
    single = Cipher(TripleDES(half * 3), modes.CBC(start)).encryptor()
    plain = single.update(padded)[-8:][:4]
    assert purse_mac(alike, TRIPLE_DES, how, command) == plain
    assert purse_mac(_CardKey(KEY), TRIPLE_DES, how, command) != plain
    longer = CommandMac((SERIAL,), how.challenge + bytes(4))
    assert purse_mac(_CardKey(KEY), SM4, longer, command) == purse_mac(
        _CardKey(KEY), SM4, how, command
    )


@pytest.mark.parametrize(
    ("algorithm", "key", "check_value"),
    [
        # 3DES and SM4: a block of zeros enciphered; all three computed with the openssl command.
        ("3des", "0123456789ABCDEFFEDCBA9876543210", "08D7B4"),
        # RFC 4493 key; CMAC over a block of zeros (ANSI X9.24-1:2017, Annex A).
        ("aes128", "2B7E151628AED2A6ABF7158809CF4F3C", "7AD386C376"),
        ("sm4", "0123456789ABCDEFFEDCBA9876543210", "2677F4"),
    ],
)
def test_check_values(algorithm: str, key: str, check_value: str) -> None:
    found = software_handle(algorithm, bytes.fromhex(key)).check_value()
    assert len(found) == (5 if algorithm == "aes128" else 3)
    assert found.hex().upper() == check_value
