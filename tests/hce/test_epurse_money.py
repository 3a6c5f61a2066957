"""Load, purchase and proof: what must hold, in which order, and who is caught."""

from __future__ import annotations

from dataclasses import replace

import pytest

from card_protocol.apdu import CommandApdu
from card_protocol.epurse.commands import (
    DebitAnswer,
    Initialise,
    InitialisePurchaseAnswer,
)
from card_protocol.epurse.files import LogRecord
from card_protocol.epurse.suites import DES3, SM4_SUITE, mac_is
from card_protocol.epurse.transactions import TransactionKind
from hce.applets.epurse.state import Life, Rules
from tests.hce.epurse_bench import (
    BUS,
    COMPOUND,
    JOURNEY,
    MOMENT,
    PARKING,
    RAIL,
    SELECT,
    TERMINAL,
    bench,
    read,
    refusal,
)

BOTH = pytest.mark.parametrize("suite", [DES3, SM4_SUITE], ids=["3des", "sm4"])


@BOTH
def test_a_purchase_is_counted_logged_and_provable(suite):
    card = bench(suite)
    answer = card.pay(250)
    state = card.state
    assert (state.balance_fen, state.offline_atc, state.online_atc) == (4_750, 1, 0)
    log = LogRecord.decode(read(card, 0x18))
    assert log == LogRecord(1, 0, 250, 6, TERMINAL, MOMENT)
    proof = card.prove(TransactionKind.PURCHASE, 1)
    assert (proof.mac2, proof.tac) == (answer.mac2, answer.tac)


@BOTH
def test_a_load_is_counted_logged_and_provable(suite):
    card = bench(suite, online_atc=6)
    tac = card.load(3_000)
    state = card.state
    assert (state.balance_fen, state.offline_atc, state.online_atc) == (8_000, 0, 7)
    assert LogRecord.decode(read(card, 0x18)) == LogRecord(7, 0, 3_000, 2, TERMINAL, MOMENT)
    assert card.prove(TransactionKind.LOAD, 7).tac == tac


@BOTH
def test_a_compound_purchase_writes_all_its_records_with_the_money(suite):
    card = bench(suite)
    card.pay(0, JOURNEY, PARKING, RAIL, BUS)
    assert (card.state.balance_fen, card.state.offline_atc) == (5_000, 1)
    assert read(card, 0x1E) == JOURNEY.record
    assert read(card, 0x19) == PARKING.record
    assert read(card, 0x1A, 1) == BUS.record
    assert read(card, 0x1A, 2) == RAIL.record
    assert card.get("00B2AAC800") == PARKING.record  # by its id
    assert card.prove(COMPOUND, 1)


def test_nothing_is_written_before_debit():
    card = bench()
    before = card.state
    card.begin(100, COMPOUND)
    card.get(JOURNEY.to_apdu())
    card.get(PARKING.to_apdu())
    assert card.state is before
    card.select()
    assert card.state is before


def test_the_newest_record_is_the_first_and_the_oldest_falls_out():
    card = bench(balance_fen=100_000)
    for number in range(1, 34):
        card.pay(number, replace(JOURNEY, record=bytes((number,)) * 48))
    assert read(card, 0x1E, 1) == b"\x21" * 48
    assert read(card, 0x1E, 30) == b"\x04" * 48
    assert [LogRecord.decode(read(card, 0x18, at)).amount_fen for at in (1, 10)] == [33, 24]
    assert card.send("00B21FF400") == "6A83"


# --- order --------------------------------------------------------------------------------------


def test_a_second_debit_changes_nothing():
    card = bench()
    command, _, _ = card.debit_command(card.begin(100), 100)
    card.get(command)
    after = card.state
    assert card.send(command) == "6901"
    assert card.state is after


def test_initialise_twice_leaves_only_the_second():
    card = bench()
    first, _, _ = card.debit_command(card.begin(100), 100)
    second_offer = card.begin(200)
    assert card.send(first) == "9302"
    assert card.state.balance_fen == 5_000
    assert card.send(card.debit_command(second_offer, 200)[0]) == "6901"  # the wrong MAC ended it
    card.pay(200)
    assert card.state.balance_fen == 4_800


BETWEEN = {
    "select": (SELECT, "9000"),
    "select its folder": ("00A40000021001", "9000"),
    "select a file": ("00A40000020015", "9000"),
    "select no file": ("00A40000029999", "6A82"),
    "prove": ("805A000602000108", "9406"),
    "verify": ("0020000003123456", "9000"),
    "unknown": ("8099000000", "6D00"),
    "credit": ("805200000B2011122121482200000000 04", "6901"),
    "refused record": ("80DC00F001AA", "6901"),
    "other file": ("80DC00C017" + "00" * 23, "6901"),
}


