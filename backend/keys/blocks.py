"""Block ciphers and what is built of them: CMAC, CBC-MAC, key derivation. Knows no key's name.

A cipher object costs more than the block it enciphers; those here are made once and lent out. A
deque's ends are atomic, so threads and greenlets share them without a lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import (
    BlockCipherAlgorithm,
    Cipher,
    CipherContext,
    algorithms,
    modes,
)
from cryptography.hazmat.primitives.cmac import CMAC

AES128, AES256, SM4, TRIPLE_DES = "aes128", "aes256", "sm4", "3des"
IDLE_MAX = 16
BLOCK_BYTES = {AES128: 16, AES256: 16, SM4: 16, TRIPLE_DES: 8}


def _triple_des(key: bytes) -> BlockCipherAlgorithm:
    # One or two key halves stand for K‖K‖K (single DES) and K1‖K2‖K1.
    return TripleDES({8: key * 3, 16: key + key[:8]}.get(len(key), key))


CIPHERS: Mapping[str, Callable[[bytes], BlockCipherAlgorithm]] = {
    AES128: algorithms.AES128,
    AES256: algorithms.AES256,
    SM4: algorithms.SM4,
    TRIPLE_DES: _triple_des,
}


class Block(Protocol):
    """A key that enciphers blocks, in memory or in an HSM."""

    def encrypt_blocks(self, blocks: bytes) -> bytes:
        """ECB over whole blocks."""

    def cmac(self, data: bytes) -> bytes:
        """CMAC (NIST SP 800-38B), 16 bytes. Not for 3DES."""


class SoftwareBlock:
    """A block cipher key in memory, with its schedule made."""

    __slots__ = ("_block_bytes", "_cipher", "_cmac", "_idle")

    def __init__(self, algorithm: str, key: bytes) -> None:
        made = CIPHERS[algorithm](key)
        self._block_bytes = BLOCK_BYTES[algorithm]
        self._cipher = Cipher(made, modes.ECB())  # noqa: S305 - blocks, for derivation
        self._idle: deque[CipherContext] = deque(maxlen=IDLE_MAX)
        self._cmac = None if algorithm == TRIPLE_DES else CMAC(made)

    def encrypt_blocks(self, blocks: bytes) -> bytes:
        if len(blocks) % self._block_bytes:  # the rest would be the next borrower's
            raise ValueError(f"{len(blocks)} bytes are no whole blocks")
        try:
            lent = self._idle.pop()
        except IndexError:
            lent = self._cipher.encryptor()
        enciphered = lent.update(blocks)
        self._idle.append(lent)  # after whole blocks ECB remembers nothing
        return enciphered

    def cmac(self, data: bytes) -> bytes:
        if self._cmac is None:
            raise TypeError("CMAC is not made with 3DES here")
        mac = self._cmac.copy()
        mac.update(data)
        return mac.finalize()


def derive_sp800_108(key: Block, label: bytes, context: bytes, length: int) -> bytes:
    """SP 800-108r1, 4.1: K(i) = CMAC(key, [i]32 ‖ label ‖ 00 ‖ context ‖ [bits]32)."""
    fixed = label + b"\0" + context + (8 * length).to_bytes(4, "big")
    count = -(-length // 16)
    parts = [key.cmac(i.to_bytes(4, "big") + fixed) for i in range(1, count + 1)]
    return b"".join(parts)[:length]
