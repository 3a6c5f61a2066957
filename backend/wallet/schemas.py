"""Wire shapes of wallets, history and the ledger's proof."""

from __future__ import annotations

from marshmallow import fields

from backend.web import Fen, Moment, Shape, StrictInteger, TypeIdField, page_schema


class OpenWalletShape(Shape):
    wallet_id = TypeIdField("wal", required=True)


class WalletShape(Shape):
    wallet_id = TypeIdField("wal", required=True)
    state = fields.String(metadata={"example": "open"})
    account_class = fields.String(metadata={"example": "registered"})
    balance_fen = StrictInteger(metadata={"example": 20000, "description": "posted, in fen"})
    available_fen = StrictInteger(metadata={"example": 18750, "description": "less what is held"})
    ceiling_fen = StrictInteger(metadata={"example": 500000})
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


class CustodyMatchShape(Shape):
    business_date = fields.Date()
    matched = StrictInteger()
    amount_fen = Fen(minimum=0)
    unmatched = fields.List(fields.String())


WalletPageShape = page_schema(WalletShape)
HistoryPageShape = page_schema(HistoryLineShape)
