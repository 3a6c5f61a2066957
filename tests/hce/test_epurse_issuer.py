"""PIN, authentication and blocking: tries, order, and that there is a way back or none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from card_protocol.apdu import CommandApdu
from card_protocol.epurse.commands import change_pin, reload_pin
from card_protocol.epurse.secured import reload_pin_mac
from card_protocol.epurse.suites import DES3, SM4_SUITE, challenge_as_block
from hce.applets.epurse.state import KeyKind, Life, Rules
from tests.hce.epurse_bench import KEYS, PIN, SELECT, Bench, bench, refusal

BOTH = pytest.mark.parametrize("suite", [DES3, SM4_SUITE], ids=["3des", "sm4"])
RIGHT, WRONG, NEW = "0020000003123456", "0020000003123457", bytes.fromhex("777777")
BLOCK, UNBLOCK = CommandApdu(0x84, 0x1E, 0, 0), CommandApdu(0x84, 0x18, 0, 0)
LOCK, CARD_BLOCK = CommandApdu(0x84, 0x1E, 0, 1), CommandApdu(0x84, 0x16, 0, 0)
BALANCE = "805C000204"


# --- PIN ----------------------------------------------------------------------------------------


def test_three_wrong_pins_and_the_right_one_comes_too_late():
    card = bench()
    assert [card.send(WRONG) for _ in range(2)] == ["63C2", "63C1"]
    assert card.send(RIGHT) == "9000"
    assert [card.send(WRONG) for _ in range(3)] == ["63C2", "63C1", "63C0"]
    assert card.send(RIGHT) == "6983"
    card.card.power_off()
    card.select()
    assert card.send(RIGHT) == "6983"


def test_tries_are_gone_before_the_answer():
    """Goal: power cut after a wrong PIN gives no try back; the store has it by then."""
    card = bench()
    card.send(WRONG)
    kept = card.store.view()
    assert kept.pin.failures == 1
    assert Bench(card.store).select().send(WRONG) == "63C1"


@pytest.mark.parametrize(
    ("command", "sw"),
    [
        ("0020000000", "6700"),
        ("002000000112", "6700"),
        ("00200000071234567890FFFF", "6700"),
        ("0020000103123456", "6A86"),
        ("002000000212FF", "63C2"),
    ],
)
def test_words_for_verify(command, sw):
    assert bench().send(command) == sw


def test_the_holder_changes_the_pin():
    card = bench()
    assert card.send(change_pin(bytes.fromhex("999999"), NEW)) == "63C2"
    assert card.send(change_pin(PIN, NEW)) == "9000"
    assert card.send(RIGHT) == "63C2"
    assert card.send("0020000003777777") == "9000"
    assert card.send("805E010003777777") == "6A80"  # no separator
    assert card.send("805E010006777777FFABCD") == "6A80"
    assert card.send("805E020007777777FF123456") == "6A86"


@BOTH
def test_the_issuer_reloads_the_pin(suite):
    card = bench(suite)
    for _ in range(3):
        card.send(WRONG)
    mac = reload_pin_mac(suite, KEYS[KeyKind.PIN_RELOAD], NEW)
    wrong = bytes((mac[0] ^ 1,)) + mac[1:]
    assert card.send(reload_pin(NEW, wrong)) == "9302"
    assert card.send(RIGHT) == "6983"
    assert card.send(reload_pin(NEW, mac)) == "9000"
    assert card.send("0020000003777777") == "9000"
    assert card.send("805E0000051234567800") == "6700"


def test_a_dead_reload_key_reloads_no_more():
    card = bench()
    for _ in range(3):
        assert card.send(reload_pin(NEW, bytes(4))) == "9302"
    mac = reload_pin_mac(DES3, KEYS[KeyKind.PIN_RELOAD], NEW)
    assert card.send(reload_pin(NEW, mac)) == "6983"
    assert card.state.life is Life.ACTIVE


@BOTH
def test_the_issuer_unblocks_the_pin(suite):
    card = bench(suite)
    for _ in range(3):
        card.send(WRONG)
    card.get(card.secured(CommandApdu(0x84, 0x24, 0, 0), KeyKind.PIN_UNBLOCK))
    assert card.send(RIGHT) == "9000"
    sealed = suite.encrypt_data(KEYS[KeyKind.PIN_UNBLOCK], NEW)
    card.get(card.secured(CommandApdu(0x84, 0x24, 0, 1, sealed), KeyKind.PIN_UNBLOCK))
    assert card.send("0020000003777777") == "9000"
    assert card.send(card.secured(CommandApdu(0x84, 0x24, 0, 0))) == "6988"  # another key's MAC
    not_a_pin = suite.encrypt_data(KEYS[KeyKind.PIN_UNBLOCK], b"\xab\xcd")
    command = CommandApdu(0x84, 0x24, 0, 1, not_a_pin)
    assert card.send(card.secured(command, KeyKind.PIN_UNBLOCK)) == "6A80"


def test_a_purse_without_a_pin_says_so():
    card = bench(pin=None)
    assert card.send(RIGHT) == "6A88"
    unblock = card.secured(CommandApdu(0x84, 0x24, 0, 0), KeyKind.PIN_UNBLOCK)
    assert card.send(unblock) == "6A88"


def test_a_wrong_pin_takes_back_what_the_right_one_opened():
    card = bench(rules=Rules(load_needs_pin=True))
    card.get(RIGHT)
    card.load(100)
    card.send(WRONG)
    assert refusal(card.load, 100) == "6982"
    card.get(RIGHT)
    card.load(100)


def test_a_wrong_authentication_takes_back_what_the_right_one_opened():
    card = bench()
    update = CommandApdu(0x00, 0xD6, 0x96, 0, b"\x41")
    for flaw, sw in ((0, "9000"), (1, "6982")):
        challenge = card.get("0084000008")
        proof = DES3.encrypt_block(KEYS[KeyKind.EXTERNAL], challenge)
        card.send(CommandApdu(0x00, 0x82, 0, 1, bytes((proof[0] ^ flaw,)) + proof[1:]))
        assert card.send(update) == sw


# --- challenge and authentication ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "sw"),
    [
        ("0084000004", "9000"),
        ("0084000008", "9000"),
        ("0084000010", "9000"),
        ("0084000000", "6700"),
        ("0084000007", "6700"),
        ("00840000", "6700"),
        ("0084010004", "6A86"),
        ("0084000001AA04", "6700"),
    ],
)
def test_words_for_get_challenge(command, sw):
    answer = bench().send(command)
    assert answer.endswith(sw)
    assert len(answer) == (4 if sw != "9000" else 2 * int(command[-2:], 16) + 4)


@BOTH
def test_internal_authentication_proves_the_key(suite):
    card = bench(suite)
    text = bytes(range(suite.block_bytes))
    answer = card.get(CommandApdu(0x00, 0x88, 0, 1, text, 256))
    assert answer == suite.encrypt_block(KEYS[KeyKind.INTERNAL], text)
    assert card.send(CommandApdu(0x00, 0x88, 0, 2, text)) == "9403"
    assert card.send(CommandApdu(0x00, 0x88, 0, 1, text[1:])) == "6700"


@BOTH
@pytest.mark.parametrize("challenge_bytes", [4, 8, 16])
def test_external_authentication(suite, challenge_bytes):
    card = bench(suite)
    key = KEYS[KeyKind.EXTERNAL]

    def attempt(flaw: int = 0) -> str:
        challenge = card.get(CommandApdu(0x00, 0x84, 0, 0, b"", challenge_bytes))
        block = challenge_as_block(challenge, suite.block_bytes)
        proof = suite.encrypt_block(key, block)
        return card.send(CommandApdu(0x00, 0x82, 0, 1, bytes((proof[0] ^ flaw,)) + proof[1:]))

    assert card.send(CommandApdu(0x00, 0x82, 0, 1, bytes(suite.block_bytes))) == "6985"
    assert [attempt(1), attempt(1), attempt(0)] == ["63C2", "63C1", "9000"]
    assert [attempt(1), attempt(1), attempt(1)] == ["63C2", "63C1", "63C0"]
    assert attempt(0) == "6983"


# --- blocking -----------------------------------------------------------------------------------


@BOTH
def test_block_and_unblock(suite):
    card = bench(suite)
    card.get(card.secured(BLOCK))
    card.restart()
    face = card.send(SELECT)
    assert face.startswith("6F31")
    assert face.endswith("6283")
    assert card.send(BALANCE) == "000013889000"  # reads still answer
    assert card.send("00B095001E")[-4:] == "9000"
    for refused in (RIGHT, "805001020B01000000010011223344550F", "00D6960001AA"):
        assert card.send(refused) == "6985"
    assert card.send(card.secured(BLOCK)) == "6985"
    card.get(card.secured(UNBLOCK))
    assert card.send(card.secured(UNBLOCK)) == "6985"
    assert card.send(SELECT)[-4:] == "9000"
    card.pay(100)


def test_a_permanent_block_has_no_way_back():
    card = bench()
    unblock_later = card.secured(LOCK)
    card.get(unblock_later)
    for command in (BALANCE, "0084000004", UNBLOCK, RIGHT, "00B0950000", "00A40000020015"):
        assert card.send(command) == "9303"
    card.restart()
    assert card.send(SELECT) == "9303"
    assert card.send(BALANCE) == "6D00"  # nothing is selected
    assert card.state.balance_fen == 5_000


def test_a_blocked_application_can_be_locked_for_ever():
    card = bench()
    card.get(card.secured(BLOCK))
    card.get(card.secured(LOCK))
    assert card.send(SELECT) == "9303"


def test_a_blocked_card_answers_6a81():
    card = bench()
    card.get(card.secured(CARD_BLOCK))
    assert card.send(BALANCE) == "6A81"
    assert card.send(SELECT) == "6A81"


def test_wrong_orders_lock_the_application_for_ever():
    card = bench()
    for _ in range(3):
        assert card.send(card.secured(BLOCK, KeyKind.PURCHASE)) == "6988"
    assert card.state.life is Life.LOCKED
    assert card.send(SELECT) == "9303"


def test_tries_that_are_not_counted_lock_nothing():
    card = bench(rules=Rules(key_tries_max=0))
    for _ in range(20):
        assert card.send(card.secured(BLOCK, KeyKind.PURCHASE)) == "6988"
    assert card.state.life is Life.ACTIVE


@pytest.mark.parametrize(
    ("command", "sw"),
    [
        (CommandApdu(0x84, 0x1E, 0, 2), "6A86"),
        (CommandApdu(0x84, 0x1E, 1, 0), "6A86"),
        (CommandApdu(0x84, 0x18, 0, 1), "6A86"),
        (CommandApdu(0x84, 0x18, 0, 0), "6985"),
        (CommandApdu(0x84, 0x1E, 0, 0, b"\x01"), "6700"),
        (CommandApdu(0x84, 0x24, 0, 2), "6A86"),
        (CommandApdu(0x84, 0x24, 0, 0, b"\x01"), "6988"),
    ],
)
def test_words_for_orders(command, sw):
    card = bench()
    assert card.send(card.secured(command)) == sw
    assert card.state.life is Life.ACTIVE


def test_a_mac_that_is_too_short_or_missing():
    card = bench()
    card.get("0084000004")
    assert card.send("841E000003AABBCC") == "6700"
    assert card.send("841E0000") == "6700"


def test_an_order_ends_a_transaction():
    card = bench()
    debit, _, _ = card.debit_command(card.begin(100), 100)
    assert card.send(replace(BLOCK, data=bytes(4))) == "6985"
    assert card.send(debit) == "6901"
