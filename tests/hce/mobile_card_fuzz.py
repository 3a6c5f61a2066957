"""Mutated commands and sequences against the mobile card, beside a model that knows the rules.

`fuzz(seed, count)` is for the short form in the tests and for as many as one likes.
"""

from __future__ import annotations

import gc
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from card_protocol.apdu import CommandApdu
from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import GpoResponse, Suite, TransactionData
from hce.state import CardState
from hce.store import MemoryCardStore
from tests.hce.examples import (
    READ_CERTIFICATE,
    SELECT_CARD,
    SELECT_DIRECTORY,
    STATES,
    TRANSACTION,
    Bench,
    bench,
    gpo,
    is_genuine,
)

SECONDS_MAX = 0.05
USES = 0xFFFF
GET_RESPONSE = bytes.fromhex("00C0000000")
GOOD = (
    SELECT_DIRECTORY,
    SELECT_CARD,
    SELECT_CARD[:-1],
    gpo(),
    gpo()[:-1],
    gpo()[:-1] + b"\x20",
    READ_CERTIFICATE,
    GET_RESPONSE,
    bytes.fromhex("80500002 0B 01 00000064 010203040506 10"),
)
Mutation = Callable[[random.Random, bytes], bytes]


def _flip(chance: random.Random, body: bytes) -> bytes:
    at = chance.randrange(len(body))
    return body[:at] + bytes((body[at] ^ 1 << chance.randrange(8),)) + body[at + 1 :]


