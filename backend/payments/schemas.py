"""Wire shapes of payments, refunds and statements."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from backend.payments.model import Method, PayCodeShown, Tap
from backend.payments.states import State
from backend.web import B64u, Fen, Moment, Shape, StrictInteger, TypeIdField, page_schema

COUNTER_MAX = 2**53
# Free text is kept and shown again: no control characters, nothing that is not Unicode text.
PLAIN_TEXT = validate.Regexp(r"\A[^\x00-\x1f\x7f\ud800-\udfff]*\Z")


class ProofShape(Shape):
    """Either a tap (`pdol_data`, `gpo_response`) or a pay code (`content`)."""

    kind = fields.String(required=True, validate=validate.OneOf(["tap", "pay_code"]))
    pdol_data = B64u(metadata={"description": "what the terminal told the card (A.2 step 2)"})
    gpo_response = B64u(metadata={"description": "the card's answer, template 77"})
    content = fields.String(
        validate=validate.Length(max=64), metadata={"example": "9600000017123456786"}
    )

    @validates_schema
    def _fits_kind(self, data: dict[str, Any], **_: Any) -> None:
        needed = {"tap": {"pdol_data", "gpo_response"}, "pay_code": {"content"}}[data["kind"]]
        if missing := needed - set(data):
            raise ValidationError({name: ["Missing data for required field."] for name in missing})

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Tap | PayCodeShown:
        if data["kind"] == "tap":
            return Tap(data["pdol_data"], data["gpo_response"])
        return PayCodeShown(data["content"])


class SellShape(Shape):
    payment_id = TypeIdField("pay", required=True)
    terminal_counter = StrictInteger(
        required=True,
        validate=validate.Range(1, COUNTER_MAX),
        metadata={"description": "rises with each sale of this terminal"},
    )
    amount_fen = Fen(required=True)
    capture = fields.Boolean(load_default=True, truthy={True}, falsy={False})
    proof = fields.Nested(ProofShape, required=True)
    register_reference = fields.String(
        load_default=None, allow_none=True, validate=[validate.Length(1, 64), PLAIN_TEXT]
    )


class PayMerchantCodeShape(Shape):
    payment_id = TypeIdField("pay", required=True)
    wallet_id = TypeIdField("wal", required=True)
    merchant_code = fields.String(required=True, validate=validate.Length(1, 512))
    amount_fen = Fen(required=True)


class CaptureShape(Shape):
    amount_fen = Fen(load_default=None, allow_none=True)


class RefundRequestShape(Shape):
    refund_id = TypeIdField("ref", required=True)
    amount_fen = Fen(required=True)
    reason = fields.String(load_default="", validate=[validate.Length(max=120), PLAIN_TEXT])


class MerchantPaymentShape(Shape):
    """A payment as the merchant's server sees it: without the holder's balance."""

    payment_id = TypeIdField("pay")
    state = fields.Enum(State, by_value=True)
    amount_fen = Fen()
    captured_fen = Fen(minimum=0)
    refunded_fen = Fen(minimum=0)
    method = fields.Enum(Method, by_value=True)
    merchant_name = fields.String()
    shop_name = fields.String()
    terminal_number = fields.String(allow_none=True)
    token_number_masked = fields.String(allow_none=True)
    business_date = fields.Date()
    created_at = Moment()
    bill_number = fields.String(allow_none=True)
    register_reference = fields.String(allow_none=True)


class PaymentShape(MerchantPaymentShape):
    """A payment as holder and terminal see it."""

    balance_fen = StrictInteger(
        allow_none=True, metadata={"description": "available in the wallet after this payment"}
    )


class RefundShape(Shape):
    refund_id = TypeIdField("ref")
    payment_id = TypeIdField("pay")
    amount_fen = Fen()
    state = fields.String(metadata={"example": "posted"})
    business_date = fields.Date()
    created_at = Moment()
    remaining_fen = Fen(minimum=0)


class ReversalShape(Shape):
    payment_id = TypeIdField("pay")
    state = fields.String(metadata={"example": "reversed"})


class StatementTotalsShape(Shape):
    payments_count = StrictInteger()
    payments_fen = StrictInteger()
    refunds_count = StrictInteger()
    refunds_fen = StrictInteger()
    net_fen = StrictInteger()


class StatementLineShape(Shape):
    line_id = fields.String()
    time = Moment()
    code = fields.String(metadata={"example": "payment"})
    amount_fen = StrictInteger()
    reference = fields.String()
    shop_name = fields.String()
    terminal_number = fields.String(allow_none=True)


class StatementShape(Shape):
    business_date = fields.Date()
    merchant_id = TypeIdField("mer")
    totals = fields.Nested(StatementTotalsShape)
    data = fields.List(fields.Nested(StatementLineShape))
    next = fields.String(allow_none=True)


class BillArguments(Shape):
    bill_number = fields.String(
        required=True,
        validate=validate.Regexp(r"\A[A-Za-z0-9]{1,25}\Z"),
        metadata={"example": "T0001"},
    )


PaymentPageShape = page_schema(PaymentShape)
