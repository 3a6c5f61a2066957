"""Wire shapes of top-ups by every channel."""

from __future__ import annotations

from marshmallow import fields, validate

from backend.wallet.topups.batch_model import LINES_MAX, PART_MAX, BatchState
from backend.wallet.topups.counter_model import Payer
from backend.wallet.topups.model import TopUpState
from backend.web import Fen, Moment, Shape, StrictInteger, TypeIdField, page_schema


def _bank_card() -> fields.String:
    return fields.String(
        required=True,
        validate=validate.Regexp(r"\A[0-9]{16,19}\Z"),
        metadata={"example": "6217000010001234569", "description": "16 to 19 digits, a debit card"},
    )


class RequestTopUpShape(Shape):
    topup_id = TypeIdField("top", required=True)
    wallet_id = TypeIdField("wal", required=True)
    amount_fen = Fen(required=True)
    bank_card = _bank_card()


class TopUpShape(Shape):
    topup_id = TypeIdField("top")
    wallet_id = TypeIdField("wal")
    amount_fen = Fen()
    state = fields.Enum(TopUpState, by_value=True)
    failure_code = fields.String(allow_none=True)
    bank_card_masked = fields.String(metadata={"example": "····4560"})
    automatic = fields.Boolean(metadata={"description": "asked for by a standing order"})
    created_at = Moment()
    settled_at = Moment(allow_none=True)
    ask_again_at = Moment(allow_none=True)


class OrderAutomaticShape(Shape):
    threshold_fen = Fen(required=True, metadata={"example": 2000})
    amount_fen = Fen(required=True, metadata={"example": 10000})
    month_max_fen = Fen(required=True, metadata={"example": 50000})
    bank_card = _bank_card()


class AutomaticTopUpShape(Shape):
    wallet_id = TypeIdField("wal")
    threshold_fen = Fen(metadata={"description": "asked below this, top-ups under way counted"})
    amount_fen = Fen()
    month_max_fen = Fen()
    month_fen = StrictInteger(metadata={"description": "asked for in this month, not declined"})
    state = fields.String(metadata={"example": "active", "description": "or paused"})
    paused_code = fields.String(allow_none=True, metadata={"example": "bank_card_blocked"})
    bank_card_masked = fields.String(metadata={"example": "····4560"})
    made_at = Moment()


# --- internal network: counters -------------------------------------------------------------------


def _counter() -> fields.String:
    return fields.String(
        required=True,
        validate=validate.Regexp(r"[a-z0-9-]{1,32}\Z"),
        metadata={"example": "hall-1"},
    )


class TakeCashShape(Shape):
    topup_id = TypeIdField("csh", required=True)
    counter = _counter()
    wallet_id = TypeIdField("wal", required=True)
    amount_fen = Fen(required=True)
    payer = fields.Enum(Payer, by_value=True, load_default=Payer.PERSON)


class ReverseCashShape(Shape):
    counter = _counter()
    reason = fields.String(required=True, validate=validate.Length(1, 200))


class CashTopUpShape(Shape):
    topup_id = TypeIdField("csh")
    counter = fields.String()
    business_date = fields.Date()
    wallet_id = TypeIdField("wal")
    amount_fen = Fen()
    debt_fen = StrictInteger(metadata={"description": "of it: paid an open ride"})
    balance_fen = StrictInteger(metadata={"description": "afterwards"})
    payer = fields.Enum(Payer, by_value=True)
    state = fields.String(metadata={"example": "posted", "description": "or reversed"})
    taken_by = fields.String()
    taken_at = Moment()
    reversed_at = Moment(allow_none=True)


class CountDrawerShape(Shape):
    counter = _counter()
    business_date = fields.Date(required=True)
    counted_fen = StrictInteger(required=True, validate=validate.Range(min=0, max=2**53))


class DrawerArguments(Shape):
    counter = _counter()
    business_date = fields.Date(required=True)


class DrawerShape(Shape):
    drawer_id = TypeIdField("drw")  # goes on the deposit slip
    counter = fields.String()
    business_date = fields.Date()
    state = fields.String(metadata={"example": "open", "description": "or counted"})
    taken = StrictInteger()
    taken_fen = StrictInteger()
    returned = StrictInteger()
    returned_fen = StrictInteger()
    book_fen = StrictInteger(metadata={"description": "what must lie in it"})
    counted_fen = StrictInteger(allow_none=True)
    difference_fen = StrictInteger(allow_none=True, metadata={"description": "negative: missing"})
    counted_by = fields.String(allow_none=True)


# --- internal network: batches --------------------------------------------------------------------


class OpenBatchShape(Shape):
    batch_id = TypeIdField("bat", required=True)
    employer = fields.String(required=True, validate=validate.Length(1, 120))
    lines = StrictInteger(required=True, metadata={"example": 2, "description": "up to 10 000"})
    total_fen = StrictInteger(required=True, metadata={"example": 30000})


class FillBatchShape(Shape):
    first = StrictInteger(
        required=True,
        validate=validate.Range(1, LINES_MAX),
        metadata={"example": 1, "description": "number of the first of these lines"},
    )
    lines = fields.List(
        fields.Raw(
            metadata={
                "type": "object",
                "example": {"wallet_id": "wal_…", "amount_fen": 15000, "reference": "0042"},
            }
        ),
        required=True,
        validate=validate.Length(1, PART_MAX),
    )


class SubmitBatchShape(Shape):
    """No fields: the batch is in the path."""


class DecideBatchShape(Shape):
    event = fields.String(required=True, validate=validate.OneOf(["approve", "reject"]))


class BatchShape(Shape):
    batch_id = TypeIdField("bat")
    employer = fields.String()
    state = fields.Enum(BatchState, by_value=True)
    lines = StrictInteger()
    total_fen = StrictInteger()
    waiting = StrictInteger()
    posted = StrictInteger()
    posted_fen = StrictInteger()
    refused = StrictInteger()
    refused_fen = StrictInteger(metadata={"description": "not funded: owed to the employer"})
    uploaded_by = fields.String()
    decided_by = fields.String(allow_none=True)
    created_at = Moment()
    decided_at = Moment(allow_none=True)
    done_at = Moment(allow_none=True)


class BatchLineShape(Shape):
    number = StrictInteger()
    wallet_id = TypeIdField("wal")
    amount_fen = Fen()
    reference = fields.String()
    state = fields.String(metadata={"example": "posted", "description": "or waiting, refused"})
    code = fields.String(allow_none=True, metadata={"example": "ceiling_exceeded"})


BatchLinePageShape = page_schema(BatchLineShape)
