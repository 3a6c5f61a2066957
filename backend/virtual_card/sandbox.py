"""The sandbox's attester: signs statements about phones that do not exist, and judges them.

Its statements are compact JWS (RFC 7515), ES256, with claims nonce, key (SHA-256 of the compressed
point), model, key_protection, os_integrity, iat. Some models are faults on purpose.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from backend.keys import files
from backend.virtual_card.errors import AttestationInvalid, AttestationUnavailable
from backend.virtual_card.model import Attested, DeviceFacts, OsIntegrity

AGE_MAX_SECONDS = 300
MODEL_CHARACTERS_MAX = 60
PROTECTION: Final[Mapping[str, Attested]] = {
    "software": Attested.SOFTWARE,
    "trusted_environment": Attested.HARDWARE,
    "strongbox": Attested.HARDWARE,
}
UNREACHABLE = "sandbox-unreachable"
REVOKED = "sandbox-revoked"
FAULTS: Final[Mapping[str, str]] = {
    REVOKED: "key_revoked",
    "sandbox-unknown-root": "root_unknown",
}
"""Model -> why the judge refuses it, whatever else the statement says."""


class VendorKeyDamaged(Exception):
    """The file of the sandbox vendor's key holds none: told to the operator in one line."""


def digest_of(signing_key: bytes) -> str:
    """How a statement names the key it vouches for."""
    return _b64u(hashlib.sha256(signing_key).digest())


@dataclass(frozen=True, slots=True)
class SandboxVendor:
    """The maker's side: what a phone's keystore would say about itself."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)

    def attest(
        self,
        signing_key: bytes,
        nonce: bytes,
        at: datetime,
        *,
        model: str = "sandbox-phone",
        key_protection: str = "trusted_environment",
        os_integrity: str = "verified",
    ) -> bytes:
        """A statement about the compressed point `signing_key`."""
        claims = {
            "nonce": _b64u(nonce),
            "key": digest_of(signing_key),
            "model": model,
            "key_protection": key_protection,
            "os_integrity": os_integrity,
            "iat": int(at.timestamp()),
        }
        return jwt.encode(claims, self.key, algorithm="ES256").encode()


def open_vendor(path: Path) -> SandboxVendor:
    """The vendor whose key lies in `path` (PKCS#8, PEM, 0600); made when there is none yet.

    Phones that do not exist sign with it. Who trusts the vendor needs its public key only.
    Raises VendorKeyDamaged.
    """
    with files.alone(path):  # several processes may start at once
        if not path.exists():
            made = ec.generate_private_key(ec.SECP256R1())
            encoding = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            files.replace(path, made.private_bytes(*encoding))
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, TypeError, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise VendorKeyDamaged(f"{path} holds no P-256 key: remove it, and a new one is made")
    return SandboxVendor(key)


@dataclass(frozen=True, slots=True)
class SandboxAttester:
    """The judge's side; `root` is the vendor's public key."""

    root: ec.EllipticCurvePublicKey

    def verify(
        self, statement: bytes, signing_key: bytes, nonce: bytes, now: datetime
    ) -> DeviceFacts:
        """See `ports.Attestation`. Reasons: malformed, not_genuine, other_nonce, other_key, stale,
        and those of FAULTS."""
        claims = self._claims(statement)
        model = claims["model"]
        if model == UNREACHABLE:
            raise AttestationUnavailable
        if reason := FAULTS.get(model):
            raise AttestationInvalid(reason=reason)
        if not hmac.compare_digest(claims["nonce"].encode(), _b64u(nonce).encode()):
            raise AttestationInvalid(reason="other_nonce")
        if not hmac.compare_digest(claims["key"].encode(), digest_of(signing_key).encode()):
            raise AttestationInvalid(reason="other_key")
        if abs(int(now.timestamp()) - claims["iat"]) > AGE_MAX_SECONDS:
            raise AttestationInvalid(reason="stale")
        return DeviceFacts(
            PROTECTION[claims["key_protection"]], OsIntegrity(claims["os_integrity"]), model
        )

    def _claims(self, statement: bytes) -> Mapping[str, Any]:
        options: Any = {"verify_iat": False, "verify_exp": False, "verify_nbf": False}
        try:
            claims = jwt.decode(statement, self.root, algorithms=["ES256"], options=options)
        except (jwt.PyJWTError, RecursionError, UnicodeError):
            raise AttestationInvalid(reason="not_genuine") from None
        if not _is_whole(claims):
            raise AttestationInvalid(reason="malformed")
        return claims


def _is_whole(claims: Mapping[str, Any]) -> bool:
    names = ("nonce", "key", "model", "key_protection", "os_integrity")
    if not all(isinstance(claims.get(name), str) for name in names):
        return False
    return (
        type(claims.get("iat")) is int
        and 0 < len(claims["model"]) <= MODEL_CHARACTERS_MAX
        and claims["key_protection"] in PROTECTION
        and claims["os_integrity"] in {one.value for one in OsIntegrity}
        and claims["nonce"].isascii()
        and claims["key"].isascii()
    )


def _b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
