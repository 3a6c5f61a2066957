"""Any bytes, in any order: a status word each time, counters only upward, no cryptogram twice."""

from __future__ import annotations

import logging
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import GpoResponse
from hce.ports import CardStore
from hce.store import MemoryCardStore
from tests.hce.examples import (
    KEY,
    READ_CERTIFICATE,
    SELECT_CARD,
    SELECT_DIRECTORY,
    Bench,
    bench,
    gpo,
    is_genuine,
)

GOOD = (
    SELECT_DIRECTORY,
    SELECT_CARD,
    SELECT_CARD[:-1],
    gpo(),
    gpo()[:-1],
    READ_CERTIFICATE,
    bytes.fromhex("00C0000000"),
    bytes.fromhex("80500002 0B 01 00000064 010203040506 10"),
)
COMMANDS = 60_000


def mutated(chance: random.Random, command: bytes) -> bytes:
    """One to three accidents: a flipped bit, a cut, a longer tail, a foreign byte, two glued."""
    body = bytearray(command)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(body)) if body else 0
        match chance.randrange(6):
            case 0 if body:
                body[at] ^= 1 << chance.randrange(8)
            case 1 if body:
                body[at] = chance.choice((0x00, 0x01, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            case 2:
                del body[at:]
            case 3:
                body += chance.randbytes(chance.choice((1, 2, 3, 40, 300)))
            case 4 if body:
                del body[at]
            case _:
                body[at:at] = chance.choice(GOOD)
    return bytes(body)


def is_status_word(answer: bytes) -> bool:
    return len(answer) >= 2 and (0x61 <= answer[-2] <= 0x6F or 0x90 <= answer[-2] <= 0x9F)


def counter(store: CardStore) -> int:
    assert isinstance(store, MemoryCardStore)
    return store._state.atc


def suspend(store: CardStore, is_suspended: bool) -> None:
    assert isinstance(store, MemoryCardStore)
    store.change(lambda state: state.with_suspended(is_suspended))


def cryptogram_in(answer: bytes) -> GpoResponse | None:
    try:
        return GpoResponse.decode(answer[:-2])
    except MalformedBytes:
        return None


def endless() -> Bench:
    """A card whose key lasts for a whole fuzz."""
    return bench(atc=0, key=replace(KEY, uses_left=0xFFFF))


@pytest.mark.parametrize("seed", range(3))
def test_mutated_commands_in_any_order(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    chance, card, atcs = random.Random(seed), endless(), [0]
    with caplog.at_level(logging.DEBUG, "hce"):
        for _ in range(COMMANDS // 3):
            good = chance.choice(GOOD)
            command = good if chance.random() < 0.4 else mutated(chance, good)
            before = counter(card.store)
            answer = card.card.transmit(command)
            assert is_status_word(answer), (command.hex(), answer.hex())
            assert counter(card.store) - before in {0, 1}
            if (proof := cryptogram_in(answer)) is not None:
                assert proof.atc > atcs[-1]  # never twice, never back
                atcs.append(proof.atc)
            if chance.random() < 0.01:
                card.card.reset()
    assert len(atcs) > 500  # the fuzz does reach the cryptogram
    assert not caplog.records  # and never a fault inside


@given(st.binary(max_size=600))
def test_any_bytes_get_a_status_word(command: bytes) -> None:
    card = endless()
    for selection in (b"", SELECT_DIRECTORY, SELECT_CARD):
        card.card.transmit(selection)
        answer = card.card.transmit(command)
        assert is_status_word(answer)
        assert answer[-2:] != b"\x6f\x00"


STEPS = st.lists(
    st.sampled_from(["select", "gpo", "short gpo", "rest", "read", "reset", "suspend", "release"]),
    max_size=25,
)


@given(STEPS)
def test_a_life_in_any_order(steps: list[str]) -> None:
    """Goal: at most one counter a selection, every cryptogram genuine, none while suspended."""
    card, is_open, is_suspended, atc = endless(), False, False, 0
    sent = {
        "select": SELECT_CARD,
        "gpo": gpo(),
        "short gpo": gpo()[:-1] + b"\x01",
        "rest": bytes.fromhex("00C0000000"),
        "read": READ_CERTIFICATE,
    }
    waiting = False
    for step in steps:
        if step in {"suspend", "release"}:
            is_suspended = step == "suspend"
            suspend(card.store, is_suspended)
            continue
        if step == "reset":
            card.card.reset()
            is_open = waiting = False
            continue
        answer = card.card.transmit(sent[step])
        if step == "select":
            is_open = True
        spends = step in {"gpo", "short gpo"} and is_open and not is_suspended
        proof = cryptogram_in(answer)
        assert (proof is not None) == ((spends and step == "gpo") or (step == "rest" and waiting))
        waiting = spends and step == "short gpo"
        if spends:
            atc, is_open = atc + 1, False
        if proof is not None:
            assert proof.atc == atc
            assert is_genuine(proof)
        assert counter(card.store) == atc
