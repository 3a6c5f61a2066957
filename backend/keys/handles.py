"""One version of one key, ready to work: what every back end must offer, and the software's own.

A handle never shows its key. Raw bytes live only inside the cipher objects.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from backend.keys.blocks import AES128, AES256, SM4, TRIPLE_DES, Block, SoftwareBlock
from backend.keys.secret import Secret
from card_protocol import sm2

GCM, HMAC, ES256, SM2, KEY_WRAP = "aes256gcm", "hmac-sha256", "es256", "sm2", "aes256kw"
NONCE_BYTES = 12
KEY_BYTES = {AES128: 16, SM4: 16, TRIPLE_DES: 16, GCM: 32, HMAC: 32, KEY_WRAP: 32}
SIGNATURE_ALGORITHMS = frozenset({ES256, SM2})
BLOCK_ALGORITHMS = frozenset({AES128, SM4, TRIPLE_DES})
LEGACY_CHECK_BYTES, CHECK_BYTES = 3, 5


class MacHandle(Protocol):
    def check_value(self) -> bytes: ...
    def mac(self, data: bytes) -> bytes: ...


class BlockHandle(Block, Protocol):
    def check_value(self) -> bytes: ...


class CipherHandle(Protocol):
    def check_value(self) -> bytes: ...
    def seal(self, plain: bytes, context: bytes) -> bytes: ...
    def unseal(self, body: bytes, context: bytes) -> bytes:
        """Raises InvalidTag."""


class SignHandle(Protocol):
    @property
    def point(self) -> bytes: ...
    def check_value(self) -> bytes: ...
    def sign(self, data: bytes) -> bytes: ...


class WrapHandle(Protocol):
    def check_value(self) -> bytes: ...
    def wrap(self, secret: bytes) -> bytes: ...
    def unwrap(self, wrapped: bytes) -> bytes:
        """Raises ValueError for bytes that this key did not wrap."""


Handle: TypeAlias = MacHandle | BlockHandle | CipherHandle | SignHandle | WrapHandle


def block_check_value(algorithm: str, key: Block) -> bytes:
    """Key check value of a block cipher key.

    AES: the first 5 bytes of CMAC over a block of zeros (ANSI X9.24-1:2017, Annex A). 3DES and
    SM4: the first 3 bytes of an enciphered block of zeros, as cards' personalisers write it.
    """
    if algorithm in (TRIPLE_DES, SM4):
        zeros = bytes(8 if algorithm == TRIPLE_DES else 16)
        return key.encrypt_blocks(zeros)[:LEGACY_CHECK_BYTES]
    return key.cmac(bytes(16))[:CHECK_BYTES]


def mac_check_value(mac_of_nothing: bytes) -> bytes:
    """Key check value of an HMAC key: 5 bytes of the HMAC over nothing, which nobody asks for."""
    return mac_of_nothing[:CHECK_BYTES]


def point_check_value(point: bytes) -> bytes:
    """Key check value of a signing key: 5 bytes of SHA-256 over its public point."""
    return hashlib.sha256(point).digest()[:CHECK_BYTES]


class SoftwareMac:
    """HMAC-SHA-256, its inner and outer hash prepared once."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.HMAC(key, hashes.SHA256())

    def mac(self, data: bytes) -> bytes:
        context = self._keyed.copy()
        context.update(data)
        return context.finalize()

    def check_value(self) -> bytes:
        return mac_check_value(self.mac(b""))


class SoftwareBlockHandle(SoftwareBlock):
    """A master key of a block cipher."""

    __slots__ = ("_algorithm",)

    def __init__(self, algorithm: str, key: bytes) -> None:
        super().__init__(algorithm, key)
        self._algorithm = algorithm

    def check_value(self) -> bytes:
        return block_check_value(self._algorithm, self)


class SoftwareCipher:
    """AES-256-GCM: nonce(12) ‖ ciphertext ‖ tag(16)."""

    __slots__ = ("_check", "_gcm")

    def __init__(self, key: bytes) -> None:
        self._gcm = AESGCM(key)
        self._check = block_check_value(AES256, SoftwareBlock(AES256, key))

    def seal(self, plain: bytes, context: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._gcm.encrypt(nonce, plain, context)

    def unseal(self, body: bytes, context: bytes) -> bytes:
        try:
            return self._gcm.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], context)
        except ValueError:
            raise InvalidTag from None

    def check_value(self) -> bytes:
        return self._check


class SoftwareSigner:
    """ES256."""

    __slots__ = ("_private", "point")

    def __init__(self, der: bytes) -> None:
        private = serialization.load_der_private_key(der, password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise ValueError("a signing key is not on P-256")
        self._private = private
        self.point = private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    def sign(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(self._private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def check_value(self) -> bytes:
        return point_check_value(self.point)


class SoftwareSm2:
    """SM2 with SM3."""

    __slots__ = ("_private", "point")

    def __init__(self, key: bytes) -> None:
        self._private = sm2.PrivateKey.from_der(key)
        self.point = sm2.uncompressed(self._private.public_key)

    def sign(self, data: bytes) -> bytes:
        return self._private.sign(data)

    def check_value(self) -> bytes:
        return point_check_value(self.point)


class SoftwareWrap:
    """AES key wrap (RFC 3394) with 256 bits."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = Secret(key)

    def wrap(self, secret: bytes) -> bytes:
        return aes_key_wrap(self._key.reveal(), secret)

    def unwrap(self, wrapped: bytes) -> bytes:
        try:
            return aes_key_unwrap(self._key.reveal(), wrapped)
        except InvalidUnwrap:
            raise ValueError("not wrapped under this key") from None

    def check_value(self) -> bytes:
        return block_check_value(AES256, SoftwareBlock(AES256, self._key.reveal()))


def fresh_secret(algorithm: str) -> bytes:
    """A new key, as bytes that `software_handle` reads."""
    if algorithm == SM2:
        return sm2.PrivateKey.generate().to_der()
    if algorithm == ES256:
        return ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    while True:
        key = os.urandom(KEY_BYTES[algorithm])
        if not is_weak(algorithm, key):
            return key


def is_weak(algorithm: str, key: bytes) -> bool:
    """Whether nobody should use this key: all alike, or 3DES that is single DES."""
    if len(set(key)) == 1:
        return True
    clear = bytes(byte & 0xFE for byte in key)  # DES ignores the last bit of each byte
    return algorithm == TRIPLE_DES and clear[:8] == clear[8:16]


def software_handle(algorithm: str, secret: bytes) -> Handle:
    """The handle for a key in memory. Raises ValueError when the bytes are no such key."""
    if algorithm in KEY_BYTES and len(secret) != KEY_BYTES[algorithm]:
        raise ValueError(f"{len(secret)} bytes are no key for {algorithm}")
    if algorithm in BLOCK_ALGORITHMS:
        return SoftwareBlockHandle(algorithm, secret)
    makers: Mapping[str, Callable[[bytes], Handle]] = {
        HMAC: SoftwareMac,
        GCM: SoftwareCipher,
        ES256: SoftwareSigner,
        SM2: SoftwareSm2,
        KEY_WRAP: SoftwareWrap,
    }
    return makers[algorithm](secret)
