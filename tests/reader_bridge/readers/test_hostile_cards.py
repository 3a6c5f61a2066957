"""Cards that mean harm, at every reader: at most one refusal, in bounded time and memory."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from card_protocol.mobile_card import GpoResponse
from reader_bridge.exchange import ANSWER_BYTES_MAX, FOLLOW_UPS_MAX, TAP_SECONDS_MAX, Exchange
from reader_bridge.faults import LANGUAGES, CardFault, CodeFault, Fault, ReaderFault
from reader_bridge.kernels import mobile_card
from reader_bridge.kernels.mobile_card import TapProof
from reader_bridge.readers.events import (
    CardArrived,
    CardLeft,
    Pace,
    ReaderJoined,
    ReaderSet,
)
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.readers.nfc_guard import COMMAND_SECONDS
from reader_bridge.readers.port import CardChannel
from tests.reader_bridge.readers.tap_scripts import ISSUER_KEYS, MOBILE, SALE, phone, shown

COMMANDS_MAX = 16
CardAnswer = Callable[[bytes], bytes]


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Counted:
    """A channel that counts, and moves the clock by what each answer takes."""

    def __init__(self, channel: CardChannel, time: Time, answer_seconds: float) -> None:
        self._channel, self._time, self._answer_seconds = channel, time, answer_seconds
        self.commands = 0

    def transmit(self, command: bytes) -> bytes:
        self.commands += 1
        self._time.now += self._answer_seconds
        return self._channel.transmit(command)

    def is_present(self) -> bool:
        return self._channel.is_present()

    def wait_for_removal(self, timeout_seconds: float) -> bool:
        return self._channel.wait_for_removal(timeout_seconds)

    def close(self) -> None:
        self._channel.close()


def tapped(
    card: CardAnswer, answer_seconds: float = 0.001
) -> tuple[Fault | TapProof, Counted, float]:
    """What one tap came to, what it cost in commands and seconds."""
    time = Time()
    channel = Counted(shown(LoopbackReader(card)), time, answer_seconds)
    try:
        outcome: Fault | TapProof = mobile_card.tap(
            Exchange(channel, time), SALE, (MOBILE,), ISSUER_KEYS
        )
    except (CardFault, ReaderFault) as fault:
        outcome = fault
    return outcome, channel, time.now


def after(count: int, then: CardAnswer) -> CardAnswer:
    """A good card for some commands, then another."""
    good, heard = phone(), 0

    def transmit(command: bytes) -> bytes:
        nonlocal heard
        heard += 1
        return good.transmit(command) if heard <= count else then(command)

    return transmit


def torn(command: bytes) -> bytes:
    raise ConnectionError


def counting_6c() -> CardAnswer:
    """6Cxx with another figure each time."""
    numbers = iter(range(1, 1000))
    return lambda command: bytes((0x6C, next(numbers) & 0xFF))


HOSTILE: dict[str, tuple[Callable[[], CardAnswer], type[Fault], str]] = {
    "61xx for ever": (lambda: lambda command: b"\x61\x10", CardFault, "card_answer_endless"),
    "61xx for ever, with data": (
        lambda: lambda command: bytes(256) + b"\x61\x00",
        CardFault,
        "card_answer_too_long",
    ),
    "6Cxx for ever": (lambda: lambda command: b"\x6c\x10", CardFault, "card_answer_endless"),
    "6Cxx, each time another": (counting_6c, CardFault, "card_answer_endless"),
    "too long an answer": (
        lambda: lambda command: bytes(60_000) + b"\x90\x00",
        CardFault,
        "card_answer_too_long",
    ),
    "no answer at all": (lambda: lambda command: b"", CardFault, "card_answer_malformed"),
    "one byte": (lambda: lambda command: b"\x90", CardFault, "card_answer_malformed"),
    "torn away": (lambda: torn, ReaderFault, "card_removed"),
}


@pytest.mark.parametrize("good_commands", range(4))
@pytest.mark.parametrize(("make", "kind", "code"), HOSTILE.values(), ids=HOSTILE)
def test_each_kind_of_harm_at_each_command(make, kind, code, good_commands):
    outcome, channel, _ = tapped(after(good_commands, make()))
    assert isinstance(outcome, kind)
    assert isinstance(outcome, Fault)
    assert outcome.code == code
    assert channel.commands <= good_commands + 1 + FOLLOW_UPS_MAX


@pytest.mark.parametrize("good_commands", range(4))
def test_ten_seconds_of_silence_before_every_answer(good_commands):
    """The longest a reader lets a card take, each time."""
    outcome, channel, seconds = tapped(phone().transmit, answer_seconds=COMMAND_SECONDS)
    assert isinstance(outcome, ReaderFault)
    assert outcome.code == "tap_too_slow"
    assert channel.commands <= 2
    assert seconds <= TAP_SECONDS_MAX + COMMAND_SECONDS


def test_random_answers_are_refused_once():
    codes = set()
    for seed in range(400):
        chance = random.Random(seed)
        endings = [b"\x90\x00", b"\x61\x05", b"\x6c\x05", b"\x62\x83", b"\x6a\x82"]

        def answer(
            command: bytes, chance: random.Random = chance, endings: list[bytes] = endings
        ) -> bytes:
            if chance.random() < 0.2:
                return chance.randbytes(chance.randint(0, 300))
            return chance.randbytes(chance.randint(0, 60)) + chance.choice(endings)

        outcome, channel, _ = tapped(after(chance.randint(0, 3), answer))
        assert isinstance(outcome, (CardFault, ReaderFault))
        assert channel.commands <= COMMANDS_MAX * (1 + FOLLOW_UPS_MAX)
        codes.add(outcome.code)
    assert len(codes) >= 4, codes
    assert ANSWER_BYTES_MAX < 64 * 1024


def flipped(seed: int) -> CardAnswer:
    """A good card with one bit of its cryptogram's answer or its certificate turned over."""
    chance, good, heard = random.Random(seed), phone(), 0
    target = chance.choice((3, 4))

    def transmit(command: bytes) -> bytes:
        nonlocal heard
        heard += 1
        body = bytearray(good.transmit(command))
        if heard == target:
            body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        return bytes(body)

    return transmit


