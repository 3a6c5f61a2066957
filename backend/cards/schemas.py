"""Wire shapes of the registry of purses."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, post_load, validate

from backend.cards.states import PurseEvent, PurseState
from backend.web import Moment, Shape, StrictInteger, TypeIdField

PURSE_NUMBER = validate.Regexp(r"\A0[0-9]{19}\Z")
"""As T-Union has it; another could never be put on a deny list (`card_protocol.deny_list`)."""
ISSUER_ID = validate.Regexp(r"\A[0-9a-fA-F]{16}\Z")
PLAIN_TEXT = validate.Regexp(r"\A[^\x00-\x1f\x7f\ud800-\udfff]*\Z")


class RegisterPurseShape(Shape):
    purse_number = fields.String(
        required=True,
        validate=PURSE_NUMBER,
        metadata={"example": "03105170070104791381", "description": "the application serial"},
    )
    issuer_id = fields.String(
        required=True, validate=ISSUER_ID, metadata={"example": "01011000ffffffff"}
    )
    suite = StrictInteger(
        required=True,
        validate=validate.OneOf([0, 4]),
        metadata={"description": "the algorithm byte of INITIALIZE: 0 3DES, 4 SM4"},
    )
    key_version = StrictInteger(required=True, validate=validate.Range(0, 255))
    product = fields.String(required=True, validate=validate.Regexp(r"\A[a-z0-9_]{1,32}\Z"))
    wallet_id = TypeIdField("wal", load_default=None, allow_none=True)

    @post_load
    def _lower(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {**data, "issuer_id": data["issuer_id"].lower()}


class ChangePurseShape(Shape):
    event = fields.Enum(PurseEvent, by_value=True, required=True)
    reason = fields.String(required=True, validate=[validate.Length(1, 100), PLAIN_TEXT])


class PurseShape(Shape):
    purse_number = fields.String()
    issuer_id = fields.String()
    suite = StrictInteger()
    key_version = StrictInteger()
    product = fields.String()
    wallet_id = fields.String(allow_none=True)
    state = fields.Enum(PurseState, by_value=True)
    registered_at = Moment()
    changed_at = Moment()


class PurseStateShape(Shape):
    purse_number = fields.String()
    state = fields.Enum(PurseState, by_value=True)
