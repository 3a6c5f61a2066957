"""Wire shapes of what staff does about purses: SAMs, lost outcomes, loads that hang."""

from __future__ import annotations

from marshmallow import fields, validate

from backend.payments.offline.schemas import Hex
from backend.payments.purses.loss_model import LossState, LossVerdict
from backend.payments.purses.states import LoadState
from backend.payments.schemas import PLAIN_TEXT
from backend.web import (
    Fen,
    Moment,
    PageArguments,
    Shape,
    StrictInteger,
    TypeIdField,
    page_schema,
)
from card_protocol.epurse.transactions import BALANCE_MAX_FEN

NOTE = [validate.Length(1, 100), PLAIN_TEXT]


class BindSamShape(Shape):
    sam_number = Hex(12, metadata={"description": "the SAM's terminal number, 6 bytes"})


class BoundSamShape(Shape):
    sam_number = fields.String()
    terminal_id = TypeIdField("trm")
    bound_by = fields.String(metadata={"description": "who said so; `upload`: nobody had"})
    bound_at = Moment()


class BoundSamsShape(Shape):
    data = fields.List(fields.Nested(BoundSamShape))


class OpenLossShape(Shape):
    loss_id = TypeIdField("los", required=True)
    terminal_id = TypeIdField("trm", required=True)
    purse_number = fields.String(required=True, validate=validate.Regexp(r"\A[0-9]{20}\Z"))
    reference = fields.String(required=True, validate=[validate.Length(1, 64), PLAIN_TEXT])
    purchase_counter = StrictInteger(
        required=True,
        validate=validate.Range(0, 0xFFFF),
        metadata={"description": "INITIALIZE's, of the chip before the sale"},
    )
    balance_before_fen = StrictInteger(required=True, validate=validate.Range(0, BALANCE_MAX_FEN))
    amount_fen = Fen(required=True, validate=validate.Range(1, BALANCE_MAX_FEN))


class RefundLossShape(Shape):
    """`wallet_id`: for an unregistered purse; a registered one has its own."""

    note = fields.String(required=True, validate=NOTE)
    wallet_id = TypeIdField("wal", load_default=None, allow_none=True)


class EndShape(Shape):
    note = fields.String(required=True, validate=NOTE)


class LossShape(Shape):
    loss_id = TypeIdField("los")
    purse_number = fields.String()
    terminal_id = TypeIdField("trm")
    merchant_id = TypeIdField("mer")
    shop_name = fields.String()
    reference = fields.String()
    purchase_counter = StrictInteger()
    balance_before_fen = StrictInteger()
    amount_fen = Fen()
    verdict = fields.Enum(
        LossVerdict, by_value=True, metadata={"description": "what later uploads say"}
    )
    state = fields.Enum(LossState, by_value=True)
    opened_by = fields.String()
    opened_at = Moment()
    decided_by = fields.String(allow_none=True)
    decided_at = Moment(allow_none=True)
    note = fields.String(allow_none=True)


class LossArguments(PageArguments):
    state = fields.Enum(LossState, by_value=True, load_default=LossState.OPEN)


class LoadArguments(PageArguments):
    state = fields.Enum(LoadState, by_value=True, load_default=LoadState.BEGUN)


class StaffLoadShape(Shape):
    """A load without MAC2: that is the chip's."""

    load_id = TypeIdField("lod")
    purse_number = fields.String()
    amount_fen = Fen()
    state = fields.Enum(LoadState, by_value=True)
    transaction_time = fields.String(metadata={"example": "20261123100000"})
    told_by = fields.String(allow_none=True)
    is_contradicted = fields.Boolean()


LossPage = page_schema(LossShape)
StaffLoadPage = page_schema(StaffLoadShape)
