"""ES256 over raw r‖s signatures and SEC1 points; knows nothing of what is signed.

The SM suite (SM2 with SM3) has a number here and nothing more: computing with it is refused.
"""

from __future__ import annotations

from enum import IntEnum, unique

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from card_protocol.checks import require, require_bytes
from card_protocol.errors import MalformedBytes, SuiteNotSupported

CODE = "signature_malformed"
KEY_CODE = "public_key_malformed"
SIGNATURE_BYTES = 64
COMPRESSED_POINT_BYTES = 33
UNCOMPRESSED_POINT_BYTES = 65
_HALF_BYTES = 32
_DIGEST = ec.ECDSA(hashes.SHA256())


@unique
class Suite(IntEnum):
    """Cipher suites of the mobile card, as the first byte of 9F10 names them."""

    AES_ES256 = 1  # CMAC with AES-128; ECDSA on P-256 with SHA-256
    SM4_SM2 = 2  # CMAC with SM4; SM2 with SM3


def require_computable(suite: Suite) -> None:
    """Raise `SuiteNotSupported` for a suite this build only knows by name."""
    if suite is not Suite.AES_ES256:
        raise SuiteNotSupported(f"suite {suite!r} cannot be computed here")


def signature_from_der(der: bytes) -> bytes:
    """r‖s, 32 bytes each, from the DER form that OpenSSL, HSMs and Android keystores give."""
    try:
        r, s = decode_dss_signature(der)
    except ValueError:
        raise MalformedBytes(CODE, "not a DER signature") from None
    if not (0 <= r < 1 << 256 and 0 <= s < 1 << 256):
        raise MalformedBytes(CODE, "r and s have 32 bytes each")
    return r.to_bytes(_HALF_BYTES) + s.to_bytes(_HALF_BYTES)


def sign(private_key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """ES256 as r‖s (64 bytes); the key is on P-256."""
    require(isinstance(private_key.curve, ec.SECP256R1), KEY_CODE, "the key is on P-256")
    return signature_from_der(private_key.sign(data, _DIGEST))


def verify_signature(
    public_key: bytes, data: bytes, signature: bytes, suite: Suite = Suite.AES_ES256
) -> bool:
    """True when `signature` (r‖s) over `data` is by this SEC1 point (33 or 65 bytes).

    A point off the curve or a signature of another length is an untrue one: False, no exception.
    """
    require_computable(suite)
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
    """SEC1 compressed, 33 bytes: the form certificates carry."""
    require(isinstance(public_key.curve, ec.SECP256R1), KEY_CODE, "the key is on P-256")
    return public_key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def require_compressed_point(value: object, code: str, name: str) -> None:
    """33 bytes starting 02 or 03; whether the point is on a curve is the verifier's question."""
    require_bytes(value, COMPRESSED_POINT_BYTES, code, name)
    require(isinstance(value, bytes) and value[0] in {2, 3}, code, f"{name} starts 02 or 03")
