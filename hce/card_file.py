"""One card as text: JSON with a digest, so that a damaged byte is noticed; opens no file.

The digest finds accidents, not attackers: who can write the file owns the card anyway.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from card_protocol.checks import require
from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import Certificate, Suite
from card_protocol.signatures import PublicKey, require_compressed_point
from hce.ports import LimitedUseKey
from hce.signer import SoftwareSigner
from hce.state import CardState

CODE = "card_file_malformed"
FORMAT, VERSION = "city-card-file", 1
FILE_BYTES_MAX = 16_384


@dataclass(frozen=True, slots=True, repr=False)
class CardRecord:
    """A card and, where no keystore holds it, its signing key. Never printed.

    `issuer_public_key` (SEC1, 33 bytes, of the certificate's suite) is there only for a card that
    vouches for itself.
    Raises `MalformedBytes`.
    """

    state: CardState
    signing_key: bytes | None = None  # PKCS #8
    issuer_public_key: bytes | None = None

    def __post_init__(self) -> None:
        if self.signing_key is not None:
            signer = SoftwareSigner.from_der(self.signing_key)
            is_own = PublicKey(signer.suite, signer.public_key) == self.state.certificate.device_key
            require(is_own, CODE, "the signing key is not the certificate's")
        if self.issuer_public_key is not None:
            require_compressed_point(self.issuer_public_key, CODE, "issuer_public_key")

    def __repr__(self) -> str:
        return "CardRecord(<secret>)"

    def encode(self) -> bytes:
        state = self.state
        card = {
            "certificate": _text(state.certificate.encode()),
            "atc": state.atc,
            "is_suspended": state.is_suspended,
            "key": None if state.key is None else _encode_key(state.key),
            "signing_key": _text(self.signing_key),
            "issuer_public_key": _text(self.issuer_public_key),
        }
        document = {"format": FORMAT, "version": VERSION, "digest": _digest(card), "card": card}
        return json.dumps(document, indent=1).encode("ascii") + b"\n"

    @classmethod
    def decode(cls, body: bytes) -> CardRecord:
        """Raises `MalformedBytes`; its text never quotes the body."""
        try:
            return cls._from_card(_checked_card(body))
        except (KeyError, TypeError, RecursionError):
            raise MalformedBytes(CODE, "fields are missing or of a wrong kind") from None

    @classmethod
    def _from_card(cls, card: dict[str, Any]) -> CardRecord:
        if not isinstance(card["is_suspended"], bool):
            raise MalformedBytes(CODE, "is_suspended is true or false")
        state = CardState(
            certificate=Certificate.decode(_bytes(card["certificate"]) or b""),
            atc=card["atc"],
            key=None if card["key"] is None else _decode_key(card["key"]),
            is_suspended=card["is_suspended"],
        )
        return cls(state, _bytes(card["signing_key"]), _bytes(card["issuer_public_key"]))


def _checked_card(body: bytes) -> dict[str, Any]:
    if len(body) > FILE_BYTES_MAX:
        raise MalformedBytes(CODE, "too long")
    try:
        document = json.loads(body)
    except ValueError:  # also bytes that are no UTF-8
        raise MalformedBytes(CODE, "not JSON, or cut short") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise MalformedBytes(CODE, "not a card file")
    if document.get("version") != VERSION:
        raise MalformedBytes(CODE, "of another version of this program")
    card, told = document["card"], document["digest"]
    if not isinstance(card, dict) or not isinstance(told, str):
        raise MalformedBytes(CODE, "fields are missing or of a wrong kind")
    if not hmac.compare_digest(_digest(card).encode(), told.encode()):
        raise MalformedBytes(CODE, "its digest does not match")
    return card


def _digest(card: dict[str, Any]) -> str:
    text = json.dumps(card, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _encode_key(key: LimitedUseKey) -> dict[str, Any]:
    return {
        "index": key.index,
        "version": key.version,
        "value": _text(key.value),
        "uses_left": key.uses_left,
        "not_after": key.not_after,
        "suite": int(key.suite),
    }


def _decode_key(fields: dict[str, Any]) -> LimitedUseKey:
    if fields["suite"] not in set(Suite):
        raise MalformedBytes(CODE, "unknown suite")
    return LimitedUseKey(
        index=fields["index"],
        version=fields["version"],
        value=_bytes(fields["value"]) or b"",
        uses_left=fields["uses_left"],
        not_after=fields["not_after"],
        suite=Suite(fields["suite"]),
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.urlsafe_b64encode(value).decode("ascii")


def _bytes(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise MalformedBytes(CODE, "a field is not base64url") from None
