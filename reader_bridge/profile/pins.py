"""The keys this terminal believes: those that sign its profile and the deny list."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from card_protocol.errors import MalformedBytes
from card_protocol.signed_document import point_of_jwk
from reader_bridge.faults import TerminalFault

PINS_MAX: Final = 16

Pins = Mapping[str, bytes]
"""Name (RFC 7638 thumbprint, 43 characters) -> SEC1 point, 65 bytes."""


def pins_of(jwks: object) -> dict[str, bytes]:
    """From a list of JWKs; the name is computed here, never taken from the sender.

    Raises TerminalFault(profile_malformed).
    """
    if not isinstance(jwks, Sequence) or isinstance(jwks, str) or len(jwks) > PINS_MAX:
        raise TerminalFault("profile_malformed", reason="keys")
    pins = {}
    for jwk in jwks:
        if not isinstance(jwk, Mapping):
            raise TerminalFault("profile_malformed", reason="keys")
        try:
            pins[thumbprint(jwk)] = point_of_jwk(jwk)
        except MalformedBytes as error:
            raise TerminalFault("profile_malformed", reason=error.reason) from None
    return pins


def jwks_of(pins: Pins) -> list[dict[str, str]]:
    """The inverse of `pins_of`."""
    return [
        {"kty": "EC", "crv": "P-256", "x": _b64u(point[1:33]), "y": _b64u(point[33:])}
        for point in pins.values()
    ]


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """RFC 7638, 3.2: SHA-256 over the required members of an EC key."""
    members = {name: jwk.get(name) for name in ("crv", "kty", "x", "y")}
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return _b64u(hashlib.sha256(text.encode()).digest())


def deny_list_keys(pins: Pins) -> dict[bytes, bytes]:
    """The same keys under the names that parts of the deny list use: 32 bytes each."""
    return {base64.urlsafe_b64decode(name + "="): point for name, point in pins.items()}


def _b64u(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
