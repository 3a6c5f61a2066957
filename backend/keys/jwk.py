"""Public keys as others read them: JWK (RFC 7517) and its thumbprint (RFC 7638)."""

from __future__ import annotations

import base64
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

COORDINATE_BYTES = 32


def key_thumbprint(key: EllipticCurvePublicKey) -> str:
    """The thumbprint (RFC 7638) of a P-256 key: its own name, 43 characters."""
    members = json.dumps(key_to_jwk(key), sort_keys=True, separators=(",", ":"))
    return _b64u(hashlib.sha256(members.encode()).digest())


def public_jwk(key: EllipticCurvePublicKey) -> dict[str, str]:
    """The JWK of a P-256 key that signs ES256, named by its thumbprint."""
    return {**key_to_jwk(key), "kid": key_thumbprint(key), "alg": "ES256", "use": "sig"}


def key_to_jwk(key: EllipticCurvePublicKey) -> dict[str, str]:
    """The JWK of a P-256 public key, without a name or a use."""
    numbers = key.public_numbers()
    x, y = (_b64u(n.to_bytes(COORDINATE_BYTES, "big")) for n in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
