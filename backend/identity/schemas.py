"""Wire shapes of log-in, registration and the SMS sandbox."""

from __future__ import annotations

from marshmallow import ValidationError, fields, validate

from backend.web import EcKey, Moment, Shape, TypeIdField, page_schema
from backend.web.pages import LIMIT_DEFAULT, LIMIT_MAX

PHONE = {"example": "13800000001", "description": "mainland mobile number, 11 digits"}
ID_NUMBER = {"example": "999901198804120243", "description": "公民身份号码, 18 characters"}
CODE = {"example": "123456", "description": "the 6 digits of the SMS"}
REFRESH = {"description": "opaque; valid 30 days, works once, only with the session's device key"}
PROOF_MAX = 1024


def _check_printable(text: str) -> None:
    """JSON can name half a surrogate pair, which no name has and no database takes."""
    if not text.isprintable():
        raise ValidationError("printable characters only")


def _proof(purpose: str) -> fields.String:
    return fields.String(
        required=True,
        validate=validate.Regexp(rf"[!-~]{{1,{PROOF_MAX}}}\Z"),
        metadata={"description": f"JWT (ES256) by the device key: {purpose}"},
    )


class LoginCodeRequestShape(Shape):
    phone = fields.String(required=True, validate=validate.Length(max=32), metadata=PHONE)


class LoginCodeShape(Shape):
    challenge_id = TypeIdField("otc", required=True)
    expires_at = Moment(required=True)
    resend_at = Moment(
        required=True, metadata={"description": "from when this phone may ask for the next code"}
    )


class LogInShape(Shape):
    challenge_id = TypeIdField("otc", required=True)
    phone = fields.String(required=True, validate=validate.Length(max=32), metadata=PHONE)
    code = fields.String(required=True, validate=validate.Length(1, 16), metadata=CODE)
    device_key = EcKey(required=True, metadata={"description": "JWK, EC P-256"})
    device_name = fields.String(
        required=True,
        validate=[validate.Length(1, 64), _check_printable],
        metadata={"example": "Pixel 9"},
    )
    proof = _proof("aud /v1/login/sessions, jti = challenge_id, iat")


class RefreshShape(Shape):
    refresh_token = fields.String(required=True, validate=validate.Length(1, 256), metadata=REFRESH)
    proof = _proof("aud /v1/login/refresh, a fresh jti, iat")


class TokensShape(Shape):
    access_token = fields.String(required=True, metadata={"description": "JWT (ES256), bearer"})
    token_type = fields.String(required=True, metadata={"example": "Bearer"})
    expires_in = fields.Integer(required=True, metadata={"description": "seconds", "example": 600})
    refresh_token = fields.String(required=True, metadata=REFRESH)
    session_id = TypeIdField("ses", required=True)
    registered = fields.Boolean(
        required=True, metadata={"description": "whether the person is matched already"}
    )


class RegistrationShape(Shape):
    name = fields.String(
        required=True, validate=validate.Length(1, 128), metadata={"example": "林晓岚"}
    )
    id_number = fields.String(required=True, validate=validate.Length(1, 32), metadata=ID_NUMBER)


class PersonShape(Shape):
    person_id = TypeIdField("per", required=True)
    phone_masked = fields.String(required=True, metadata={"example": "138****0001"})
    name_masked = fields.String(required=True, allow_none=True, metadata={"example": "林**"})
    id_number_masked = fields.String(
        required=True, allow_none=True, metadata={"example": "999***********0243"}
    )
    registered = fields.Boolean(required=True)
    matched_at = Moment(required=True, allow_none=True)


class MessagesQueryShape(Shape):
    phone = fields.String(required=True, validate=validate.Length(max=32), metadata=PHONE)
    limit = fields.Integer(load_default=LIMIT_DEFAULT, validate=validate.Range(1, LIMIT_MAX))
    after = fields.Integer(
        load_default=None,
        allow_none=True,
        validate=validate.Range(1, 2**63 - 1),
        metadata={"description": "`next` of the page before"},
    )


class MessageShape(Shape):
    message_id = fields.String(
        required=True, metadata={"description": "of a login code: its challenge_id"}
    )
    phone = fields.String(required=True, metadata=PHONE)
    text = fields.String(required=True)
    sent_at = Moment(required=True)


MessagePageShape = page_schema(MessageShape)