@pytest.mark.parametrize(("between", "sw"), BETWEEN.values(), ids=BETWEEN)
def test_other_commands_end_a_transaction(between, sw):
    card = bench()
    command, _, _ = card.debit_command(card.begin(100), 100)
    assert card.send(between)[-4:] == sw
    assert card.send(command) == "6901"
    assert card.state.balance_fen == 5_000


@pytest.mark.parametrize(
    "between", ["00B0950000", "00B201F430", "805C000204", "0084000008", "00B0890000"]
)
def test_reads_and_challenges_may_stand_between(between):
    card = bench()
    command, _, _ = card.debit_command(card.begin(100), 100)
    card.send(between)
    assert card.send(command)[-4:] == "9000"


def test_power_off_ends_a_transaction():
    card = bench()
    command, _, _ = card.debit_command(card.begin(100), 100)
    card.card.power_off()
    card.select()
    assert card.send(command) == "6901"


def test_a_purchase_is_no_load_and_a_load_no_purchase():
    card = bench()
    credit = card.credit_command(100)
    assert card.send(card.debit_command(InitialisePurchaseAnswer.decode(bytes(15)), 100)[0]) == (
        "6901"
    )
    assert card.send(credit) == "6901"
    assert card.state.balance_fen == 5_000


# --- refusals -----------------------------------------------------------------------------------

REFUSALS = {
    "one fen too much": ({}, "805001020B01000013890011223344550F", "9401"),
    "all of it": ({}, "805001020B01000013880011223344550F", "9000"),
    "key index": ({}, "805001020B07000000010011223344550F", "9403"),
    "counter FFFF": ({"offline_atc": 0xFFFF}, "805001020B01000000010011223344550F", "9402"),
    "counter FFFE": ({"offline_atc": 0xFFFE}, "805001020B01000000010011223344550F", "9000"),
    "load counter FFFF": ({"online_atc": 0xFFFF}, "805000020B010000000100112233445510", "9402"),
    "load to the ceiling": ({}, "805000020B0100017318" + "00112233445510", "9000"),
    "load above the ceiling": ({}, "805000020B0100017319" + "00112233445510", "6985"),
    "load of all there is": ({}, "805000020B01FFFFFFFF" + "00112233445510", "6985"),
    "ED purchase": ({}, "805001010B01000000010011223344550F", "6A81"),
    "ED load": ({}, "805000010B010000000100112233445510", "6A81"),
    "cash": ({}, "805002010B01000000010011223344550F", "6A81"),
    "unload": ({}, "805005010B010000000100112233445510", "6A81"),
    "overdraft": ({}, "805004010B01000000010011223344550F", "6A81"),
    "debit for unload": ({}, "805403000B" + "00" * 11 + "04", "6A81"),
    "update overdraft": ({}, "8058000000", "6D00"),
    "another P1": ({}, "805006020B01000000010011223344550F", "6A86"),
    "another P2": ({}, "805001030B01000000010011223344550F", "6A86"),
    "short": ({}, "805001020A010000000100112233440F", "6700"),
    "long": ({}, "805001020C0100000001001122334455000F", "6700"),
    "debit P2": ({}, "805401010F" + "00" * 15 + "08", "6A86"),
    "debit short": ({}, "805401000E" + "00" * 14 + "08", "6700"),
    "debit alone": ({}, "805401000F" + "00" * 15 + "08", "6901"),
    "credit alone": ({}, "805200000B" + "00" * 11 + "04", "6901"),
    "record alone": ({}, "80DC00F030" + "00" * 48, "6901"),
    "proof of nothing": ({}, "805A000602000108", "9406"),
    "proof P1": ({}, "805A010602000108", "6A86"),
    "ED balance": ({}, "805C000104", "6A81"),
    "balance P1": ({}, "805C040204", "6A86"),
    "balance": ({}, "805C000204", "000013889000"),
    "balance without overdraft": ({}, "805C030204", "000013889000"),
    "balance in Guangzhou": ({}, "805C050204", "000013889000"),
    "overdraft limit": ({}, "805C010204", "000000009000"),
    "overdraft used": ({}, "805C020204", "000000009000"),
    "grey lock": ({}, "E07A000000", "6E00"),
}


@pytest.mark.parametrize(("start", "command", "answer"), REFUSALS.values(), ids=REFUSALS)
def test_words_for_money_commands(start, command, answer):
    card = bench(**start)
    before = card.state
    got = card.send(command)
    assert got.endswith(answer)
    assert card.state is before


def test_the_counter_ends_at_ffff():
    card = bench(offline_atc=0xFFFE)
    card.pay(1)
    assert card.state.offline_atc == 0xFFFF
    assert refusal(card.pay, 1) == "9402"
    card.load(1)
    assert card.state.balance_fen == 5_000


def test_a_load_may_need_the_pin():
    card = bench(rules=Rules(load_needs_pin=True))
    assert refusal(card.load, 100) == "6982"
    card.get("0020000003123456")
    card.load(100)
    card.select()
    assert refusal(card.load, 100) == "6982"


