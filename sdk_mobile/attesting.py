"""Who vouches for the phone's keys: the platform, behind a port. Knows nothing of the network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from card_protocol.signatures import compressed_point, sign
from sdk_mobile.clock import phone_seconds
from sdk_mobile.shapes import b64u

KEY_FILE_BYTES_MAX = 4096
MODEL = "sandbox-phone"


class Attester(Protocol):
    """The phone's platform (key attestation, app attestation), asked once, at enrolment."""

    def attest(self, signing_key: bytes, nonce: bytes) -> bytes | None:
        """The platform's signed statement about this key, for this nonce; None when it has none.

        `signing_key`: SEC1 uncompressed, 65 bytes, P-256; the city's judge says what the
        statement looks like. What it raises, `enrol_device` raises: nothing was sent then.
        """


@dataclass(frozen=True, slots=True)
class SandboxPlatform:
    """The platform of a phone that does not exist; the sandbox's vendor vouches for its keys.

    Statements are compact JWS (RFC 7515), ES256, with the claims nonce, key (SHA-256 of the
    compressed point), model, key_protection, os_integrity, iat.
    """

    vendor_key: ec.EllipticCurvePrivateKey = field(repr=False)
    clock: Callable[[], float] = phone_seconds

    @classmethod
    def load(cls, path: Path, clock: Callable[[], float] = phone_seconds) -> SandboxPlatform:
        """With the key (PKCS#8, PEM) in the city's `sandbox_vendor.pem`. Raises ValueError."""
        try:
            with path.open("rb") as file:
                key = load_pem_private_key(file.read(KEY_FILE_BYTES_MAX), password=None)
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from None
        except (TypeError, ValueError, UnsupportedAlgorithm):
            key = None
        is_p256 = isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1"
        if not is_p256:
            raise ValueError(f"{path}: not a P-256 key")
        assert isinstance(key, ec.EllipticCurvePrivateKey)  # said above
        return cls(key, clock)

    def attest(self, signing_key: bytes, nonce: bytes) -> bytes:
        """See `Attester`."""
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), signing_key)
        digest = Hash(SHA256())
        digest.update(compressed_point(public))
        claims: dict[str, str | int] = {
            "nonce": b64u(nonce),
            "key": b64u(digest.finalize()),
            "model": MODEL,
            "key_protection": "trusted_environment",
            "os_integrity": "verified",
            "iat": int(self.clock()),
        }
        signing_input = f"{_part({'alg': 'ES256', 'typ': 'JWT'})}.{_part(claims)}".encode()
        return signing_input + b"." + b64u(sign(self.vendor_key, signing_input)).encode()


def _part(value: Mapping[str, str | int]) -> str:
    return b64u(json.dumps(value, separators=(",", ":")).encode())
