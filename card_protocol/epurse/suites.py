"""The purse's arithmetic under 3DES and SM4: session keys, MACs, diversification; keeps no key.

Both suites derive everything from 16-byte keys and cut every MAC to 4 bytes. Derived keys are used
as they come, without parity bits. Facts: docs/protocol/e-purse.md, "Arithmetic".
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Final, Protocol

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

from card_protocol.checks import require, require_bytes
from card_protocol.errors import MalformedBytes

CODE = "purse_arithmetic_malformed"
KEY_BYTES: Final = 16
FACTOR_BYTES: Final = 8
SEED_BYTES: Final = 8
MAC_BYTES: Final = 4
DES_BLOCK_BYTES, SM4_BLOCK_BYTES = 8, 16
CHALLENGE_SIZES: Final = frozenset({4, 8, 16})
ENCRYPTED_DATA_BYTES_MAX: Final = 254


class PurseSuite(Protocol):
    """What a purse key can do. Every method raises `MalformedBytes` for a wrong length."""

    @property
    def algorithm(self) -> int:
        """As INITIALIZE tells it."""

    @property
    def block_bytes(self) -> int: ...

    def diversify(self, key: bytes, factor: bytes) -> bytes:
        """The 16-byte key of one city or card from its parent and an 8-byte factor."""

    def session_key(self, key: bytes, seed: bytes) -> bytes:
        """The key of one transaction (8 bytes with 3DES, 16 with SM4) from an 8-byte seed."""

    def mac(self, session_key: bytes, data: bytes) -> bytes:
        """A transaction's MAC1 or MAC2 under its session key, 4 bytes."""

    def tac(self, key: bytes, data: bytes) -> bytes:
        """The issuer's proof of a transaction under the 16-byte TAC key, 4 bytes."""

    def command_mac(self, key: bytes, challenge: bytes, data: bytes) -> bytes:
        """The MAC of a secured command under a 16-byte key, 4 bytes; see `secured`."""

    def encrypt_block(self, key: bytes, block: bytes) -> bytes:
        """One block, for authentications."""

    def encrypt_data(self, key: bytes, data: bytes) -> bytes:
        """A secured command's data: length byte, data and padding, enciphered block by block."""

    def decrypt_data(self, key: bytes, body: bytes) -> bytes:
        """What `encrypt_data` was given. Raises `MalformedBytes` for anything else."""


def pad(data: bytes, block_bytes: int) -> bytes:
    """80 then 00 up to whole blocks, always (ISO/IEC 9797-1, method 2)."""
    return data + b"\x80" + bytes(-(len(data) + 1) % block_bytes)


def challenge_as_block(challenge: bytes, block_bytes: int) -> bytes:
    """A card's random number as the start of a command MAC, or as the text of an authentication.

    UNSURE for anything but 4 bytes under 3DES: filled with 00 on the right, cut to one block.
    """
    require(len(challenge) in CHALLENGE_SIZES, CODE, "a challenge is 4, 8 or 16 bytes")
    return challenge[:block_bytes].ljust(block_bytes, b"\x00")


def mac_is(told: bytes, computed: bytes) -> bool:
    """In constant time."""
    return hmac.compare_digest(told, computed)


class Des3Suite:
    """3DES with two-part keys; algorithm 00."""

    algorithm: Final = 0x00
    block_bytes: Final = DES_BLOCK_BYTES

    def diversify(self, key: bytes, factor: bytes) -> bytes:
        return _ecb(_des3(key), diversify_input(factor))

    def session_key(self, key: bytes, seed: bytes) -> bytes:
        require_bytes(seed, SEED_BYTES, CODE, "seed")
        return _ecb(_des3(key), seed)

    def mac(self, session_key: bytes, data: bytes) -> bytes:
        require_bytes(session_key, DES_BLOCK_BYTES, CODE, "session_key")
        padded = pad(data, DES_BLOCK_BYTES)
        return _last_block(_des(session_key), bytes(DES_BLOCK_BYTES), padded)[:MAC_BYTES]

    def tac(self, key: bytes, data: bytes) -> bytes:
        require_bytes(key, KEY_BYTES, CODE, "key")
        return self.mac(bytes(a ^ b for a, b in zip(key[:8], key[8:], strict=True)), data)

    def command_mac(self, key: bytes, challenge: bytes, data: bytes) -> bytes:
        """ISO/IEC 9797-1, algorithm 3 ("retail MAC"): 3DES for the last block only."""
        cipher = _des3(key)
        chain = challenge_as_block(challenge, DES_BLOCK_BYTES)
        padded = pad(data, DES_BLOCK_BYTES)
        first, last = padded[:-DES_BLOCK_BYTES], padded[-DES_BLOCK_BYTES:]
        if first:
            chain = _last_block(_des(key[:8]), chain, first)
        return _ecb(cipher, bytes(a ^ b for a, b in zip(chain, last, strict=True)))[:MAC_BYTES]

    def encrypt_block(self, key: bytes, block: bytes) -> bytes:
        require_bytes(block, DES_BLOCK_BYTES, CODE, "block")
        return _ecb(_des3(key), block)

    def encrypt_data(self, key: bytes, data: bytes) -> bytes:
        return _ecb(_des3(key), _with_length(data, DES_BLOCK_BYTES))

    def decrypt_data(self, key: bytes, body: bytes) -> bytes:
        return _without_length(_ecb_back(_des3(key), body, DES_BLOCK_BYTES))


