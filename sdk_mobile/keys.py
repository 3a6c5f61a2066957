"""The phone's two P-256 key pairs behind a port. Knows nothing of requests or cards.

A phone's keystore stands behind `DeviceKeys`; `SoftwareDeviceKeys` is for where there is none.
"""

from __future__ import annotations

from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from card_protocol.key_batch import HPKE_SUITE
from sdk_mobile.errors import KeysUnreadable, StorageDamaged
from sdk_mobile.shapes import b64u
from sdk_mobile.storage import Storage

COORDINATE_BYTES = 32
SIGNING, SEALING = "device_signing_key", "device_sealing_key"


class DeviceKeys(Protocol):
    """What a keystore must do for us. Private keys never leave it."""

    def signing_public_key(self) -> bytes:
        """SEC1, uncompressed, 65 bytes."""

    def sealing_public_key(self) -> bytes:
        """SEC1, uncompressed, 65 bytes."""

    def sign(self, data: bytes) -> bytes:
        """ECDSA P-256 with SHA-256; raw r and s, 64 bytes (RFC 7518, section 3.4)."""

    def hpke_open(self, sealed: bytes, info: bytes) -> bytes:
        """Opens RFC 9180 base mode, suite of `card_protocol.key_batch`. Raises KeysUnreadable."""


class SoftwareDeviceKeys:
    """Keys kept in storage, each in a document of its own, made when first asked for."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._loaded: dict[str, ec.EllipticCurvePrivateKey] = {}

    def __repr__(self) -> str:
        return "SoftwareDeviceKeys(<secret>)"

    def signing_public_key(self) -> bytes:
        return _public_bytes(self._key(SIGNING))

    def sealing_public_key(self) -> bytes:
        return _public_bytes(self._key(SEALING))

    def sign(self, data: bytes) -> bytes:
        der = self._key(SIGNING).sign(data, ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(der)
        return r.to_bytes(COORDINATE_BYTES, "big") + s.to_bytes(COORDINATE_BYTES, "big")

    def hpke_open(self, sealed: bytes, info: bytes) -> bytes:
        try:
            return HPKE_SUITE.decrypt(sealed, self._key(SEALING), info)
        except (InvalidTag, ValueError):
            raise KeysUnreadable("altered, or sealed for another phone") from None

    def _key(self, name: str) -> ec.EllipticCurvePrivateKey:
        if name not in self._loaded:
            with self._storage.exclusive():
                self._loaded[name] = self._find(name) or self._make(name)
        return self._loaded[name]

    def _find(self, name: str) -> ec.EllipticCurvePrivateKey | None:
        raw = self._storage.read(name)
        if raw is None:
            return None
        try:
            key = load_der_private_key(raw, password=None)
        except ValueError:
            raise StorageDamaged(self._storage.describe(name), "not a private key") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise StorageDamaged(self._storage.describe(name), "not a P-256 key")
        return key

    def _make(self, name: str) -> ec.EllipticCurvePrivateKey:
        key = ec.generate_private_key(ec.SECP256R1())
        self._storage.write(
            name, key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        )
        return key


def jwk(public_key: bytes) -> dict[str, str]:
    """A SEC1 uncompressed P-256 point as a JSON Web Key (RFC 7517, RFC 7518 section 6.2)."""
    x, y = public_key[1 : 1 + COORDINATE_BYTES], public_key[1 + COORDINATE_BYTES :]
    return {"kty": "EC", "crv": "P-256", "x": b64u(x), "y": b64u(y)}


def _public_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
