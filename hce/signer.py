"""A device key in software, for where there is no keystore; knows nothing of what it signs."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from card_protocol.errors import MalformedBytes
from card_protocol.signatures import compressed_point, sign

CODE = "signing_key_malformed"


class SoftwareSigner:
    """ES256 with a key in this process's memory; never printed."""

    def __init__(self, private_key: ec.EllipticCurvePrivateKey) -> None:
        """Raises `MalformedBytes` "public_key_malformed" for a key that is not on P-256."""
        self._key = private_key
        self.public_key = compressed_point(private_key.public_key())  # 33 bytes, SEC1

    def __repr__(self) -> str:
        return "SoftwareSigner(<secret>)"

    @classmethod
    def generate(cls) -> SoftwareSigner:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_der(cls, der: bytes) -> SoftwareSigner:
        """From PKCS #8; raises `MalformedBytes` "signing_key_malformed"."""
        try:
            key = load_der_private_key(der, password=None)
        except (ValueError, TypeError):
            raise MalformedBytes(CODE, "not a PKCS #8 key") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise MalformedBytes(CODE, "not an elliptic curve key")
        return cls(key)

    def to_der(self) -> bytes:
        """PKCS #8, unencrypted: for a store only its owner can read."""
        return self._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, data: bytes) -> bytes:
        return sign(self._key, data)