class Sm4Suite:
    """SM4; algorithm 04. The rules are a public reader tool's, not seen confirmed by a card."""

    algorithm: Final = 0x04
    block_bytes: Final = SM4_BLOCK_BYTES

    def diversify(self, key: bytes, factor: bytes) -> bytes:
        return _ecb(_sm4(key), diversify_input(factor))

    def session_key(self, key: bytes, seed: bytes) -> bytes:
        require_bytes(seed, SEED_BYTES, CODE, "seed")
        return _ecb(_sm4(key), seed + _inverted(seed))

    def mac(self, session_key: bytes, data: bytes) -> bytes:
        return self._mac(session_key, bytes(SM4_BLOCK_BYTES), data)

    def tac(self, key: bytes, data: bytes) -> bytes:
        return self._mac(key, bytes(SM4_BLOCK_BYTES), data)

    def command_mac(self, key: bytes, challenge: bytes, data: bytes) -> bytes:
        return self._mac(key, challenge_as_block(challenge, SM4_BLOCK_BYTES), data)

    def encrypt_block(self, key: bytes, block: bytes) -> bytes:
        require_bytes(block, SM4_BLOCK_BYTES, CODE, "block")
        return _ecb(_sm4(key), block)

    def encrypt_data(self, key: bytes, data: bytes) -> bytes:
        return _ecb(_sm4(key), _with_length(data, SM4_BLOCK_BYTES))

    def decrypt_data(self, key: bytes, body: bytes) -> bytes:
        return _without_length(_ecb_back(_sm4(key), body, SM4_BLOCK_BYTES))

    def _mac(self, key: bytes, start: bytes, data: bytes) -> bytes:
        return _last_block(_sm4(key), start, pad(data, SM4_BLOCK_BYTES))[:MAC_BYTES]


DES3: Final = Des3Suite()
SM4_SUITE: Final = Sm4Suite()
_SUITES: Final[tuple[PurseSuite, ...]] = (DES3, SM4_SUITE)
ALGORITHMS: Final = frozenset(suite.algorithm for suite in _SUITES)


def get_suite(algorithm: int) -> PurseSuite:
    """By the algorithm byte of INITIALIZE. Raises `MalformedBytes` for an unknown one."""
    for suite in _SUITES:
        if suite.algorithm == algorithm:
            return suite
    raise MalformedBytes(CODE, "an algorithm no purse has")


def diversify_input(factor: bytes) -> bytes:
    """What a master enciphers, block by block, to make the key of the next level: 16 bytes."""
    require_bytes(factor, FACTOR_BYTES, CODE, "factor")
    return factor + _inverted(factor)


def diversify_levels(suite: PurseSuite, master: bytes, factors: Sequence[bytes]) -> bytes:
    """The key at the end of a chain of factors, outermost first; see `files.key_factors`."""
    key = master
    for factor in factors:
        key = suite.diversify(key, factor)
    return key


def _des3(key: bytes) -> TripleDES:
    require_bytes(key, KEY_BYTES, CODE, "key")
    return TripleDES(key + key[:8])


def _des(key: bytes) -> TripleDES:
    """Single DES is 3DES with three equal parts."""
    return TripleDES(key * 3)


def _sm4(key: bytes) -> SM4:
    require_bytes(key, KEY_BYTES, CODE, "key")
    return SM4(key)


def _ecb(algorithm: TripleDES | SM4, blocks: bytes) -> bytes:
    encryptor = Cipher(algorithm, modes.ECB()).encryptor()  # noqa: S305 - what the standard says
    return encryptor.update(blocks) + encryptor.finalize()


def _ecb_back(algorithm: TripleDES | SM4, body: bytes, block_bytes: int) -> bytes:
    require(bool(body) and len(body) % block_bytes == 0, CODE, "not whole blocks")
    decryptor = Cipher(algorithm, modes.ECB()).decryptor()  # noqa: S305 - what the standard says
    return decryptor.update(body) + decryptor.finalize()


def _last_block(algorithm: TripleDES | SM4, start: bytes, padded: bytes) -> bytes:
    encryptor = Cipher(algorithm, modes.CBC(start)).encryptor()
    return (encryptor.update(padded) + encryptor.finalize())[-len(start) :]


def _inverted(factor: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in factor)


def _with_length(data: bytes, block_bytes: int) -> bytes:
    require(len(data) <= ENCRYPTED_DATA_BYTES_MAX, CODE, "data is longer than 254 bytes")
    return pad(bytes((len(data),)) + data, block_bytes)


def _without_length(plain: bytes) -> bytes:
    """Padding is checked where there is any: some hosts leave it out when the blocks are full."""
    length = plain[0]
    data, rest = plain[1 : 1 + length], plain[1 + length :]
    is_padding = not rest or rest == b"\x80" + bytes(len(rest) - 1)
    require(len(data) == length and is_padding, CODE, "not a length, data and padding")
    return data
