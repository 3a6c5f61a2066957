"""What the backend told this terminal to accept; plain facts, no network."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from card_protocol.signatures import Suite
from reader_bridge.kernels.mobile_card import AcceptedApplication, IssuerKeys

ONLINE_TIMEOUT_SECONDS_MAX: Final = 60
# UNSURE: no name is registered for the SM2 curve in JWKs; the backend writes the same one.
CURVES: Final[Mapping[Suite, str]] = MappingProxyType(
    {Suite.AES_ES256: "P-256", Suite.SM4_SM2: "SM2"}
)
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
    issuer_keys: IssuerKeys
    online_timeout_seconds: float


def profile_of(document: Mapping[str, Any]) -> Profile:
    """Raises ValueError, KeyError or TypeError for a document that is no profile."""
    applications = tuple(
        AcceptedApplication(bytes.fromhex(item["aid"]), str(item["label"]), int(item["priority"]))
        for item in document["applications"][:_ITEMS_MAX]
    )
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
        issuer_keys=issuer_keys_of(document["issuer_keys"]),
        online_timeout_seconds=seconds,
    )


def issuer_keys_of(items: Sequence[Mapping[str, Any]]) -> IssuerKeys:
    """By suite and index. A key without suite is ES256's; one of a suite that this terminal does
    not know is passed over, so that a new suite stops no terminal.

    Raises ValueError, KeyError or TypeError, also for one name with two keys.
    """
    keys: dict[tuple[Suite, int], bytes] = {}
    for item in items[:_ITEMS_MAX]:
        number = item.get("suite", int(Suite.AES_ES256))
        if type(number) is not int:
            raise ValueError("a suite is a whole number")
        if number not in set(Suite):
            continue
        name = Suite(number), int(item["index"])
        point = point_of(item["public_key"], name[0])
        if keys.setdefault(name, point) != point:
            raise ValueError("two keys of one suite and index")
    return keys


def point_of(jwk: Mapping[str, Any], suite: Suite = Suite.AES_ES256) -> bytes:
    """A JWK (RFC 7518, 6.2.1) on the suite's curve as an uncompressed SEC1 point, 65 bytes.

    Whether the point is on the curve is asked when verifying. Raises ValueError.
    """
    if jwk.get("kty") != "EC" or jwk.get("crv") != CURVES[suite]:
        raise ValueError("an issuer key is on its suite's curve")
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