def _byte(chance: random.Random, body: bytes) -> bytes:
    at = chance.randrange(len(body))
    value = chance.choice((0x00, 0x01, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return body[:at] + bytes((value,)) + body[at + 1 :]


def _cut(chance: random.Random, body: bytes) -> bytes:
    return body[: chance.randrange(len(body))]


def _lengthen(chance: random.Random, body: bytes) -> bytes:
    return body + chance.randbytes(chance.choice((1, 2, 3, 40, 300)))


def _insert(chance: random.Random, body: bytes) -> bytes:
    at = chance.randrange(len(body) + 1)
    return body[:at] + chance.choice(GOOD) + body[at:]


def _length_lie(chance: random.Random, body: bytes) -> bytes:
    at = chance.choice((4, 6))  # Lc, and the length inside template 83
    if at >= len(body):
        return body + bytes((chance.randrange(256),))
    return body[:at] + bytes((chance.choice((0, 1, 0x7F, 0x80, 0xFF)),)) + body[at + 1 :]


def _extended(chance: random.Random, body: bytes) -> bytes:
    le = chance.choice((b"", b"\0\0", b"\xff\xff"))
    if len(body) < 6:
        return body[:4] + b"\0" + (le or b"\0\1")
    data = body[5 : 5 + body[4]]
    length = chance.choice((len(data), len(data), len(data) + 1, 0, 0xFFFF))
    return body[:4] + b"\0" + length.to_bytes(2) + data + le


def _chained(chance: random.Random, body: bytes) -> bytes:
    return bytes((body[0] | 0x10,)) + body[1:]


def _channel(chance: random.Random, body: bytes) -> bytes:
    return bytes((body[0] | chance.choice((1, 2, 3, 4, 0x0C, 0x40)),)) + body[1:]


def _random_ins(chance: random.Random, body: bytes) -> bytes:
    return bytes((chance.choice((0x00, 0x80, 0x84)), chance.randrange(256))) + body[2:]


def _random(chance: random.Random, body: bytes) -> bytes:
    return chance.randbytes(chance.randrange(301))


def _another_sale(chance: random.Random, body: bytes) -> bytes:
    """Any 42 bytes of PDOL data, whole: most are refused for what they say."""
    fields = bytearray(TRANSACTION.encode())
    fields[chance.randrange(42)] = chance.randrange(256)
    return bytes.fromhex("80A800002C832A") + bytes(fields) + b"\0"


def _as_it_is(chance: random.Random, body: bytes) -> bytes:
    return body


MUTATIONS: Mapping[str, tuple[Mutation, int]] = {  # with their weights
    "as it is, in any order": (_as_it_is, 40),
    "flipped bit": (_flip, 8),
    "foreign byte": (_byte, 8),
    "cut": (_cut, 8),
    "lengthened": (_lengthen, 6),
    "two glued": (_insert, 6),
    "length lie": (_length_lie, 8),
    "extended length": (_extended, 5),
    "chained": (_chained, 3),
    "channel or secure messaging": (_channel, 3),
    "random INS": (_random_ins, 5),
    "random bytes": (_random, 4),
    "another sale": (_another_sale, 8),
}
RESET = "reset"
RESET_SHARE = 0.01


@dataclass
class Report:
    """What a fuzz did; printed as the mix."""

    seed: int
    mix: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    cryptograms: int = 0
    slowest_seconds: float = 0.0

    def __str__(self) -> str:
        return "\n".join(
            (
                f"mobile card, seed {self.seed}: {sum(self.mix.values())} commands, "
                f"{self.cryptograms} cryptograms, slowest {self.slowest_seconds * 1000:.1f} ms",
                "  mix: " + ", ".join(f"{name} {n}" for name, n in self.mix.most_common()),
                "  words: " + ", ".join(f"{name} {n}" for name, n in self.words.most_common()),
            )
        )


class Model:
    """Which command may spend a counter, told from the commands and status words alone."""

    def __init__(self) -> None:
        self.is_open = False  # the card is selected and has not made its cryptogram

    def expects(self, command: bytes) -> bool:
        return self.is_open and _is_sale(command)

    def learn(self, command: bytes, answer: bytes) -> None:
        try:
            apdu = CommandApdu.decode(command)
        except MalformedBytes:
            return
        if (apdu.cla, apdu.ins) == (0x00, 0xA4):
            is_ours = apdu.header == bytes.fromhex("00A40400") and apdu.data == SELECT_CARD[5:15]
            self.is_open = is_ours and answer[-2] in {0x90, 0x61}
        elif self.expects(command):
            self.is_open = False


def _is_sale(command: bytes) -> bool:
    """A GET PROCESSING OPTIONS that the design lets spend a counter."""
    try:
        apdu = CommandApdu.decode(command)
        if apdu.header != bytes.fromhex("80A80000") or apdu.data[:2] != b"\x83\x2a":
            return False
        return TransactionData.decode(apdu.data[2:]).currency == 0x0156
    except MalformedBytes:
        return False


def fuzz(seed: int, count: int, suite: Suite = Suite.AES_ES256) -> Report:
    """Sends `count` commands to one card; raises AssertionError where a promise is broken."""
    chance, report = random.Random(seed), Report(seed)
    names = list(MUTATIONS)
    weights = [weight for _, weight in MUTATIONS.values()]
    card, model = _endless(suite, 0), Model()
    gc.disable()  # a collection of somebody else's garbage is not the card's time
    try:
        for _ in range(count):
            if _atc(card) == USES:  # a card lives for 65 535 taps; the next one goes on
                card, model = _endless(suite, 0), Model()
            if chance.random() < RESET_SHARE:
                report.mix[RESET] += 1
                card.card.reset()
                model = Model()
                continue
            name = chance.choices(names, weights)[0]
            report.mix[name] += 1
            _send(card, model, MUTATIONS[name][0](chance, chance.choice(GOOD)), report)
    finally:
        gc.enable()
    return report


def _send(card: Bench, model: Model, command: bytes, report: Report) -> None:
    before, may_spend = _state(card), model.expects(command)
    started = time.thread_time()
    answer = card.card.transmit(command)
    seconds = time.thread_time() - started
    report.slowest_seconds = max(report.slowest_seconds, seconds)
    assert seconds <= SECONDS_MAX, (seconds, command.hex())
    assert len(answer) >= 2, command.hex()
    assert 0x61 <= answer[-2] <= 0x6F or 0x90 <= answer[-2] <= 0x9F, (command.hex(), answer.hex())
    assert answer[-2:] != b"\x6f\x00", command.hex()  # a fault inside
    report.words[_word(answer)] += 1
    assert _state(card) == (before.counted() if may_spend else before), command.hex()
    if may_spend:
        report.cryptograms += 1
        _check(command, answer, before.atc + 1)
    model.learn(command, answer)


def _check(command: bytes, answer: bytes, atc: int) -> None:
    if answer[-2] == 0x61:  # the answer waits for GET RESPONSE; counted all the same
        return
    transaction = TransactionData.decode(CommandApdu.decode(command).data[2:])
    proof = GpoResponse.decode(answer[:-2])
    assert proof.atc == atc
    assert is_genuine(proof, transaction)


def _word(answer: bytes) -> str:
    word = answer[-2:].hex().upper()
    return f"{word[:2]}xx" if word[:2] in {"61", "6C"} else word


def _endless(suite: Suite, atc: int) -> Bench:
    key = STATES[suite].key
    assert key is not None
    return bench(suite, atc=atc, key=replace(key, uses_left=USES))


def _state(card: Bench) -> CardState:
    assert isinstance(card.store, MemoryCardStore)
    return card.store._state


def _atc(card: Bench) -> int:
    return _state(card).atc
