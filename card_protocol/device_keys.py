"""What a phone signs when it makes its SM2 key known (docs/protocol/mobile-card.md, 5).

A phone is known by its P-256 key; a further key of it says whose it is. Knows no request.
"""

from __future__ import annotations

from typing import Final

from card_protocol.checks import require_printable
from card_protocol.signatures import PublicKey, Suite, require_compressed_point

CODE: Final = "device_key_malformed"
DEVICE_ID_CHARACTERS_MAX: Final = 64
# Said before everything else, so that no tap, code or log-in can pass for it.
CONTEXT: Final = b"CITY CARD device SM2 key 1\x00"


def statement(device_id: str, signing_key: bytes, sm2_key: bytes) -> bytes:
    """The bytes that the SM2 key signs: it is the key of this device, which has this P-256 key.

    Both keys are SEC1 compressed, 33 bytes. Raises `MalformedBytes` "device_key_malformed".
    """
    require_printable(device_id, 1, DEVICE_ID_CHARACTERS_MAX, CODE, "device_id")
    require_compressed_point(signing_key, CODE, "signing_key")
    require_compressed_point(sm2_key, CODE, "sm2_key")
    return CONTEXT + device_id.encode("ascii") + b"\x00" + signing_key + sm2_key


def is_proven(device_id: str, signing_key: bytes, sm2_key: bytes, proof: bytes) -> bool:
    """True when `proof` (r‖s, 64 bytes) is the SM2 key's own over `statement`.

    Raises `MalformedBytes` "device_key_malformed" as `statement` does; a point off the curve
    proves nothing.
    """
    signed = statement(device_id, signing_key, sm2_key)
    return PublicKey(Suite.SM4_SM2, sm2_key).verify(signed, proof)
