"""Signatures of both suites as raw r‖s over SEC1 points; knows nothing of what is signed.

ES256 (ECDSA on P-256 with SHA-256) is computed here, SM2 with SM3 in `card_protocol.sm2`. A
private key of either suite is a `PrivateKey`, a public one a `PublicKey`; whoever wants something
signed asks for a `Signer` and learns its suite from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from card_protocol import sm2
from card_protocol.checks import require, require_bytes
from card_protocol.errors import MalformedBytes

CODE = "signature_malformed"
KEY_CODE = "public_key_malformed"
PRIVATE_KEY_CODE = "signing_key_malformed"
SIGNATURE_BYTES = 64
COMPRESSED_POINT_BYTES = 33
UNCOMPRESSED_POINT_BYTES = 65
_HALF_BYTES = 32
_DIGEST = ec.ECDSA(hashes.SHA256())

PrivateKey = ec.EllipticCurvePrivateKey | sm2.PrivateKey


@unique
class Suite(IntEnum):
    """Cipher suites of the mobile card, as the first byte of 9F10 names them."""

    AES_ES256 = 1  # CMAC with AES-128; ECDSA on P-256 with SHA-256
    SM4_SM2 = 2  # CMAC with SM4; SM2 with SM3


class Signer(Protocol):
    """A private key of either suite, wherever it is kept."""

    @property
    def suite(self) -> Suite: ...

    def sign(self, data: bytes) -> bytes:
        """r‖s over `data`, 64 bytes: ES256, or SM2 with SM3 under the default user id."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A verifying key of either suite. Raises `MalformedBytes` "public_key_malformed".

    Whether the point is on the suite's curve is asked when verifying.
    """

    suite: Suite
    point: bytes  # 33 bytes, SEC1 compressed

    def __post_init__(self) -> None:
        require(isinstance(self.suite, Suite), KEY_CODE, "unknown suite")
        require_compressed_point(self.point, KEY_CODE, "a public key")

    def verify(self, data: bytes, signature: bytes) -> bool:
        """True when `signature` (r‖s) over `data` is by this key."""
        return verify_signature(self.point, data, signature, self.suite)


def suite_of(private_key: PrivateKey) -> Suite:
    """The suite a private key signs for; raises `MalformedBytes` "public_key_malformed"."""
    if isinstance(private_key, sm2.PrivateKey):
        return Suite.SM4_SM2
    _require_p256(private_key.curve)
    return Suite.AES_ES256


def generate_private_key(suite: Suite) -> PrivateKey:
    """A fresh key for this suite."""
    match suite:
        case Suite.AES_ES256:
            return ec.generate_private_key(ec.SECP256R1())
        case Suite.SM4_SM2:
            return sm2.PrivateKey.generate()


def private_key_to_der(private_key: PrivateKey) -> bytes:
    """PKCS #8, unencrypted: for a store that only its owner can read."""
    if isinstance(private_key, sm2.PrivateKey):
        return private_key.to_der()
    return private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def private_key_from_der(der: bytes) -> PrivateKey:
    """From PKCS #8, which names the curve; raises `MalformedBytes` "signing_key_malformed"."""
    if sm2.is_der(der):
        return sm2.PrivateKey.from_der(der)
    try:
        key = load_der_private_key(der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise MalformedBytes(PRIVATE_KEY_CODE, "not a PKCS #8 key") from None
    if not (isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)):
        raise MalformedBytes(PRIVATE_KEY_CODE, "a key on neither curve")
    return key


def public_point(private_key: PrivateKey) -> bytes:
    """The public half, SEC1 compressed, 33 bytes: the form certificates carry."""
    if isinstance(private_key, sm2.PrivateKey):
        return private_key.public_key
    return compressed_point(private_key.public_key())


def signature_from_der(der: bytes) -> bytes:
    """r‖s, 32 bytes each, from the DER form that OpenSSL, HSMs and Android keystores give."""
    try:
        r, s = decode_dss_signature(der)
    except ValueError:
        raise MalformedBytes(CODE, "not a DER signature") from None
    if not (0 <= r < 1 << 256 and 0 <= s < 1 << 256):
        raise MalformedBytes(CODE, "r and s have 32 bytes each")
    return r.to_bytes(_HALF_BYTES) + s.to_bytes(_HALF_BYTES)


def sign(private_key: PrivateKey, data: bytes) -> bytes:
    """r‖s, 64 bytes, by the key's own suite; raises `MalformedBytes` for any third curve."""
    if isinstance(private_key, sm2.PrivateKey):
        return private_key.sign(data)
    _require_p256(private_key.curve)
    return signature_from_der(private_key.sign(data, _DIGEST))


def verify_signature(
    public_key: bytes, data: bytes, signature: bytes, suite: Suite = Suite.AES_ES256
) -> bool:
    """True when `signature` (r‖s) over `data` is by this SEC1 point (33 or 65 bytes).

    A point off the curve or a signature of another length is an untrue one: False, no exception.
    """
    if suite is Suite.SM4_SM2:
        return sm2.verify(public_key, data, signature)
    if len(signature) != SIGNATURE_BYTES:
        return False
    r, s = int.from_bytes(signature[:_HALF_BYTES]), int.from_bytes(signature[_HALF_BYTES:])
    try:
        load_public_key(public_key).verify(encode_dss_signature(r, s), data, _DIGEST)
    except (MalformedBytes, InvalidSignature):
        return False
    return True


def load_public_key(point: bytes) -> ec.EllipticCurvePublicKey:
    """The key object of a SEC1 point on P-256; raises `MalformedBytes` "public_key_malformed"."""
    if len(point) not in {COMPRESSED_POINT_BYTES, UNCOMPRESSED_POINT_BYTES}:
        raise MalformedBytes(KEY_CODE, "a SEC1 point has 33 or 65 bytes")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise MalformedBytes(KEY_CODE, "not a point on P-256") from None


def compressed_point(public_key: ec.EllipticCurvePublicKey) -> bytes:
    """A P-256 key as SEC1 compressed, 33 bytes: the form certificates carry."""
    _require_p256(public_key.curve)
    return public_key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def require_compressed_point(value: object, code: str, name: str) -> None:
    """33 bytes starting 02 or 03; whether the point is on a curve is the verifier's question."""
    require_bytes(value, COMPRESSED_POINT_BYTES, code, name)
    require(isinstance(value, bytes) and value[0] in {2, 3}, code, f"{name} starts 02 or 03")


def _require_p256(curve: ec.EllipticCurve) -> None:
    require(isinstance(curve, ec.SECP256R1), KEY_CODE, "the key is on P-256")
