"""HPKE sealing with a given ephemeral key (RFC 9180, 4.1 and 5.1), for vectors only.

Written apart from the library the product uses, which opens what this makes.
"""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_VERSION = b"HPKE-v1"
_KEM = b"KEM" + bytes.fromhex("0010")
_HPKE = b"HPKE" + bytes.fromhex("001000010001")


def seal_with(
    ephemeral: ec.EllipticCurvePrivateKey,
    recipient: ec.EllipticCurvePublicKey,
    info: bytes,
    content: bytes,
) -> bytes:
    """enc (65 bytes) ‖ ciphertext; one ephemeral key for ever is no secrecy at all."""
    enc, theirs = _point(ephemeral.public_key()), _point(recipient)
    pseudorandom = _extract(_KEM, b"", b"eae_prk", ephemeral.exchange(ec.ECDH(), recipient))
    secret = _expand(_KEM, pseudorandom, b"shared_secret", enc + theirs, 32)
    hashes = _extract(_HPKE, b"", b"psk_id_hash", b"") + _extract(_HPKE, b"", b"info_hash", info)
    root = _extract(_HPKE, secret, b"secret", b"")
    key = _expand(_HPKE, root, b"key", b"\x00" + hashes, 16)
    nonce = _expand(_HPKE, root, b"base_nonce", b"\x00" + hashes, 12)
    return enc + AESGCM(key).encrypt(nonce, content, b"")


def _extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), _VERSION + suite + label + material, "sha256")


def _expand(suite: bytes, key: bytes, label: bytes, context: bytes, length: int) -> bytes:
    info = length.to_bytes(2) + _VERSION + suite + label + context
    return hmac.digest(key, info + b"\x01", "sha256")[:length]


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