# --- MACs ---------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("at", [2, 3, 4, 10, 11, 14])
def test_one_bit_of_debit_changed(suite, at):
    card = bench(suite)
    command, _, _ = card.debit_command(card.begin(100), 100)
    data = bytearray(command.data)
    data[at] ^= 1
    assert card.send(replace(command, data=bytes(data))) == "9302"
    assert card.state.balance_fen == 5_000


def test_a_replayed_debit_is_refused_with_the_next_random_number():
    card = bench()
    old, _, _ = card.debit_command(card.begin(100), 100)
    card.get(old)
    card.begin(100)
    assert card.send(old) == "9302"
    assert card.state.balance_fen == 4_900


def test_a_replayed_debit_is_refused_even_with_the_same_random_number():
    """Goal: the counter alone makes a session new."""
    card = bench()
    card.random_bytes = bytes
    card.restart()
    card.select()
    old, _, _ = card.debit_command(card.begin(100), 100)
    card.get(old)
    card.begin(100)
    assert card.send(old) == "9302"


def test_a_debit_for_a_smaller_amount_is_refused():
    card = bench()
    command, _, _ = card.debit_command(card.begin(500), 1)
    assert card.send(command) == "9302"


def test_a_terminal_that_skips_mac2_still_leaves_a_purse_that_counted():
    """Goal: whoever does not look at the answer has the money taken once, and the proof stays."""
    card = bench()
    command, purchase, _ = card.debit_command(card.begin(100), 100)
    card.card.transmit(command.encode())  # the answer is thrown away
    card.select()
    offer = card.begin(100)
    assert offer.offline_atc == 1  # old + 1: it took place
    proof = card.prove(TransactionKind.PURCHASE, offer.offline_atc)
    assert mac_is(proof.tac, purchase.tac(card.suite, bytes.fromhex(TAC)))


TAC = "00112233445566778899AABBCCDDEEFF"


@BOTH
def test_a_clone_with_a_fixed_mac2_is_found_by_the_sam(suite):
    """Goal: a card without keys that repeats an answer it once overheard."""
    card = bench(suite)
    overheard = card.pay(100)
    offer = InitialisePurchaseAnswer(5_000, 1, 0, 1, suite.algorithm, b"\x01\x02\x03\x04")
    _, purchase, session_key = card.debit_command(offer, 100)
    clone_answer = DebitAnswer.decode(overheard.encode())
    assert not mac_is(clone_answer.mac2, purchase.mac2(suite, session_key))
    assert not mac_is(clone_answer.tac, purchase.tac(suite, bytes.fromhex(TAC)))
    for constant in (bytes(4), b"\xff" * 4):
        assert not mac_is(constant, purchase.mac2(suite, session_key))


def test_wrong_mac1_is_counted_where_the_issuer_wants_it():
    card = bench(rules=Rules(money_tries_max=3))
    for _ in range(2):
        card.begin(100)
        assert card.send("805401000F" + "00" * 15 + "08") == "9302"
    card.pay(100)  # a right one gives the tries back
    for _ in range(3):
        card.begin(100)
        assert card.send("805401000F" + "00" * 15 + "08") == "9302"
    assert card.state.life is Life.BLOCKED
    assert card.send(SELECT)[-4:] == "6283"
    assert refusal(card.begin, 100) == "6985"
    card.get(card.secured(CommandApdu(0x84, 0x18, 0, 0)))
    for _ in range(2):  # all tries are back
        card.begin(100)
        assert card.send("805401000F" + "00" * 15 + "08") == "9302"
    card.pay(100)


def test_wrong_mac2_of_a_load_makes_no_money():
    card = bench()
    credit = card.credit_command(1_000)
    wrong = replace(credit, data=credit.data[:-1] + bytes((credit.data[-1] ^ 1,)))
    assert card.send(wrong) == "9302"
    assert card.send(credit) == "6901"
    assert card.state.balance_fen == 5_000


# --- proof --------------------------------------------------------------------------------------


def test_a_proof_is_of_the_last_transaction_only_and_survives_power_and_initialise():
    card = bench()
    card.pay(100)
    last = card.pay(200)
    card.card.power_off()
    card.select()
    card.begin(300)
    assert card.prove(TransactionKind.PURCHASE, 2).tac == last.tac
    assert card.send("805A000602000108") == "9406"
    assert card.send("805A000902000208") == "9406"
    assert card.send("805A000602000308") == "9406"
    card.load(100)
    assert card.send("805A000602000208") == "9406"


def test_initialise_alone_changes_nothing_that_lasts():
    card = bench()
    before = card.state
    for kind in Initialise.KINDS.values():
        card.get(Initialise(kind, 1, 1, TERMINAL).to_apdu())
    assert card.state is before
