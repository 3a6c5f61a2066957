"""The phone's key pairs behind a port. Knows nothing of requests or cards.

Two P-256 pairs, one to sign and one to open what is sealed to the phone, and an SM2 pair to sign
for a card of the SM suite. A phone's keystore stands behind `DeviceKeys`; `SoftwareDeviceKeys` is
for where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from card_protocol import sm2
from card_protocol.errors import MalformedBytes
from card_protocol.key_batch import HPKE_SUITE
from card_protocol.signatures import (
    PrivateKey,
    Suite,
    generate_private_key,
    private_key_from_der,
    private_key_to_der,
    sign,
    suite_of,
)
from sdk_mobile.errors import KeysUnreadable, StorageDamaged
from sdk_mobile.shapes import b64u
from sdk_mobile.storage import Storage

COORDINATE_BYTES = 32
SIGNING, SEALING, SM2_SIGNING = "device_signing_key", "device_sealing_key", "device_sm2_signing_key"
SIGNING_NAMES: Mapping[Suite, str] = MappingProxyType(
    {Suite.AES_ES256: SIGNING, Suite.SM4_SM2: SM2_SIGNING}
)
# UNSURE: no name is registered for the SM2 curve in JWKs; the backend takes the same one.
CURVES: Mapping[Suite, str] = MappingProxyType({Suite.AES_ES256: "P-256", Suite.SM4_SM2: "SM2"})


class DeviceKeys(Protocol):
    """What a keystore must do for us. Private keys never leave it."""

    @property
    def suites(self) -> frozenset[Suite]:
        """What it can sign with; ES256 is always among them, since proofs are signed so."""

    def signing_public_key(self, suite: Suite = Suite.AES_ES256) -> bytes:
        """SEC1, uncompressed, 65 bytes, on the suite's curve."""

    def sealing_public_key(self) -> bytes:
        """SEC1, uncompressed, 65 bytes, on P-256."""

    def sign(self, data: bytes, suite: Suite = Suite.AES_ES256) -> bytes:
        """Raw r and s, 64 bytes: ECDSA P-256 with SHA-256 (RFC 7518, section 3.4), or SM2 with SM3
        under the user id of `card_protocol.sm2`."""

    def hpke_open(self, sealed: bytes, info: bytes) -> bytes:
        """Opens RFC 9180 base mode, suite of `card_protocol.key_batch`. Raises KeysUnreadable."""


class SoftwareDeviceKeys:
    """Keys kept in storage, each in a document of its own, made when first asked for."""

    suites = frozenset(Suite)

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._loaded: dict[str, PrivateKey] = {}

    def __repr__(self) -> str:
        return "SoftwareDeviceKeys(<secret>)"

    def signing_public_key(self, suite: Suite = Suite.AES_ES256) -> bytes:
        return _public_bytes(self._key(SIGNING_NAMES[suite], suite))

    def sealing_public_key(self) -> bytes:
        return _public_bytes(self._key(SEALING, Suite.AES_ES256))

    def sign(self, data: bytes, suite: Suite = Suite.AES_ES256) -> bytes:
        return sign(self._key(SIGNING_NAMES[suite], suite), data)

    def hpke_open(self, sealed: bytes, info: bytes) -> bytes:
        key = self._key(SEALING, Suite.AES_ES256)
        assert isinstance(key, ec.EllipticCurvePrivateKey)  # `_key` gives the suite asked for
        try:
            return HPKE_SUITE.decrypt(sealed, key, info)
        except (InvalidTag, ValueError):
            raise KeysUnreadable("altered, or sealed for another phone") from None

    def _key(self, name: str, suite: Suite) -> PrivateKey:
        if name not in self._loaded:
            with self._storage.exclusive():
                self._loaded[name] = self._find(name, suite) or self._make(name, suite)
        return self._loaded[name]

    def _find(self, name: str, suite: Suite) -> PrivateKey | None:
        raw = self._storage.read(name)
        if raw is None:
            return None
        try:
            key = private_key_from_der(raw)
        except MalformedBytes:
            raise StorageDamaged(self._storage.describe(name), "not a private key") from None
        if suite_of(key) is not suite:
            raise StorageDamaged(self._storage.describe(name), "a key of another suite")
        return key

    def _make(self, name: str, suite: Suite) -> PrivateKey:
        key = generate_private_key(suite)
        self._storage.write(name, private_key_to_der(key))
        return key


def jwk(public_key: bytes, suite: Suite = Suite.AES_ES256) -> dict[str, str]:
    """A SEC1 uncompressed point as a JSON Web Key (RFC 7517, RFC 7518 section 6.2)."""
    x, y = public_key[1 : 1 + COORDINATE_BYTES], public_key[1 + COORDINATE_BYTES :]
    return {"kty": "EC", "crv": CURVES[suite], "x": b64u(x), "y": b64u(y)}


def compressed(point: bytes) -> bytes:
    """SEC1 compressed, 33 bytes, from uncompressed (65 bytes), on either curve."""
    return bytes((2 + (point[-1] & 1),)) + point[1 : 1 + COORDINATE_BYTES]


def _public_bytes(key: PrivateKey) -> bytes:
    if isinstance(key, sm2.PrivateKey):
        return sm2.uncompressed(key.public_key)
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
