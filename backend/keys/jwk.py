"""Public keys as others read them: JWK (RFC 7517) and its thumbprint (RFC 7638).

UNSURE: no name is registered for the SM2 curve in JWKs; ours is `SM2`, as the phone's.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from card_protocol.signatures import Suite

COORDINATE_BYTES = 32
CURVES: Mapping[Suite, str] = MappingProxyType({Suite.AES_ES256: "P-256", Suite.SM4_SM2: "SM2"})


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
    x, y = (n.to_bytes(COORDINATE_BYTES, "big") for n in (numbers.x, numbers.y))
    return _jwk(x, y, Suite.AES_ES256)


def point_to_jwk(point: bytes, suite: Suite) -> dict[str, str]:
    """The JWK of a suite's public key (SEC1 uncompressed, 65 bytes), without a name or a use."""
    return _jwk(point[1 : 1 + COORDINATE_BYTES], point[1 + COORDINATE_BYTES :], suite)


def _jwk(x: bytes, y: bytes, suite: Suite) -> dict[str, str]:
    return {"kty": "EC", "crv": CURVES[suite], "x": _b64u(x), "y": _b64u(y)}


def _b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
