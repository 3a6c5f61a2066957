"""Accidents to bytes, by seed, each with a name and counted: the mix is printed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

ACCIDENTS_MAX: Final = 3
TAILS: Final = (1, 2, 3, 40, 300)
EDGES: Final = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)
AS_IT_IS: Final = "as it is"
COMMAND_HEADER_BYTES: Final = 5  # CLA INS P1 P2 Lc
Accident = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def _flip(chance: random.Random, body: bytearray, others: Sequence[bytes]) -> None:
    body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)


def _edge(chance: random.Random, body: bytearray, others: Sequence[bytes]) -> None:
    body[chance.randrange(len(body))] = chance.choice(EDGES)


def _cut(chance: random.Random, body: bytearray, others: Sequence[bytes]) -> None:
    del body[chance.randrange(len(body)) :]


def _longer(chance: random.Random, body: bytearray, others: Sequence[bytes]) -> None:
    body += chance.randbytes(chance.choice(TAILS))


def _without(chance: random.Random, body: bytearray, others: Sequence[bytes]) -> None:
    at = chance.randrange(len(body))
    del body[at : at + chance.randint(1, 8)]


def _spliced(chance: random.Random, body: bytearray, others: Sequence[bytes]) -> None:
    at = chance.randrange(len(body))
    body[at:at] = chance.choice(others)


def _doubled(chance: random.Random, body: bytearray, others: Sequence[bytes]) -> None:
    at = chance.randrange(len(body))
    body[at:at] = body[at : at + chance.randint(1, 16)]


def _lying_length(chance: random.Random, body: bytearray, others: Sequence[bytes]) -> None:
    """A byte that may well be a length, one off or far off."""
    at = min(chance.choice((1, 2, 3, 4, chance.randrange(len(body)))), len(body) - 1)
    body[at] = (body[at] + chance.choice((-2, -1, 1, 2, 100))) & 0xFF


def _header(chance: random.Random, body: bytearray, others: Sequence[bytes]) -> None:
    """Another instruction over the same data."""
    at = chance.randrange(min(COMMAND_HEADER_BYTES, len(body)))
    body[at] = chance.randrange(256)


def _chained(chance: random.Random, body: bytearray, others: Sequence[bytes]) -> None:
    """Class bits for chaining, channels, secure messaging."""
    body[0] ^= chance.choice((0x10, 0x04, 0x0C, 0x01, 0x84))


def _extended(chance: random.Random, body: bytearray, others: Sequence[bytes]) -> None:
    """A short length where an extended one is announced."""
    body[4:4] = b"\x00" * chance.randint(1, 3)


ACCIDENTS: Final[Mapping[str, Accident]] = {
    "bit flipped": _flip,
    "edge value": _edge,
    "cut": _cut,
    "longer": _longer,
    "part left out": _without,
    "another spliced in": _spliced,
    "part doubled": _doubled,
    "length lies": _lying_length,
    "other header": _header,
    "class bits": _chained,
    "extended length": _extended,
}


class Mutator:
    """Makes inputs of good ones. Same seed, same inputs."""

    def __init__(self, seed: int, good: Sequence[bytes]) -> None:
        """Raises ValueError without a good input."""
        if not good:
            raise ValueError("mutations need something good to begin with")
        self.chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.mix: Counter[str] = Counter()
        self._good, self._names = tuple(good), tuple(ACCIDENTS)

    def pick(self, good_share: float = 0.0) -> bytes:
        """A good input, left as it is in `good_share` of all cases."""
        body = self.chance.choice(self._good)
        if self.chance.random() < good_share:
            self.mix[AS_IT_IS] += 1
            return body
        return self.mutate(body)

    def mutate(self, body: bytes) -> bytes:
        """One to three accidents; an empty body only grows."""
        made = bytearray(body)
        for _ in range(self.chance.randint(1, ACCIDENTS_MAX)):
            name = self.chance.choice(self._names) if made else "longer"
            ACCIDENTS[name](self.chance, made, self._good)
            self.mix[name] += 1
        return bytes(made)