def signed_part(proof: TapProof) -> tuple[object, ...]:
    gpo = GpoResponse.decode(proof.gpo_response)
    return gpo.token_number, gpo.aip, gpo.atc, gpo.iad, gpo.cryptogram, proof.certificate


def test_a_bit_turned_over_is_refused_unless_nobody_signed_it():
    good, *_ = tapped(phone().transmit)
    assert isinstance(good, TapProof)
    refused = 0
    for seed in range(300):
        outcome, *_ = tapped(flipped(seed))
        if isinstance(outcome, TapProof):
            assert signed_part(outcome) == signed_part(good)
        else:
            refused += 1
    assert refused > 250


def test_a_hostile_card_left_lying_is_one_refusal():
    """Goal: a watch does not offer the same card again and again."""
    reader = LoopbackReader(waits=True)
    pace = Pace(look_seconds=0.05, held_look_seconds=0.01)
    refusals = []
    with ReaderSet([reader], pace=pace) as readers:
        assert readers.next_event(5.0) == ReaderJoined("loopback")
        reader.insert(lambda command: b"\x61\x10")
        for event in readers.events(0.4):
            assert isinstance(event, CardArrived)
            with pytest.raises(CardFault) as refused:
                mobile_card.tap(Exchange(event.channel), SALE, (MOBILE,), {})
            refusals.append(refused.value.code)
            event.channel.close()
        assert refusals == ["card_answer_endless"]
        reader.insert(phone().transmit)
        assert readers.next_event(5.0) == CardLeft("loopback")
        arrived = readers.next_event(5.0)
        assert isinstance(arrived, CardArrived)
        mobile_card.tap(Exchange(arrived.channel), SALE, (MOBILE,), ISSUER_KEYS)


# What happens at a reader, and which of the two messages the holder sees: hold it again, or this
# card is refused. The adapters' own tests make each of these happen.
WHOSE_FAULT = {
    "nobody shows a card": (ReaderFault, "no_card"),
    "the card goes away in mid-tap": (ReaderFault, "card_removed"),
    "the card is silent": (ReaderFault, "card_mute"),
    "the whole tap takes too long": (ReaderFault, "tap_too_slow"),
    "two cards in the field": (ReaderFault, "several_cards"),
    "the reader is pulled out": (ReaderFault, "reader_missing"),
    "the reader says an error": (ReaderFault, "reader_failed"),
    "the reader's driver hangs": (ReaderFault, "reader_stuck"),
    "the reader's service stops": (ReaderFault, "service_missing"),
    "the reader's software is not installed": (ReaderFault, "driver_missing"),
    "the scanner is pulled out": (ReaderFault, "scanner_failed"),
    "a card of another city": (CardFault, "card_foreign"),
    "the card asks for time for ever": (CardFault, "card_never_done"),
    "the card breaks the block protocol": (CardFault, "card_link_broken"),
    "the card chains for ever": (CardFault, "card_answer_endless"),
    "the card says too much": (CardFault, "card_answer_too_long"),
    "the card says too little": (CardFault, "card_answer_malformed"),
    "a code longer than any of ours": (CodeFault, "code_too_long"),
}
KINDS = (ReaderFault, CardFault, CodeFault)


@pytest.mark.parametrize(("kind", "code"), WHOSE_FAULT.values(), ids=WHOSE_FAULT)
def test_each_event_is_one_kind_of_fault_with_words_in_both_languages(kind, code):
    assert [one for one in KINDS if code in one.TEXTS] == [kind]
    text = kind.TEXTS[code]
    data = {"reason": "x", "name": "", "driver": "pyscard"}
    words = {language: text.read(language, **data) for language in LANGUAGES}
    assert any("\u4e00" <= one <= "\u9fff" for one in words["zh-CN"])
    assert words["en"].isascii()
    assert "{" not in words["zh-CN"] + words["en"]


def test_no_code_stands_for_both_kinds():
    assert not set(ReaderFault.TEXTS) & set(CardFault.TEXTS)
    assert not issubclass(ReaderFault, CardFault)
    assert not issubclass(CardFault, ReaderFault)
