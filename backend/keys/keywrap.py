"""AES key wrap (RFC 3394) out of single blocks: for devices that do blocks and no wrapping."""

from __future__ import annotations

import hmac
from collections.abc import Callable

START = bytes.fromhex("a6a6a6a6a6a6a6a6")  # RFC 3394, 2.2.3.1
HALF_BYTES = 8
ROUNDS = 6

Cipher = Callable[[bytes], bytes]  # one block of 16 bytes


def wrap(encrypt: Cipher, secret: bytes) -> bytes:
    """The secret, whole halves of a block and at least two, and 8 bytes more (2.2.1)."""
    halves = _halves(secret)
    register = START
    for step in range(ROUNDS * len(halves)):
        place = step % len(halves)
        block = encrypt(register + halves[place])
        register = _counted(block[:HALF_BYTES], step + 1)
        halves[place] = block[HALF_BYTES:]
    return register + b"".join(halves)


def unwrap(decrypt: Cipher, wrapped: bytes) -> bytes:
    """The inverse (2.2.2). Raises ValueError for bytes that were not wrapped under this key."""
    register, halves = wrapped[:HALF_BYTES], _halves(wrapped[HALF_BYTES:])
    for step in reversed(range(ROUNDS * len(halves))):
        place = step % len(halves)
        block = decrypt(_counted(register, step + 1) + halves[place])
        register, halves[place] = block[:HALF_BYTES], block[HALF_BYTES:]
    if not hmac.compare_digest(register, START):
        raise ValueError("not wrapped under this key")
    return b"".join(halves)


def _halves(data: bytes) -> list[bytes]:
    if len(data) % HALF_BYTES or len(data) < 2 * HALF_BYTES:
        raise ValueError(f"{len(data)} bytes cannot be wrapped")
    return [data[at : at + HALF_BYTES] for at in range(0, len(data), HALF_BYTES)]


def _counted(register: bytes, count: int) -> bytes:
    return (int.from_bytes(register, "big") ^ count).to_bytes(HALF_BYTES, "big")
