"""Short JWTs callers sign with their own key: proofs of possession and RFC 7523 assertions."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from backend.kernel import DomainError, Kind, Words
from backend.keys.jwk import CURVES
from card_protocol import sm2
from card_protocol.errors import MalformedBytes
from card_protocol.signatures import Suite

SKEW_MAX_SECONDS = 300
COORDINATE_BYTES = 32
COORDINATE_FORM = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")  # one text per number


class ProofInvalid(DomainError):
    kind, code = Kind.UNAUTHENTICATED, "proof_invalid"
    title = Words(zh="签名证明无效", en="Proof not accepted")
    detail = Words(
        zh="密钥签名、用途或时间不符，请检查本机时间后重试。",
        en="Key, purpose or time of the signed proof does not fit; check the device's clock.",
    )


def jwk_to_key(jwk: object) -> ec.EllipticCurvePublicKey:
    """The P-256 public key in a JWK. Raises ProofInvalid for anything else."""
    if not isinstance(jwk, Mapping) or jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise ProofInvalid
    try:
        x, y = (_coordinate(jwk.get(name)) for name in ("x", "y"))
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except (ValueError, TypeError, binascii.Error):
        raise ProofInvalid from None


def jwk_to_sm2(jwk: object) -> bytes:
    """The SM2 public key in a JWK: SEC1 compressed, 33 bytes. Raises ProofInvalid else."""
    curve = CURVES[Suite.SM4_SM2]
    if not isinstance(jwk, Mapping) or jwk.get("kty") != "EC" or jwk.get("crv") != curve:
        raise ProofInvalid
    try:
        x, y = (_coordinate(jwk.get(name)).to_bytes(COORDINATE_BYTES) for name in ("x", "y"))
        return sm2.compressed(b"\x04" + x + y)
    except (ValueError, TypeError, binascii.Error, MalformedBytes):
        raise ProofInvalid from None


def check_proof(
    token: str, key: ec.EllipticCurvePublicKey, *, audience: str, now: datetime
) -> Mapping[str, Any]:
    """The claims of a JWT signed ES256 by `key` for `audience` within 300 s of `now`.

    Claims `aud`, `iat` and `jti` are required. Raises ProofInvalid.
    """
    options: Any = {
        "require": ["aud", "iat", "jti"],
        "verify_iat": False,
        "verify_exp": False,
        "verify_nbf": False,
    }
    try:
        claims = jwt.decode(token, key, algorithms=["ES256"], audience=audience, options=options)
    except (jwt.PyJWTError, RecursionError, UnicodeError):  # parsed before it is trusted
        raise ProofInvalid from None
    issued, jti = claims["iat"], claims["jti"]
    if type(issued) is not int or not isinstance(jti, str) or not 0 < len(jti) <= 128:
        raise ProofInvalid
    if abs(int(now.timestamp()) - issued) > SKEW_MAX_SECONDS:
        raise ProofInvalid
    return claims


def _coordinate(text: object) -> int:
    if not isinstance(text, str) or not COORDINATE_FORM.fullmatch(text):
        raise ValueError("a coordinate is 32 bytes")
    return int.from_bytes(base64.urlsafe_b64decode(text + "="), "big")
