"""What the rest of the backend may ask of keys; a software store or an HSM stands behind it."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey


class KeyRef(Enum):
    """Every key there is, by name: the value names algorithm and version too."""

    TOKEN_MASTER = "token-master/aes128/1"  # noqa: S105 - a name
    ISSUER_SIGNING = "issuer-signing/es256/1"
    ACCESS_TOKENS = "access-tokens/es256/1"
    PII_CIPHER = "pii-cipher/aes256gcm/1"
    PII_INDEX = "pii-index/hmac-sha256/1"
    ANSWERS = "answers/hmac-sha256/1"
    SECRETS = "secrets/hmac-sha256/1"  # one-time codes, activation codes, refresh tokens
    MERCHANT_CODES = "merchant-codes/hmac-sha256/1"
    BANK_NOTICES = "bank-notices/hmac-sha256/1"
    LEDGER_SEAL = "ledger-seal/es256/1"

    @property
    def algorithm(self) -> str:
        return self.value.split("/")[1]


class KeyUnknown(Exception):
    """A key is missing or cannot do what was asked: a fault of the installation, no refusal."""


class Keys(Protocol):
    """Operations with named keys. Each raises KeyUnknown for a key of another algorithm."""

    def mac(self, ref: KeyRef, data: bytes) -> bytes:
        """HMAC-SHA-256 (RFC 2104): 32 bytes."""

    def derive(self, ref: KeyRef, context: bytes, length: int) -> bytes:
        """`length` bytes bound to `context`, by NIST SP 800-108 (counter mode, AES-CMAC)."""

    def sign(self, ref: KeyRef, data: bytes) -> bytes:
        """ES256 (RFC 7518, 3.4): r ‖ s, 64 bytes."""

    def public_key(self, ref: KeyRef) -> EllipticCurvePublicKey:
        """The public half of a signing key."""

    def encrypt(self, ref: KeyRef, plain: bytes, context: bytes) -> bytes:
        """AES-256-GCM: nonce(12) ‖ ciphertext ‖ tag(16), bound to `context`."""

    def decrypt(self, ref: KeyRef, sealed: bytes, context: bytes) -> bytes:
        """The inverse; raises KeyUnknown when key, context or bytes do not belong together."""
