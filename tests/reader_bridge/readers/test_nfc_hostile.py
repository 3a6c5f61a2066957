"""Cards that misbehave at nfcpy's radio: one refusal, in bounded time."""

from __future__ import annotations

import random
import struct

import pytest

from reader_bridge.faults import CardFault, Fault, ReaderFault
from reader_bridge.readers.nfc_guard import COMMAND_FRAMES_MAX, COMMAND_SECONDS
from tests.hce.examples import SELECT_CARD
from tests.reader_bridge.readers.nfc_field import Answer, Field, Time, good, reader_of


def silent_after_activation(frame: bytes) -> bytes | None:
    return None


class Mute:
    """Silent to a command and to all that nfcpy tries; later asked again, it is there."""

    def __init__(self) -> None:
        self.silences = 6

    def __call__(self, frame: bytes) -> bytes | None:
        self.silences -= 1
        return None if self.silences >= 0 else good(frame)


def chaining(frame: bytes) -> bytes:
    return bytes((0x12 | frame[0] & 1,)) + bytes(253)


def chaining_nothing(frame: bytes) -> bytes:
    return bytes((0x12 | frame[0] & 1,))


HOSTILE: dict[str, tuple[Answer, type[Fault], str]] = {
    "silence": (silent_after_activation, ReaderFault, "card_removed"),
    "there, but mute": (Mute(), ReaderFault, "card_mute"),
    "time, for ever": (lambda frame: b"\xf2\x01", CardFault, "card_never_done"),
    "the longest time, for ever": (lambda frame: b"\xf2\x3b", CardFault, "card_never_done"),
    "no time": (lambda frame: b"\xf2\x00", CardFault, "card_link_broken"),
    "time without a figure": (lambda frame: b"\xf2", CardFault, "card_link_broken"),
    "chaining for ever": (chaining, CardFault, "card_answer_too_long"),
    "chaining nothing for ever": (chaining_nothing, CardFault, "card_answer_endless"),
    "another block number": (
        lambda frame: bytes((frame[0] & 1 ^ 1 | 0x02,)),
        CardFault,
        "card_link_broken",
    ),
    "no block at all": (lambda frame: b"\xff\xff", CardFault, "card_link_broken"),
    "empty frames": (lambda frame: b"", ReaderFault, "card_removed"),
}


@pytest.mark.parametrize(("answer", "kind", "code"), HOSTILE.values(), ids=HOSTILE)
def test_a_card_that_misbehaves_costs_one_refusal_in_bounded_time(answer, kind, code):
    time = Time()
    field = Field(time, answer)
    channel = reader_of(field).wait_for_card(1.0)
    assert channel is not None
    started = time.now
    with pytest.raises(Fault) as caught:
        channel.transmit(SELECT_CARD)
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert time.now - started <= COMMAND_SECONDS + 1.0
    assert len(field.frames) <= COMMAND_FRAMES_MAX + 10
    with pytest.raises(ReaderFault, match="card_removed"):
        channel.transmit(SELECT_CARD)  # nothing more is sent to it


def test_random_frames_never_break_the_adapter():
    """Goal: whatever a card sends, only faults come out, and the account is kept."""
    for seed in range(300):
        chance, time = random.Random(seed), Time()

        def answer(frame: bytes, chance: random.Random = chance) -> bytes | None:
            choice = chance.random()
            if choice < 0.1:
                return None
            if choice < 0.4:
                return good(frame)
            first = chance.choice((frame[0], 0x02, 0x03, 0x12, 0x13, 0xA2, 0xA3, 0xF2, 0xC2))
            return bytes((first,)) + chance.randbytes(chance.randint(0, 40))

        field = Field(time, answer, ats=chance.randbytes(chance.randint(1, 8)))
        try:
            channel = reader_of(field).wait_for_card(0.0)
            assert channel is not None
            for _ in range(5):
                channel.transmit(SELECT_CARD)
        except (ReaderFault, CardFault):
            continue
    assert time.now < 60.0


def test_a_card_that_lies_there_and_misbehaves_stays_one_card():
    field = Field(Time(), lambda frame: b"\xf2\x01")
    channel = reader_of(field).wait_for_card(0.0)
    assert channel is not None
    with pytest.raises(CardFault):
        channel.transmit(SELECT_CARD)
    assert not channel.wait_for_removal(0.0)


MISREAD = [IndexError("short"), ValueError("no hex"), struct.error("short"), KeyError(7)]


@pytest.mark.parametrize("error", MISREAD, ids=lambda error: type(error).__name__)
def test_what_makes_a_driver_stumble_is_the_cards_fault(error):
    """nfcpy's drivers read fields that a broken card leaves out."""
    field = Field(Time(), good)
    reader = reader_of(field)
    channel = reader.wait_for_card(0.0)
    assert channel is not None
    field.error = error
    with pytest.raises(CardFault, match="card_link_broken"):
        channel.transmit(SELECT_CARD)
    assert not channel.wait_for_removal(0.0)  # something is there
    assert reader.wait_for_card(0.0) is None  # and it is no card
    field.error = None
    assert reader.wait_for_card(0.0) is not None
