"""A signed JSON document between backend and terminal: compact JWS (RFC 7515), ES256 only.

The type is part of what is signed, so one document never passes for another. Knows no clock: the
caller reads `iat` and `exp`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

from card_protocol.checks import require
from card_protocol.errors import CodeRefused, MalformedBytes
from card_protocol.signatures import SIGNATURE_BYTES, UNCOMPRESSED_POINT_BYTES, verify_signature

CODE = "document_malformed"
KEY_CODE = "document_key_unknown"
ALTERED_CODE = "document_altered"
ALGORITHM = "ES256"
CHARACTERS_MAX = 1024 * 1024
_HEADER_NAMES = frozenset({"alg", "typ", "kid"})


def encode_document(
    kind: str, key_name: str, claims: Mapping[str, Any], sign: Callable[[bytes], bytes]
) -> str:
    """The text; `sign` gives r‖s (64 bytes) over the signing input (RFC 7515, 5.1)."""
    header = {"alg": ALGORITHM, "kid": key_name, "typ": kind}
    signed = f"{_b64u(_json(header))}.{_b64u(_json(claims))}"
    return f"{signed}.{_b64u(sign(signed.encode()))}"


def open_document(kind: str, text: str, keys: Mapping[str, bytes]) -> Mapping[str, Any]:
    """The claims of a document of this kind. `keys`: name -> SEC1 point on P-256.

    Raises `MalformedBytes` "document_malformed", `CodeRefused` key_unknown, altered.
    """
    require(isinstance(text, str) and len(text) <= CHARACTERS_MAX, CODE, "too long")
    require(text.isascii() and text.count(".") == 2, CODE, "not three parts")
    head, body, signature = text.split(".")
    header = _object(head)
    require(header.keys() == _HEADER_NAMES, CODE, "unknown header members")
    require((header["alg"], header["typ"]) == (ALGORITHM, kind), CODE, "another kind")
    point = keys.get(str(header["kid"]))
    if point is None:
        raise CodeRefused(KEY_CODE, "signed with a key that is not known here")
    raw = decode_b64u(signature)
    is_whole = len(raw) == SIGNATURE_BYTES
    if not (is_whole and verify_signature(point, f"{head}.{body}".encode(), raw)):
        raise CodeRefused(ALTERED_CODE, "the signature does not fit")
    return _object(body)


def point_of_jwk(jwk: Mapping[str, Any]) -> bytes:
    """A P-256 JWK (RFC 7518, 6.2.1) as a SEC1 point, 65 bytes. Raises `MalformedBytes`."""
    require((jwk.get("kty"), jwk.get("crv")) == ("EC", "P-256"), CODE, "a key is on P-256")
    point = b"\x04" + b"".join(decode_b64u(str(jwk.get(name))) for name in ("x", "y"))
    require(len(point) == UNCOMPRESSED_POINT_BYTES, CODE, "a coordinate has 32 bytes")
    return point


def decode_b64u(text: str) -> bytes:
    """base64url without padding, in its one spelling. Raises `MalformedBytes`."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise MalformedBytes(CODE, "not base64url") from None
    require(_b64u(raw) == text, CODE, "not the one spelling of base64url")
    return raw


def _object(part: str) -> dict[str, Any]:
    try:
        document = json.loads(decode_b64u(part))
    except (ValueError, RecursionError) as error:
        if isinstance(error, MalformedBytes):
            raise
        raise MalformedBytes(CODE, "not JSON") from None
    require(isinstance(document, dict), CODE, "not an object")
    return dict(document)


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(
        document, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    ).encode()


def _b64u(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
