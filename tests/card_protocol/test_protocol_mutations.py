"""Goal: whatever arrives, a decoder answers with a value or MalformedBytes, and at once."""

from __future__ import annotations

import gc
import random
import time

import protocol_examples as examples
import pytest

from card_protocol import emvco, fci, tlv
from card_protocol.apdu import CommandApdu
from card_protocol.commands import GetProcessingOptions, ReadRecord, Select
from card_protocol.errors import MalformedBytes

MUTATIONS_PER_DECODER = 2_500
SECONDS_MAX = 0.05
SECONDS_ALL_MAX = 5.0
SEED = 20151123


def decode_commands(body: bytes) -> None:
    command = CommandApdu.decode(body)
    for kind in (Select, GetProcessingOptions, ReadRecord):
        try:
            kind.from_apdu(command)
        except MalformedBytes:
            continue


BYTE_SEEDS = [example.body for example in examples.EXAMPLES if not example.is_text]
BYTE_SEEDS += [bytes.fromhex(wire) for _, wire in examples.COMMAND_EXAMPLES]
TEXT_SEEDS = [example.body for example in examples.EXAMPLES if example.is_text]
BYTE_DECODERS = {
    **{
        type(example.value).__name__: example.decode
        for example in examples.EXAMPLES
        if not example.is_text
    },
    "commands": decode_commands,
    "tlv.parse_tree": tlv.parse_tree,
    "tlv.find": lambda body: tlv.find(body, (0x6F, 0xA5, 0xBF0C, 0x61)),
    "fci.parse_pdol": fci.parse_pdol,
}
TEXT_DECODERS = {
    **{
        type(example.value).__name__: example.decode
        for example in examples.EXAMPLES
        if example.is_text
    },
    "emvco.parse_tlv": emvco.parse_tlv,
    "emvco.parse_template": emvco.parse_template,
    "emvco.amount_fen_of": emvco.amount_fen_of,
}
CHARACTERS = "0123456789ABCDEFabz -.*_\x00\n老王１²\ud800\U0001f68c"


def mutate_bytes(source: random.Random, body: bytes) -> bytes:
    mutated = bytearray(body)
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(mutated) + 1)
        choice = source.randrange(5)
        if choice == 0:
            del mutated[at : at + source.randint(1, 8)]
        elif choice == 1:
            mutated[at:at] = source.randbytes(source.randint(1, 8))
        elif choice == 2:
            mutated[at:at] = mutated[: source.randrange(len(mutated) + 1)]
        elif mutated:
            mutated[at % len(mutated)] ^= 1 << source.randrange(8)
    return bytes(mutated)


def mutate_text(source: random.Random, text: str) -> str:
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(text) + 1)
        middle = "".join(source.choices(CHARACTERS, k=source.randint(0, 3)))
        text = text[:at] + middle + text[at + source.randint(0, 3) :]
    if source.random() < 0.5 and text.isprintable():  # half of them get past the CRC
        body = text[:-4]
        text = body + emvco.crc16(body.encode())
    return text


def run(decode, inputs) -> tuple[int, float]:
    """(how many were refused, seconds of the slowest)."""
    refused, slowest = 0, 0.0
    for body in inputs:
        started = time.perf_counter()
        try:
            decode(body)
        except MalformedBytes:
            refused += 1
        slowest = max(slowest, time.perf_counter() - started)
    return refused, slowest


def test_mutated_inputs_are_refused_or_read():
    source = random.Random(SEED)
    started = time.process_time()
    gc.disable()  # a collection of somebody else's garbage is not the decoder's time
    try:
        for decoders, seeds, mutate in (
            (BYTE_DECODERS, BYTE_SEEDS, mutate_bytes),
            (TEXT_DECODERS, TEXT_SEEDS, mutate_text),
        ):
            for name, decode in decoders.items():
                own = [example.body for example in examples.EXAMPLES if example.decode == decode]
                pool = seeds + own * len(seeds)  # mostly its own shape, now and then another
                inputs = [mutate(source, source.choice(pool)) for _ in range(MUTATIONS_PER_DECODER)]
                refused, slowest = run(decode, inputs)
                assert refused > MUTATIONS_PER_DECODER // 20, name
                assert slowest < SECONDS_MAX, name
    finally:
        gc.enable()
    decoders_count = len(BYTE_DECODERS) + len(TEXT_DECODERS)
    assert decoders_count * MUTATIONS_PER_DECODER >= 30_000
    assert time.process_time() - started < SECONDS_ALL_MAX


def nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = tlv.Tlv(0x61, body).encode()
    return body


HOSTILE = {
    "64 KB of empty objects": b"\x61\x00" * 32_768,
    "nested ten thousand deep": nested(10_000),
    "a thousand trees": (b"\x61\x3e" + b"\x61\x00" * 31) * 1_000,
    "endless tag": b"\x9f" + b"\x81" * 65_000,
    "4 GB length": b"\x61\x84\xff\xff\xff\xff",
    "1 MB of zeros": bytes(1_000_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_take_no_time(name):
    for decode in BYTE_DECODERS.values():
        _, slowest = run(decode, [HOSTILE[name]])
        assert slowest < SECONDS_MAX


@pytest.mark.parametrize(
    "text", ["9" * 1_000_000, "0" * 1_000_000, "0001" * 250_000, "0002011" * 100_000]
)
def test_hostile_texts_take_no_time(text):
    for decode in TEXT_DECODERS.values():
        _, slowest = run(decode, [text])
        assert slowest < SECONDS_MAX
