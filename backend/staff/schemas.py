"""Wire shapes of staff log-in."""

from __future__ import annotations

from marshmallow import ValidationError, fields, validate

from backend.web import Shape


def _check_printable(text: str) -> None:
    """JSON can name half a surrogate pair, which no password has and no hash takes."""
    if not text.isprintable():
        raise ValidationError("printable characters only")


class StaffLogInShape(Shape):
    username = fields.String(
        required=True,
        validate=validate.Regexp(r"[A-Za-z0-9._-]{1,64}\Z"),
        metadata={"example": "operator"},
    )
    password = fields.String(required=True, validate=[validate.Length(1, 256), _check_printable])
    totp = fields.String(
        required=True,
        validate=validate.Regexp(r"[0-9]{6}\Z"),
        metadata={"example": "123456", "description": "6 digits of the authenticator (RFC 6238)"},
    )


class StaffSessionShape(Shape):
    csrf_token = fields.String(
        required=True, metadata={"description": "send it as X-CSRF-Token with unsafe methods"}
    )
    username = fields.String(required=True)
    roles = fields.List(fields.String(), required=True, metadata={"example": ["operator"]})
