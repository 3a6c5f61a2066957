"""The chain of seals: hashes and signatures. Knows bytes and keys, not money."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tools.verify_ledger.forms import LEAF_BYTES, Malformed, Seal, shown

FIRST_PREVIOUS_HASH = bytes(32)
SEGMENT_FORM = b"segment/1"


def leaf_of(line: bytes) -> bytes:
    """The first 16 bytes of SHA-256 over a posting's line, without its newline."""
    return hashlib.sha256(line).digest()[:LEAF_BYTES]


class Keyring:
    """The keys whose signatures count, each under its thumbprint (RFC 7638)."""

    def __init__(self, jwks: Sequence[Mapping[str, Any]]) -> None:
        """Raises Malformed for a JWK that is no P-256 key, or is named otherwise than it is."""
        self._keys = dict(_load(jwk) for jwk in jwks)

    def __len__(self) -> int:
        return len(self._keys)

    def find_fault(self, seal: Seal, number: int, previous_hash: bytes) -> str | None:
        """What is wrong with a seal that should be `number` and follow `previous_hash`."""
        if seal.number != number:
            return f"segment {number} is missing: this is segment {seal.number}"
        if seal.previous_hash != previous_hash:
            return "does not follow the segment before it"
        if len(seal.leaves) != LEAF_BYTES * seal.postings:
            return "has another number of leaves than of postings"
        if _hash_of(seal) != seal.segment_hash:
            return "its hash is not that of its content"
        return self._find_fault_in_signature(seal)

    def _find_fault_in_signature(self, seal: Seal) -> str | None:
        if (key := self._keys.get(seal.key_id)) is None:
            return f"signed by a key that is not trusted: {shown(seal.key_id)}"
        return None if _is_signed(key, seal) else "its signature is wrong"


def _hash_of(seal: Seal) -> bytes:
    counts = seal.number.to_bytes(8, "big") + seal.postings.to_bytes(8, "big")
    return hashlib.sha256(SEGMENT_FORM + counts + seal.previous_hash + seal.leaves).digest()


def _is_signed(key: ec.EllipticCurvePublicKey, seal: Seal) -> bool:
    """ES256 (RFC 7518, 3.4): r ‖ s over the segment's hash."""
    r, s = (int.from_bytes(half, "big") for half in (seal.signature[:32], seal.signature[32:]))
    try:
        key.verify(encode_dss_signature(r, s), seal.segment_hash, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _load(jwk: Mapping[str, Any]) -> tuple[str, ec.EllipticCurvePublicKey]:
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise Malformed("a key is not on P-256")
    try:
        x, y = (_coordinate(jwk.get(name)) for name in ("x", "y"))
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except (ValueError, TypeError, binascii.Error):
        raise Malformed("a key is not a point of P-256") from None
    required = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    canonical = json.dumps(required, sort_keys=True, separators=(",", ":"))
    name = base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=")
    if jwk.get("kid", name.decode()) != name.decode():
        raise Malformed("a key is not named by its thumbprint")
    return name.decode(), key


def _coordinate(value: Any) -> int:
    if type(value) is not str or len(value) != 43:
        raise ValueError("a coordinate is 32 bytes")
    return int.from_bytes(base64.b64decode(value + "=", altchars=b"-_", validate=True), "big")
