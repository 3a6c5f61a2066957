"""How a code's signatures are checked: one loader of public keys per suite; knows no code.

A loader takes a SEC1 point once and gives a check to keep: what costs the most (unpacking a
compressed point) is then done once per key, not once per code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from card_protocol import sm2
from card_protocol.signatures import load_public_key

SignatureCheck = Callable[[bytes, bytes], bool]
"""(data, signature r‖s of 64 bytes) -> is it by this key; never raises for a wrong signature."""

KeyLoader = Callable[[bytes], SignatureCheck]
"""SEC1 point (33 bytes) -> its check; raises `MalformedBytes` when it is not a point."""

_DIGEST = ec.ECDSA(hashes.SHA256())
_HALF_BYTES = 32


def load_es256(point: bytes) -> SignatureCheck:
    """The check of ES256 signatures; raises `MalformedBytes` "public_key_malformed"."""
    verify = load_public_key(point).verify

    def is_genuine(data: bytes, signature: bytes) -> bool:
        r = int.from_bytes(signature[:_HALF_BYTES])
        s = int.from_bytes(signature[_HALF_BYTES:])
        try:
            verify(encode_dss_signature(r, s), data, _DIGEST)
        except InvalidSignature:
            return False
        return True

    return is_genuine


def load_sm2(point: bytes) -> SignatureCheck:
    """The check of SM2 signatures; raises `MalformedBytes` "public_key_malformed"."""
    return partial(sm2.verify, sm2.uncompressed(point))
