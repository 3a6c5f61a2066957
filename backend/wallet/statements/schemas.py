"""Wire shapes of statements, balances and receipts; a moment of RFC 3339 in a query."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from marshmallow import ValidationError, fields, validate

from backend.wallet.statements.model import LINE_FORM, LINE_MAX
from backend.wallet.statements.words import LANGUAGES
from backend.web import Moment, Shape, StrictInteger, TypeIdField
from backend.web.pages import LIMIT_DEFAULT, LIMIT_MAX

DAY_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
RFC3339_FORM = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.][0-9]{1,9})?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


class AskedMoment(fields.Field[datetime]):
    """A moment with its zone (RFC 3339, section 5.6), read as UTC."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> datetime:
        if not isinstance(value, str) or not RFC3339_FORM.fullmatch(value):
            raise ValidationError("RFC 3339 with a zone; in a query, + is written %2B")
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValidationError("no such moment") from None


class Day(fields.Date):
    """A day as `2026-11-03`, in these digits only."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> date:
        if not isinstance(value, str) or not DAY_FORM.fullmatch(value):
            raise self.make_error("invalid", input=value, obj_type="date")
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise self.make_error("invalid", input=value, obj_type="date") from None


class LineCursor(fields.String):
    """The cursor of a page: the number of its last line."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not LINE_FORM.fullmatch(text) or int(text) > LINE_MAX:
            raise ValidationError("a cursor is the `next` of the page before")
        return int(text)


class StatementPageQuery(Shape):
    """How a page of a statement is asked for."""

    limit = fields.Integer(load_default=LIMIT_DEFAULT, validate=validate.Range(1, LIMIT_MAX))
    after_line = LineCursor(
        data_key="after",
        load_default=None,
        allow_none=True,
        metadata={"example": "17", "description": "`next` of the page before"},
    )
    order = fields.String(
        load_default="newest",
        validate=validate.OneOf(("newest", "oldest")),
        metadata={"description": "which line comes first"},
    )


class LanguageQuery(Shape):
    """In which language a file or page is wanted."""

    lang = fields.String(
        load_default=None,
        validate=validate.OneOf(LANGUAGES),
        metadata={"description": "else as Accept-Language asks, else Chinese"},
    )


class DaysQuery(Shape):
    """From day to day, both included."""

    first_day = Day(required=True, metadata={"example": "2026-11-03"})
    last_day = Day(required=True, metadata={"example": "2026-11-09"})


class DaysPageQuery(DaysQuery, StatementPageQuery):
    """A page of some days."""


class DaysLanguageQuery(DaysQuery, LanguageQuery):
    """Some days as a file or page."""


class MomentQuery(Shape):
    """The moment a balance is asked for."""

    at = AskedMoment(
        required=True,
        metadata={
            "type": "string",
            "format": "date-time",
            "example": "2026-11-01T00:00:00+08:00",
            "description": "RFC 3339 with a zone; in a query, + is written %2B",
        },
    )


class WalletLineShape(Shape):
    line_id = fields.String(metadata={"example": "17"})
    time = Moment(metadata={"example": "2026-11-23T02:00:00.000+00:00"})
    business_date = fields.Date(metadata={"example": "2026-11-23"})
    code = fields.String(metadata={"example": "payment"})
    amount_fen = StrictInteger(metadata={"example": -1250, "description": "negative: spent"})
    balance_fen = StrictInteger(metadata={"example": 18750, "description": "after this line"})
    counterparty = fields.String(metadata={"example": "湾区便利店"})
    reference = fields.String(
        metadata={
            "example": "pay_01h455vb4pex5vsknk084sn02q",
            "description": "id of the payment, top-up or refund",
        }
    )
    operation_id = fields.String(
        metadata={
            "example": "pay_01h455vb4pex5vsknk084sn02q/reversal",
            "description": "id of the one posting: `reference`, and more when it has several",
        }
    )
    linked_to = fields.String(
        allow_none=True,
        metadata={
            "example": "pay_01h455vb4pex5vsknk084sn02q",
            "description": "the operation this one corrects or refunds",
        },
    )


class WalletStatementShape(Shape):
    wallet_id = TypeIdField("wal")
    first_day = fields.Date(attribute="period.first_day", metadata={"example": "2026-11-01"})
    last_day = fields.Date(attribute="period.last_day", metadata={"example": "2026-11-30"})
    is_final = fields.Boolean(metadata={"description": "the period is over"})
    made_at = Moment(metadata={"example": "2026-11-23T02:00:00.000+00:00"})
    opening_fen = StrictInteger(attribute="extent.opening_fen", metadata={"example": 0})
    closing_fen = StrictInteger(attribute="extent.closing_fen", metadata={"example": 18750})
    lines_count = StrictInteger(
        attribute="extent.lines_count",
        metadata={"example": 2, "description": "of the whole period, whatever page is shown"},
    )
    data = fields.List(fields.Nested(WalletLineShape), required=True)
    next = fields.String(allow_none=True, metadata={"example": "16"})


class PastBalanceShape(Shape):
    wallet_id = TypeIdField("wal")
    at = Moment(metadata={"example": "2026-10-31T16:00:00.000+00:00"})
    balance_fen = StrictInteger(metadata={"example": 18750, "description": "0 before any line"})


class WalletReceiptShape(Shape):
    wallet_id = TypeIdField("wal")
    made_at = Moment(metadata={"example": "2026-11-23T02:00:00.000+00:00"})
    line = fields.Nested(WalletLineShape)
