"""Wire shapes of ride and identity codes."""

from __future__ import annotations

from marshmallow import fields, validate

from backend.web import B64u, Moment, Shape, TypeIdField, page_schema
from card_protocol.identity_code import TEXT_CHARACTERS_MAX, Claim, Purpose

PURPOSES = [one.name.lower() for one in Purpose]
CLAIMS = [str(one.name).lower() for one in Claim]


class SignedPartShape(Shape):
    content = B64u(metadata={"description": "the issuer's part, to be kept on the phone"})
    authorised_until = Moment()


class NumberedKeyShape(Shape):
    index = fields.Integer(metadata={"description": "as codes and certificates name it"})
    public_key = B64u(metadata={"description": "SEC1, compressed"})


class RideKeysShape(Shape):
    suite = fields.Function(
        lambda one: int(one.suite),
        metadata={"type": "integer", "description": "4: SM2 with SM3; 129: ES256"},
    )
    ca_keys = fields.List(fields.Nested(NumberedKeyShape))
    issuer_id = B64u()
    account_types = fields.List(fields.Integer())
    validity_seconds_max = fields.Integer()


class IdentityKeysShape(Shape):
    suite = fields.Integer(metadata={"description": "1: ES256"})
    issuer_keys = fields.List(fields.Nested(NumberedKeyShape))


class RegisterVerifierShape(Shape):
    purposes = fields.List(
        fields.String(validate=validate.OneOf(PURPOSES)),
        required=True,
        validate=validate.Length(1, len(PURPOSES)),
    )
    claims = fields.List(
        fields.String(validate=validate.OneOf(CLAIMS)),
        required=True,
        validate=validate.Length(1, len(CLAIMS)),
    )


class VerifierShape(Shape):
    merchant_id = TypeIdField("mer")
    purposes = fields.List(fields.String())
    claims = fields.List(fields.String())
    registered_at = Moment()


class ReleaseIdentityShape(Shape):
    content = fields.String(
        required=True,
        validate=validate.Length(1, TEXT_CHARACTERS_MAX),
        metadata={"description": "the text of the identity code"},
    )


class ReleaseNoteShape(Shape):
    """Who learnt what; the values are told to the verifier only."""

    release_id = TypeIdField("idr")
    merchant_id = TypeIdField("mer")
    purpose = fields.String(metadata={"enum": PURPOSES})
    claims = fields.List(fields.String(metadata={"enum": CLAIMS}))
    released_at = Moment()


class ReleaseShape(ReleaseNoteShape):
    values = fields.Dict(
        keys=fields.String(), metadata={"description": "exactly the claims, by their names"}
    )


ReleaseNotePage = page_schema(ReleaseNoteShape)
