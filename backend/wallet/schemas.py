"""Wire shapes of wallets, history and the ledger's proof."""

from __future__ import annotations

from marshmallow import fields, validate

from backend.wallet.cases import CaseKind, CaseState
from backend.wallet.matching import DayState
from backend.web import Moment, Shape, StrictInteger, TypeIdField, page_schema


class OpenWalletShape(Shape):
    wallet_id = TypeIdField("wal", required=True)


class WalletShape(Shape):
    wallet_id = TypeIdField("wal", required=True)
    state = fields.String(metadata={"example": "open"})
    account_class = fields.String(metadata={"example": "registered"})
    balance_fen = StrictInteger(metadata={"example": 20000, "description": "posted, in fen"})
    available_fen = StrictInteger(metadata={"example": 18750, "description": "less what is held"})
    ceiling_fen = StrictInteger(allow_none=True, metadata={"example": 500000})
    opened_at = Moment()


class HistoryLineShape(Shape):
    line_id = fields.String()
    time = Moment()
    code = fields.String(metadata={"example": "payment"})
    amount_fen = StrictInteger(metadata={"example": -1250, "description": "negative: spent"})
    balance_fen = StrictInteger(metadata={"description": "after this line"})
    reference = fields.String(metadata={"description": "id of the payment, top-up or refund"})
    counterparty = fields.String()


class LedgerProofShape(Shape):
    sum_fen = StrictInteger(metadata={"description": "debits less credits: always 0"})
    debits_fen = StrictInteger()
    credits_fen = StrictInteger()
    custody_fen = StrictInteger(metadata={"description": "备付金 in the books"})
    channel_receivable_fen = StrictInteger(metadata={"description": "paid, not yet on a statement"})
    owed_fen = StrictInteger(metadata={"description": "owed to citizens and merchants"})
    bank_reported_fen = StrictInteger()
    balanced = fields.Boolean()
    custody_equals_owed = fields.Boolean()


class MatchCustodyShape(Shape):
    business_date = fields.Date(required=True)


class SideTotalsShape(Shape):
    channel = fields.String(metadata={"example": "bank", "description": "or unknown: strangers'"})
    bank_lines = StrictInteger(metadata={"description": "on the statement"})
    bank_fen = StrictInteger()
    topups = StrictInteger(metadata={"description": "top-ups, drawers, batches of the day"})
    topups_fen = StrictInteger()
    posted_fen = StrictInteger(metadata={"description": "in the ledger"})
    rest_fen = StrictInteger(metadata={"description": "of a batch: refused, owed to the employer"})
    matched = StrictInteger(metadata={"description": "lines that agree on all sides"})
    matched_fen = StrictInteger()


class CustodyMatchShape(Shape):
    business_date = fields.Date()
    state = fields.Enum(DayState, by_value=True)
    matched = StrictInteger(metadata={"description": "booked into custody by this run"})
    amount_fen = StrictInteger(metadata={"description": "of these"})
    unmatched = fields.List(
        fields.String(), metadata={"description": "order ids on the statement that do not agree"}
    )
    cases_open = StrictInteger()
    cases_explained = StrictInteger()
    totals = fields.List(fields.Nested(SideTotalsShape))
    matched_at = Moment()
    closed_by = fields.String(allow_none=True)
    closed_at = Moment(allow_none=True)


class MatchCaseShape(Shape):
    business_date = fields.Date()
    subject = fields.String(metadata={"example": "top_01h455vb4pex5vsknk084sn02q"})
    kind = fields.Enum(CaseKind, by_value=True)
    bank_fen = StrictInteger(allow_none=True)
    ours_fen = StrictInteger(allow_none=True)
    ledger_fen = StrictInteger(allow_none=True)
    state = fields.Enum(CaseState, by_value=True)
    case_number = fields.String(allow_none=True)
    reason = fields.String(allow_none=True)
    explained_by = fields.String(allow_none=True)
    found_at = Moment()
    explained_at = Moment(allow_none=True)


class ExplainCaseShape(Shape):
    business_date = fields.Date(required=True)
    subject = fields.String(required=True, validate=validate.Length(1, 100))
    kind = fields.Enum(CaseKind, by_value=True, required=True)
    case_number = fields.String(
        required=True,
        validate=validate.Regexp(r"[A-Za-z0-9/_.-]{1,40}\Z"),
        metadata={"example": "2026-0147"},
    )
    reason = fields.String(required=True, validate=validate.Length(1, 200))


class CloseDayShape(Shape):
    business_date = fields.Date(required=True)


WalletPageShape = page_schema(WalletShape)
HistoryPageShape = page_schema(HistoryLineShape)
MatchCasePageShape = page_schema(MatchCaseShape)
