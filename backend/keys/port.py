"""What the rest of the backend may ask of keys; a software store or an HSM stands behind it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from backend.keys.derivations import CommandMac, Derivation, SessionMac, TacMac, TokenMac

VERSION_MAX = 255  # key versions travel in one byte: 9F10, certificates, the purse's answers


class KeyRef(Enum):
    """Every key there is, by purpose and algorithm. Its versions live in the key store."""

    TOKEN_MASTER = "token-master/aes128"  # noqa: S105 - a name
    TOKEN_MASTER_SM4 = "token-master/sm4"  # noqa: S105
    ISSUER_SIGNING = "issuer-signing/es256"
    ISSUER_SIGNING_SM2 = "issuer-signing/sm2"
    PURCHASE_3DES = "issuer-purchase/3des"
    PURCHASE_SM4 = "issuer-purchase/sm4"
    LOAD_3DES = "issuer-load/3des"
    LOAD_SM4 = "issuer-load/sm4"
    TAC_3DES = "issuer-tac/3des"
    TAC_SM4 = "issuer-tac/sm4"
    MAINTENANCE_3DES = "issuer-maintenance/3des"
    MAINTENANCE_SM4 = "issuer-maintenance/sm4"
    PIN_3DES = "issuer-pin/3des"
    PIN_SM4 = "issuer-pin/sm4"
    TRANSPORT = "transport/aes256kw"  # wraps card keys for personalisation, and keys brought here
    ACCESS_TOKENS = "access-tokens/es256"
    PII_CIPHER = "pii-cipher/aes256gcm"
    PII_INDEX = "pii-index/hmac-sha256"
    ANSWERS = "answers/hmac-sha256"
    SECRETS = "secrets/hmac-sha256"  # one-time codes, activation codes, refresh tokens
    MERCHANT_CODES = "merchant-codes/hmac-sha256"
    BANK_NOTICES = "bank-notices/hmac-sha256"
    LEDGER_SEAL = "ledger-seal/es256"
    AUDIT_SEAL = "audit-seal/es256"
    RIDE_CA = "ride-ca/es256"  # vouches for the issuer of ride codes
    RIDE_ISSUER = "ride-issuer/es256"
    TERMINAL_PROFILE = "terminal-profile/es256"  # signs terminals' profiles and the deny list

    purpose: str
    algorithm: str

    def __init__(self, name: str) -> None:
        self.purpose, _, self.algorithm = name.partition("/")

    def named(self, version: int) -> str:
        """The full name of a version: `token-master/aes128/1`."""
        return f"{self.value}/{version}"


DERIVATIONS: Mapping[str, type[Derivation]] = {
    "token-master": TokenMac,
    "issuer-purchase": SessionMac,
    "issuer-load": SessionMac,
    "issuer-tac": TacMac,
    "issuer-maintenance": CommandMac,
    "issuer-pin": CommandMac,
}
"""Purpose -> the one way its keys are used: one key, one use."""

DELIVERED = frozenset({"token-master"})
"""Purposes whose derived keys are meant for somebody else (limited-use keys, sealed to a phone)."""


class KeyUnknown(Exception):
    """A key is missing or cannot do what was asked: a fault of the installation, no refusal."""


class VersionUnknown(KeyUnknown):
    """This key has no such version, or it was retired: what names it is refused."""


class KeyUnavailable(Exception):
    """The device that holds the key does not answer now; nothing was done, asking again is safe."""


class Keys(Protocol):
    """Operations with named keys.

    `version` None is the active one. Each raises KeyUnknown for a key of another algorithm, a
    version that is not there or was retired (VersionUnknown), and KeyUnavailable when an HSM does
    not answer.
    """

    def active_version(self, ref: KeyRef) -> int:
        """The version for new work. Who writes it down asks once and names it afterwards."""

    def mac(self, ref: KeyRef, data: bytes, version: int | None = None) -> bytes:
        """HMAC-SHA-256 (RFC 2104): 32 bytes."""

    def verify_mac(self, ref: KeyRef, data: bytes, mac: bytes, length: int = 32) -> bool:
        """Whether `mac` is the first `length` bytes of any usable version's HMAC."""

    def derive(self, ref: KeyRef, context: bytes, length: int, version: int | None = None) -> bytes:
        """`length` bytes bound to `context`, by NIST SP 800-108 (counter mode, CMAC).

        Only for purposes in DELIVERED.
        """

    def derive_and_mac(
        self, ref: KeyRef, how: Derivation, data: bytes, version: int | None = None
    ) -> bytes:
        """The MAC over `data` under a card's or token's own key, which is not handed out.

        16 bytes of CMAC for TokenMac, else the 4 bytes that cards and terminals exchange.
        """

    def sign(self, ref: KeyRef, data: bytes, version: int | None = None) -> bytes:
        """ES256 (RFC 7518, 3.4) or SM2 with SM3 (GM/T 0003.2): r ‖ s, 64 bytes."""

    def verify(
        self, ref: KeyRef, data: bytes, signature: bytes, version: int | None = None
    ) -> bool:
        """Whether this version, or with None any usable one, has signed."""

    def public_key(self, ref: KeyRef, version: int | None = None) -> EllipticCurvePublicKey:
        """The public half of an ES256 key."""

    def public_keys(self, ref: KeyRef) -> Mapping[int, EllipticCurvePublicKey]:
        """Version -> public half of every ES256 version that is announced, active or verifies."""

    def public_point(self, ref: KeyRef, version: int | None = None) -> bytes:
        """The public half of a signing key of any suite: SEC1, 65 bytes, uncompressed."""

    def public_points(self, ref: KeyRef) -> Mapping[int, bytes]:
        """Version -> public half, as `public_keys` lists them, of a signing key of any suite."""

    def encrypt(self, ref: KeyRef, plain: bytes, context: bytes) -> bytes:
        """AES-256-GCM bound to `context`; the version is part of the bytes (docs/adr/0015)."""

    def decrypt(self, ref: KeyRef, sealed: bytes, context: bytes) -> bytes:
        """The inverse; raises KeyUnknown when key, context or bytes do not belong together."""

    def look(self) -> bool:
        """Read the store again if it changed; whether it had.

        For who meets what no version known here has made: another process may have rotated a
        moment ago. Everybody else finds new versions within a second, without asking.
        """

    def wrap(
        self, transport: KeyRef, ref: KeyRef, factors: tuple[bytes, ...], version: int | None = None
    ) -> bytes:
        """A card's key for its personalisation, wrapped under `transport` (RFC 3394): 24 bytes."""
