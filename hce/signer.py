"""A device key of either suite in software, for where there is no keystore; knows no command."""

from __future__ import annotations

from card_protocol.signatures import (
    PrivateKey,
    Suite,
    generate_private_key,
    private_key_from_der,
    private_key_to_der,
    public_point,
    sign,
    suite_of,
)


class SoftwareSigner:
    """ES256 or SM2 by a key in this process's memory; never printed."""

    def __init__(self, private_key: PrivateKey) -> None:
        """Raises `MalformedBytes` "public_key_malformed" for a key on any third curve."""
        self._key = private_key
        self.suite = suite_of(private_key)
        self.public_key = public_point(private_key)  # 33 bytes, SEC1

    def __repr__(self) -> str:
        return "SoftwareSigner(<secret>)"

    @classmethod
    def generate(cls, suite: Suite = Suite.AES_ES256) -> SoftwareSigner:
        return cls(generate_private_key(suite))

    @classmethod
    def from_der(cls, der: bytes) -> SoftwareSigner:
        """From PKCS #8; raises `MalformedBytes` "signing_key_malformed"."""
        return cls(private_key_from_der(der))

    def to_der(self) -> bytes:
        """PKCS #8, unencrypted: for a store only its owner can read."""
        return private_key_to_der(self._key)

    def sign(self, data: bytes) -> bytes:
        """r‖s, 64 bytes."""
        return sign(self._key, data)
