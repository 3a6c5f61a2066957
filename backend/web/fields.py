"""Fields of the wire: fen, TypeIDs, base64url bytes, keys, moments. Strict: no guessing."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from marshmallow import ValidationError, fields, validate

from backend.kernel import AMOUNT_MAX_FEN, check_id
from backend.kernel.ids import IdInvalid
from backend.keys import key_to_jwk, point_to_jwk
from backend.web.assertions import ProofInvalid, jwk_to_key, jwk_to_sm2
from card_protocol import sm2
from card_protocol.signatures import Suite

BYTES_MAX = 4096
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1  # what a BIGINT column holds


class StrictInteger(fields.Integer):
    """A JSON whole number: not "1", not 1.0, not true."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(strict=True, **arguments)

    def _validated(self, value: Any) -> int:
        if type(value) is not int:
            raise self.make_error("invalid")
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise self.make_error("too_large")
        return value


class Fen(StrictInteger):
    """An amount in fen, 1 to 2^31-1 unless the range is given."""

    def __init__(self, *, minimum: int = 1, **arguments: Any) -> None:
        arguments.setdefault("validate", validate.Range(min=minimum, max=AMOUNT_MAX_FEN))
        metadata = {"description": "whole fen", **arguments.pop("metadata", {})}
        super().__init__(metadata=metadata, **arguments)


class TypeIdField(fields.String):
    """A TypeID with a given prefix."""

    def __init__(self, prefix: str, **arguments: Any) -> None:
        metadata = {"example": f"{prefix}_01h455vb4pex5vsknk084sn02q"}
        super().__init__(metadata=metadata, **arguments)
        self.prefix = prefix

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            return check_id(text, self.prefix)
        except IdInvalid:
            raise ValidationError(f"TypeID {self.prefix}_…") from None


class B64u(fields.String):
    """Bytes as base64url without padding (RFC 7515, section 2)."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if len(text) > BYTES_MAX:
            raise self.make_error("invalid")
        try:
            found = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            raise self.make_error("invalid") from None
        # The decoder skips what it does not know: only the one text for these bytes is theirs.
        if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != text:
            raise self.make_error("invalid")
        return found

    def _serialize(self, value: Any, attr: Any, obj: Any, **kwargs: Any) -> Any:
        if value is None:
            return None
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class EcKey(fields.Field[EllipticCurvePublicKey]):
    """A P-256 public key as JWK (RFC 7517, section 6.2.1 of RFC 7518)."""

    def _deserialize(
        self, value: Any, attr: Any, data: Any, **kwargs: Any
    ) -> EllipticCurvePublicKey:
        try:
            return jwk_to_key(value)
        except ProofInvalid:
            raise ValidationError("JWK EC P-256") from None

    def _serialize(self, value: Any, attr: Any, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else key_to_jwk(value)


class Sm2Key(fields.Field[bytes]):
    """An SM2 public key as JWK with our own `crv` "SM2" (docs/adr/0019); SEC1, 33 bytes, here."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> bytes:
        try:
            return jwk_to_sm2(value)
        except ProofInvalid:
            raise ValidationError("JWK EC SM2") from None

    def _serialize(self, value: Any, attr: Any, obj: Any, **kwargs: Any) -> Any:
        if value is None:
            return None
        return point_to_jwk(sm2.uncompressed(value), Suite.SM4_SM2)


class Moment(fields.DateTime):
    """RFC 3339 with offset."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(format="iso", **arguments)

    def _serialize(self, value: datetime | None, attr: Any, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else value.isoformat(timespec="milliseconds")
