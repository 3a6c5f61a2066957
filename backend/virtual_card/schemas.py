"""Wire shapes of devices and phone cards."""

from __future__ import annotations

from marshmallow import fields, validate

from backend.virtual_card.model import ATC_MAX
from backend.web import B64u, EcKey, Moment, Shape, StrictInteger, TypeIdField, page_schema


class EnrolDeviceShape(Shape):
    device_id = TypeIdField("dev", required=True)
    name = fields.String(
        required=True, validate=validate.Length(min=1, max=60), metadata={"example": "Pixel 9"}
    )
    signing_key = EcKey(required=True, metadata={"description": "JWK EC P-256"})
    sealing_key = EcKey(required=True, metadata={"description": "JWK EC P-256, for HPKE"})
    proof = fields.String(
        required=True,
        validate=validate.Length(max=4096),
        metadata={
            "description": "JWT, ES256 by signing_key: aud /v1/me/devices, jti = device_id, iat"
        },
    )


class DeviceShape(Shape):
    device_id = TypeIdField("dev")
    name = fields.String()
    state = fields.Function(
        lambda one: one.state.value, metadata={"type": "string", "enum": ["active", "ended"]}
    )
    enrolled_at = Moment()


class ProvisionShape(Shape):
    token_id = TypeIdField("tok", required=True)
    device_id = TypeIdField("dev", required=True)
    wallet_id = TypeIdField("wal", required=True)
    product = fields.String(
        required=True,
        validate=validate.Length(min=1, max=16),
        metadata={"example": "phone_card"},
    )


class KeysShape(Shape):
    """A limited-use key batch, sealed to the device."""

    key_index = fields.Integer()
    key_version = fields.Integer()
    suite = fields.Function(
        lambda one: int(one.suite),
        metadata={"type": "integer", "description": "1: AES-128 and ES256"},
    )
    sealed = B64u(metadata={"description": "HPKE (RFC 9180): enc ‖ ciphertext"})
    uses_max = fields.Integer()
    not_before = Moment()
    not_after = Moment()


class CardShape(Shape):
    token_id = TypeIdField("tok")
    token_number = fields.String(metadata={"description": "19 digits, Luhn"})
    short_number = fields.String(metadata={"description": "8 digits, in pay codes"})
    state = fields.Function(
        lambda one: one.state.value,
        metadata={"type": "string", "enum": ["active", "suspended", "deleted"]},
    )
    product = fields.String(metadata={"example": "phone_card"})
    label = fields.String(metadata={"example": "CITY CARD"})
    certificate = B64u(metadata={"description": "the record a terminal reads"})
    wallet_id = TypeIdField("wal")
    device_id = TypeIdField("dev")
    keys = fields.Nested(KeysShape, allow_none=True)


class RefillShape(Shape):
    atc = StrictInteger(
        required=True,
        validate=validate.Range(min=0, max=ATC_MAX),
        metadata={"description": "where the card's counter stands"},
    )


DevicePage = page_schema(DeviceShape)
CardPage = page_schema(CardShape)
