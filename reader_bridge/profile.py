"""What the backend told this terminal to accept; plain facts, no network."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reader_bridge.kernels.mobile_card import AcceptedApplication

ONLINE_TIMEOUT_SECONDS_MAX: Final = 60
_ITEMS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Profile:
    """The answer to GET /v1/terminal/profile, checked."""

    version: int
    terminal_id: str
    terminal_number: str  # 8 characters
    merchant_number: str  # 15 characters
    merchant_name: str
    shop_name: str
    applications: tuple[AcceptedApplication, ...]
    issuer_keys: Mapping[int, bytes]  # index -> SEC1 point, 65 bytes
    online_timeout_seconds: float


def profile_of(document: Mapping[str, Any]) -> Profile:
    """Raises ValueError, KeyError or TypeError for a document that is no profile."""
    applications = tuple(
        AcceptedApplication(bytes.fromhex(item["aid"]), str(item["label"]), int(item["priority"]))
        for item in document["applications"][:_ITEMS_MAX]
    )
    keys = {
        int(item["index"]): point_of(item["public_key"])
        for item in document["issuer_keys"][:_ITEMS_MAX]
    }
    seconds = float(document["online_timeout_seconds"])
    if not 0 < seconds <= ONLINE_TIMEOUT_SECONDS_MAX:
        raise ValueError("online_timeout_seconds is out of bounds")
    if int(document["currency"]) != 156:
        raise ValueError("this terminal counts in fen only")
    return Profile(
        version=int(document["profile_version"]),
        terminal_id=str(document["terminal_id"]),
        terminal_number=str(document["terminal_number"]),
        merchant_number=str(document["merchant_number"]),
        merchant_name=str(document["merchant_name"]),
        shop_name=str(document["shop_name"]),
        applications=applications,
        issuer_keys=keys,
        online_timeout_seconds=seconds,
    )


def point_of(jwk: Mapping[str, Any]) -> bytes:
    """A P-256 JWK (RFC 7518, 6.2.1) as an uncompressed SEC1 point. Raises ValueError."""
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise ValueError("an issuer key is on P-256")
    try:
        x, y = (
            base64.urlsafe_b64decode(str(jwk[name]) + "=" * (-len(str(jwk[name])) % 4))
            for name in ("x", "y")
        )
    except binascii.Error:
        raise ValueError("a coordinate is base64url") from None
    if len(x) != 32 or len(y) != 32:
        raise ValueError("a coordinate has 32 bytes")
    return b"\x04" + x + y
