"""The keys an issuer seals to one device, and the sealing; stores nothing.

Sealed with HPKE (RFC 9180), base mode, single shot, empty aad: DHKEM(P-256, HKDF-SHA256),
HKDF-SHA256, AES-128-GCM. On the wire: enc (65 bytes, uncompressed point) ‖ ciphertext.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM
from cryptography.hazmat.primitives.hpke import Suite as HpkeSuite

from card_protocol.checks import U32_MAX, require, require_bytes, require_whole
from card_protocol.errors import MalformedBytes
from card_protocol.token_number import require_token_number

CODE = "key_batch_malformed"
UNOPENED_CODE = "key_batch_unopened"
VERSION = 1
LIMITED_USE_KEY_BYTES = 16
PAY_CODE_KEY_BYTES = 32
BATCH_BYTES = 1 + LIMITED_USE_KEY_BYTES + PAY_CODE_KEY_BYTES
SEALED_BYTES = 65 + BATCH_BYTES + 16
INFO_CONTEXT = b"CITY CARD key batch 1\x00"
HPKE_SUITE = HpkeSuite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_128_GCM)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class KeyBatch:
    """One limited-use key for taps and one for pay codes; never printed.

    Raises `MalformedBytes` "key_batch_malformed".
    """

    limited_use_key: bytes  # 16 bytes
    pay_code_key: bytes  # 32 bytes

    def __post_init__(self) -> None:
        require_bytes(self.limited_use_key, LIMITED_USE_KEY_BYTES, CODE, "limited_use_key")
        require_bytes(self.pay_code_key, PAY_CODE_KEY_BYTES, CODE, "pay_code_key")

    def __repr__(self) -> str:
        return "KeyBatch(<secret>)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KeyBatch):
            return NotImplemented
        return hmac.compare_digest(self.encode(), other.encode())

    def __hash__(self) -> int:
        return hash(self.encode())

    def encode(self) -> bytes:
        """Version 01 ‖ limited-use key ‖ pay code key, 49 bytes."""
        return bytes((VERSION,)) + self.limited_use_key + self.pay_code_key

    @classmethod
    def decode(cls, body: bytes) -> KeyBatch:
        require_bytes(body, BATCH_BYTES, CODE, "a key batch")
        require(body[0] == VERSION, CODE, "unknown version")
        split = 1 + LIMITED_USE_KEY_BYTES
        return cls(body[1:split], body[split:])


def seal_info(token_number: str, key_index: int) -> bytes:
    """HPKE `info`: a batch opens only for the token and index it was sealed for."""
    require_token_number(token_number)
    require_whole(key_index, 0, U32_MAX, CODE, "key_index")
    return INFO_CONTEXT + token_number.encode("ascii") + key_index.to_bytes(4)


def seal(
    batch: KeyBatch,
    device_sealing_public_key: ec.EllipticCurvePublicKey,
    token_number: str,
    key_index: int,
) -> bytes:
    """130 bytes only this device can open; fresh randomness each time."""
    _require_p256(device_sealing_public_key.curve)
    info = seal_info(token_number, key_index)
    return HPKE_SUITE.encrypt(batch.encode(), device_sealing_public_key, info)


def open_sealed(
    sealed: bytes,
    device_sealing_private_key: ec.EllipticCurvePrivateKey,
    token_number: str,
    key_index: int,
) -> KeyBatch:
    """The batch; raises `MalformedBytes` "key_batch_unopened" when altered or not for us."""
    _require_p256(device_sealing_private_key.curve)
    require_bytes(sealed, SEALED_BYTES, UNOPENED_CODE, "a sealed key batch")
    info = seal_info(token_number, key_index)
    try:
        body = HPKE_SUITE.decrypt(sealed, device_sealing_private_key, info)
    except (InvalidTag, ValueError):
        raise MalformedBytes(UNOPENED_CODE, "altered, or sealed for another") from None
    return KeyBatch.decode(body)


def _require_p256(curve: ec.EllipticCurve) -> None:
    require(isinstance(curve, ec.SECP256R1), "public_key_malformed", "the key is on P-256")
