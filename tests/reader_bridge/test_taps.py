"""Taps byte by byte on the loopback reader, and cards that do not behave."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_protocol import tlv
from card_protocol.mobile_card import (
    EPURSE_AID,
    MOBILE_CARD_AID,
    PDOL,
    GpoResponse,
    IssuerApplicationData,
    Suite,
    TransactionData,
    TransactionType,
)
from hce.card import Card
from hce.state import CardState
from hce.store import MemoryCardStore
from reader_bridge.exchange import FOLLOW_UPS_MAX, TAP_SECONDS_MAX, Exchange
from reader_bridge.faults import CardFault, ReaderFault
from reader_bridge.kernels import mobile_card
from reader_bridge.readers.loopback import LoopbackReader
from tests.reader_bridge.support import (
    ACCEPTED,
    MERCHANT_NUMBER,
    NOW,
    TERMINAL_NUMBER,
    TOKEN_NUMBER,
    CardKit,
)

SALE = TransactionData(
    amount_fen=1250,
    date=bytes.fromhex("260921"),
    time=bytes.fromhex("213320"),
    transaction_type=TransactionType.PURCHASE,
    unpredictable_number=bytes.fromhex("01020304"),
    terminal_number=TERMINAL_NUMBER,
    merchant_number=MERCHANT_NUMBER,
)
SALE_HEX = (
    "000000001250" "0156" "260921" "213320" "00" "01020304"
    "3030303130303031" "313034303030303030303030303031"
).upper()  # fmt: skip
KIT = CardKit()


def tap(card, accepted=ACCEPTED, keys=None):
    channel = LoopbackReader(card).wait_for_card(0)
    assert channel is not None
    return mobile_card.tap(
        Exchange(channel), SALE, accepted, KIT.issuer_keys() if keys is None else keys
    )


def recorded(card):
    """The card, and what went over the air."""
    lines: list[tuple[str, bytes]] = []

    def transmit(command: bytes) -> bytes:
        answer = card(command)
        lines.append((command.hex().upper(), answer))
        return answer

    return transmit, lines


def altered(card, ins: int, change):
    """The card, with its answers to one instruction changed on the way."""
    return lambda command: change(card(command)) if command[1] == ins else card(command)


def test_transcript_of_a_tap():
    transmit, lines = recorded(KIT.card().transmit)
    proof = tap(transmit)
    assert [command for command, _ in lines] == [
        "00A404000E325041592E5359532E444446303100",
        "00A404000AF043495459434152440100",
        "80A800002C832A" + SALE_HEX + "00",
        "00B2010C00",
    ]
    assert all(answer[-2:] == b"\x90\x00" for _, answer in lines)
    assert proof.pdol_data == SALE.encode() == bytes.fromhex(SALE_HEX)
    assert proof.gpo_response == lines[2][1][:-2]
    assert proof.certificate.encode() == lines[3][1][:-2]
    assert proof.certificate.token_number == TOKEN_NUMBER
    assert proof.application.label == "CITY CARD"
    assert KIT.is_genuine(proof.pdol_data, proof.gpo_response)


def test_one_time_is_recorded_per_command():
    ticks = iter(range(0, 10_000, 1))
    channel = LoopbackReader(KIT.card().transmit).wait_for_card(0)
    assert channel is not None
    exchange = Exchange(channel, lambda: next(ticks) / 1000)
    mobile_card.tap(exchange, SALE, ACCEPTED, KIT.issuer_keys())
    assert [(timing.name, timing.milliseconds) for timing in exchange.timings] == [
        ("select_directory", 2.0),
        ("select_application", 2.0),
        ("get_processing_options", 2.0),
        ("read_record", 2.0),
    ]


def test_the_terminals_priority_decides_not_the_cards_order():
    KIT.card()
    other = bytes.fromhex("F0434954594341524402")
    card = Card([KIT.applet(), KIT.applet(aid=other, label="SECOND")])
    first, second = ACCEPTED[1], mobile_card.AcceptedApplication(other, "SECOND", 1)
    assert tap(card.transmit, (first, second)).application is second
    assert tap(card.transmit, (first, replace(second, priority=3))).application is first


def test_an_application_that_is_gone_gives_way_to_the_next():
    KIT.card()
    other = bytes.fromhex("F0434954594341524402")
    card = Card([KIT.applet(), KIT.applet(aid=other, label="SECOND")])
    second = mobile_card.AcceptedApplication(other, "SECOND", 3)

    def transmit(command: bytes) -> bytes:
        return b"\x6a\x82" if MOBILE_CARD_AID in command[:16] else card.transmit(command)

    assert tap(transmit, (ACCEPTED[1], second)).application is second


@pytest.mark.parametrize(
    ("pdol", "values", "expected"),
    [
        ("9F0206", {0x9F02: "000000001250"}, "000000001250"),
        ("9F0204", {0x9F02: "000000001250"}, "00001250"),
        ("9F0207", {0x9F02: "000000001250"}, "00000000001250"),
        ("9F1C04", {0x9F1C: "4142434445"}, "41424344"),
        ("9F1C07", {0x9F1C: "4142434445"}, "41424344450000"),
        ("9F6604", {}, "00000000"),
        ("9A039F6602", {0x9A: "260921"}, "2609210000"),
    ],
)
def test_pdol_rules_of_emv(pdol, values, expected):
    data = {tag: bytes.fromhex(value) for tag, value in values.items()}
    assert mobile_card.build_pdol_data(bytes.fromhex(pdol), data).hex() == expected


FOREIGN_PDOLS = {
    "unknown tag besides": PDOL + bytes.fromhex("9F6604"),
    "without the amount": PDOL[3:],
    "another order": PDOL[3:] + PDOL[:3],
    "shorter amount": bytes((0x9F, 0x02, 5)) + PDOL[3:],
}


@pytest.mark.parametrize("pdol", FOREIGN_PDOLS.values(), ids=FOREIGN_PDOLS.keys())
def test_a_card_that_asks_for_something_else_spends_no_counter(pdol):
    card = KIT.card()

    def other_fci(answer: bytes) -> bytes:
        if PDOL not in answer:
            return answer
        name = tlv.Tlv(0x84, MOBILE_CARD_AID)
        face = tlv.Tlv(0xA5, tlv.encode([tlv.Tlv(0x50, b"CITY CARD"), tlv.Tlv(0x9F38, pdol)]))
        return tlv.Tlv(0x6F, tlv.encode([name, face])).encode() + b"\x90\x00"

    with pytest.raises(CardFault) as caught:
        tap(altered(card.transmit, 0xA4, other_fci))
    assert caught.value.code == "card_request_unknown"
    assert KIT.store.change(lambda state: state).atc == 0


def gpo_changed(change):
    def on_the_way(answer: bytes) -> bytes:
        return change(GpoResponse.decode(answer[:-2])).encode() + b"\x90\x00"

    return altered(KIT.card().transmit, 0xA8, on_the_way)


def other_token(gpo):
    return KIT.signed_again(replace(gpo, token_number="8800123456789012359"), SALE.encode())


def sm_suite(gpo):
    iad = IssuerApplicationData(Suite.SM4_SM2, 1, 1, gpo.iad.holder_check)
    return replace(gpo, iad=iad)


UNTRUE_ANSWERS = {
    "atc": (lambda gpo: replace(gpo, atc=gpo.atc + 1), "signature_invalid"),
    "cryptogram": (lambda gpo: replace(gpo, cryptogram=bytes(8)), "signature_invalid"),
    "signature": (lambda gpo: replace(gpo, signature=bytes(64)), "signature_invalid"),
    "token": (other_token, "certificate_of_another_card"),
    "suite": (sm_suite, "card_suite_unknown"),
    "records": (lambda gpo: replace(gpo, afl=b"\x08\x02\x02\x00"), "card_declined"),
    "afl of sfi 0": (lambda gpo: replace(gpo, afl=bytes(4)), "card_answer_malformed"),
    "afl backwards": (lambda gpo: replace(gpo, afl=b"\x08\x05\x01\x00"), "certificate_missing"),
}


@pytest.mark.parametrize(("change", "code"), UNTRUE_ANSWERS.values(), ids=UNTRUE_ANSWERS.keys())
def test_a_changed_answer_is_refused_before_any_network(change, code):
    with pytest.raises(CardFault) as caught:
        tap(gpo_changed(change))
    assert caught.value.code == code


def test_a_certificate_of_an_issuer_key_we_know_must_be_signed_by_it():
    stranger = CardKit(device=KIT.device)
    card = KIT.card(stranger.certificate())
    with pytest.raises(CardFault, match="certificate_not_genuine"):
        tap(card.transmit)
    unknown_index = KIT.card(stranger.certificate(issuer_key_index=9))
    assert tap(unknown_index.transmit).certificate.issuer_key_index == 9


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (NOW - 86_401, "certificate_not_yet_valid"),
        (NOW - 86_400, None),
        (NOW + 86_400, None),
        (NOW + 86_401, "certificate_expired"),
    ],
)
def test_validity_includes_both_ends(at, code):
    if code is None:
        mobile_card.require_valid_at(KIT.certificate(), at)
    else:
        with pytest.raises(CardFault, match=code):
            mobile_card.require_valid_at(KIT.certificate(), at)


def only_purse(command: bytes) -> bytes:
    entry = tlv.Tlv(0x61, tlv.encode([tlv.Tlv(0x4F, EPURSE_AID), tlv.Tlv(0x87, b"\x01")]))
    discretionary = tlv.Tlv(0xA5, tlv.Tlv(0xBF0C, entry.encode()).encode())
    return tlv.Tlv(0x6F, discretionary.encode()).encode() + b"\x90\x00"


def large(command: bytes) -> bytes:
    return bytes(70_000) + b"\x90\x00"


def in_turns(command: bytes) -> bytes:
    return b"\x6c\x10" if command[1] == 0xC0 else b"\x61\x10"


def drip(command: bytes) -> bytes:
    return bytes(256) + b"\x61\x00"


SILLY_CARDS = {
    "nothing": (lambda _: b"", "card_answer_malformed"),
    "one byte": (lambda _: b"\x90", "card_answer_malformed"),
    "no such status word": (lambda _: b"\x00\x00", "card_answer_malformed"),
    "no directory": (lambda _: b"\x6a\x82", "card_foreign"),
    "declines": (lambda _: b"\x69\x85", "card_declined"),
    "9000 and nothing": (lambda _: b"\x90\x00", "card_answer_malformed"),
    "only a purse": (only_purse, "application_missing"),
    "61 for ever": (lambda _: b"\x61\x10", "card_answer_endless"),
    "6C for ever": (lambda _: b"\x6c\x10", "card_answer_endless"),
    "61 and 6C in turns": (in_turns, "card_answer_endless"),
    "huge": (large, "card_answer_too_long"),
    "256 bytes again and again": (drip, "card_answer_too_long"),
}  # fmt: skip


@pytest.mark.parametrize(("card", "code"), SILLY_CARDS.values(), ids=SILLY_CARDS.keys())
def test_a_hostile_card_costs_one_refusal_and_few_commands(card, code):
    transmit, lines = recorded(card)
    with pytest.raises(CardFault) as caught:
        tap(transmit)
    assert caught.value.code == code
    assert len(lines) <= 1 + FOLLOW_UPS_MAX


def test_answers_in_parts_are_put_together():
    """A card that answers 6C to the wrong Le and 61 to a long answer (ISO 7816-4, 5.3.4)."""
    card, rest = KIT.card(), [b""]

    def transmit(command: bytes) -> bytes:
        if command[1] == 0xC0:
            part, rest[0] = rest[0][: command[4]], rest[0][command[4] :]
        else:
            whole = card.transmit(command)
            if command[1] == 0xB2 and command[-1] == 0:
                return b"\x6c" + bytes((len(whole) - 2,))
            if len(whole) <= 60 or whole[-2:] != b"\x90\x00":
                return whole
            part, rest[0] = whole[:40], whole[40:-2]
        return part + (b"\x61" + bytes((min(len(rest[0]), 50),)) if rest[0] else b"\x90\x00")

    assert KIT.is_genuine(SALE.encode(), tap(transmit).gpo_response)


@given(seed=st.integers(0, 2**32), depth=st.integers(0, 3), size=st.integers(0, 300))
def test_random_bytes_at_any_step_end_in_a_fault(seed, depth, size):
    """Whatever comes at whatever step: a CardFault, never another exception."""
    card, dice, steps = KIT.card(), random.Random(seed), []

    def transmit(command: bytes) -> bytes:
        steps.append(command)
        if len(steps) <= depth:
            return card.transmit(command)
        return dice.randbytes(size) + (b"\x90\x00" if dice.random() < 0.7 else b"")

    with pytest.raises(CardFault):
        tap(transmit)


def test_any_single_bit_flipped_in_a_gpo_answer_is_refused_or_another_judges_it():
    """The signature covers PDOL data, AIP, ATC, IAD, cryptogram; AFL and 9F27 it does not."""
    card = KIT.card()
    transmit, lines = recorded(card.transmit)
    tap(transmit)
    answers = [lines[2][1]]
    accepted = 0
    for bit in range(8 * (len(answers[0]) - 2)):
        flipped = bytearray(answers[0])
        flipped[bit // 8] ^= 1 << bit % 8
        fresh = altered(card.transmit, 0xA8, lambda _, body=bytes(flipped): body)
        try:
            proof = tap(fresh)
        except (CardFault, ReaderFault):
            continue
        accepted += 1
        original = GpoResponse.decode(answers[0][:-2])
        changed = GpoResponse.decode(proof.gpo_response)
        assert changed.cryptogram == original.cryptogram
        assert (changed.atc, changed.iad, changed.aip) == (original.atc, original.iad, original.aip)
    assert accepted < 40


def test_a_card_torn_away_is_a_reader_fault_at_every_step():
    for step in range(4):
        card = KIT.card()
        seen: list[bytes] = []

        def transmit(command: bytes, card=card, seen=seen, step=step) -> bytes:
            seen.append(command)
            if len(seen) > step:
                raise ConnectionResetError
            return card.transmit(command)

        with pytest.raises(ReaderFault, match="card_removed"):
            tap(transmit)


def test_a_slow_card_is_told_to_hold_still():
    now = [0.0]

    def transmit(command: bytes) -> bytes:
        now[0] += TAP_SECONDS_MAX / 2 + 0.1
        return b"\x61\x10"

    channel = LoopbackReader(transmit).wait_for_card(0)
    assert channel is not None
    with pytest.raises(ReaderFault, match="tap_too_slow"):
        mobile_card.tap(Exchange(channel, lambda: now[0]), SALE, ACCEPTED, {})


def test_a_blocked_card_is_named_so():
    KIT.card()
    suspended = MemoryCardStore(CardState(KIT.certificate(), is_suspended=True))
    KIT.store = suspended
    with pytest.raises(CardFault, match="application_blocked"):
        tap(Card([KIT.applet()]).transmit)
