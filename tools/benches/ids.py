"""TypeIDs by the thousand: a load generator cannot pay a library call for each."""

from __future__ import annotations

import os
import time

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
SUFFIX_CHARACTERS = 26
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_A_MASK = ((1 << 12) - 1) << 64
_RANDOM_B_MASK = (1 << 62) - 1
IDS_PER_MILLISECOND = 4


def make_ids(prefix: str, count: int, *, now_ms: int | None = None) -> list[str]:
    """Fresh TypeIDs (UUIDv7, RFC 9562 section 5.7), as if some thousand a second were made.

    Sorted by time to the millisecond and random within it, as ids of many phones are.
    """
    start_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    random = os.urandom(10 * count)
    return [
        f"{prefix}_{_suffix(start_ms + number // IDS_PER_MILLISECOND, random, 10 * number)}"
        for number in range(count)
    ]


def _suffix(milliseconds: int, random: bytes, at: int) -> str:
    bits = int.from_bytes(random[at : at + 10], "big")
    value = (
        milliseconds << 80
        | _VERSION_7
        | (bits & _RANDOM_A_MASK)
        | _VARIANT
        | (bits & _RANDOM_B_MASK)
    )
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])
