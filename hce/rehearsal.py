"""What makes a TEST card answer the same in every run: dice from a seed. Never for real keys."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import count
from typing import Final

BLOCK_BYTES: Final = 32
RandomBytes = Callable[[int], bytes]


def dice_of(seed: str) -> RandomBytes:
    """SHA-256 over the seed and a counter of calls; each call at most 32 bytes, not secret.

    Raises ValueError for more bytes at once.
    """
    calls = count()

    def roll(length_bytes: int) -> bytes:
        if length_bytes > BLOCK_BYTES:
            raise ValueError(f"at most {BLOCK_BYTES} bytes at once")
        return hashlib.sha256(f"{seed} {next(calls)}".encode()).digest()[:length_bytes]

    return roll
