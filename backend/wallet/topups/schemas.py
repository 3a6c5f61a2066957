"""Wire shapes of top-ups."""

from __future__ import annotations

from marshmallow import fields, validate

from backend.wallet.topups.model import TopUpState
from backend.web import Fen, Moment, Shape, TypeIdField


class RequestTopUpShape(Shape):
    topup_id = TypeIdField("top", required=True)
    wallet_id = TypeIdField("wal", required=True)
    amount_fen = Fen(required=True)
    bank_card = fields.String(
        required=True,
        validate=validate.Regexp(r"\A[0-9]{16,19}\Z"),
        metadata={"example": "6217000010001234569", "description": "16 to 19 digits"},
    )


class TopUpShape(Shape):
    topup_id = TypeIdField("top")
    wallet_id = TypeIdField("wal")
    amount_fen = Fen()
    state = fields.Enum(TopUpState, by_value=True)
    failure_code = fields.String(allow_none=True)
    bank_card_masked = fields.String(metadata={"example": "····4560"})
    created_at = Moment()
    settled_at = Moment(allow_none=True)
    ask_again_at = Moment(allow_none=True)
