"""Wire shapes of redemptions, closings, freezes, ride debt, cases and corrections."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from backend.wallet.ledger.model import OPERATION_ID_MAX
from backend.wallet.life.model import REASON_MAX, RedemptionKind
from backend.wallet.life.states import (
    CaseState,
    CorrectionState,
    RedemptionState,
    WalletEvent,
    WalletState,
)
from backend.web import Fen, Moment, PageArguments, Shape, StrictInteger, TypeIdField, page_schema

# Kept and shown again: no control characters, nothing that is not Unicode text.
PLAIN_TEXT = validate.Regexp(r"\A[^\x00-\x1f\x7f\ud800-\udfff]*\Z")
CARD_DIGITS = validate.Regexp(r"\A[0-9]{16,19}\Z")
CARD_METADATA = {"example": "6217000010001234569", "description": "16 to 19 digits, one's own"}


def _reason() -> fields.String:
    return fields.String(
        required=True,
        validate=[validate.Length(1, REASON_MAX), PLAIN_TEXT],
        metadata={"example": "order of the court, file 12"},
    )


# --- the citizen ------------------------------------------------------------------------------


class RedeemShape(Shape):
    redemption_id = TypeIdField("red", required=True)
    wallet_id = TypeIdField("wal", required=True)
    amount_fen = Fen(required=True)
    bank_card = fields.String(required=True, validate=CARD_DIGITS, metadata=CARD_METADATA)


class CloseWalletShape(Shape):
    redemption_id = TypeIdField("red", required=True)
    bank_card = fields.String(
        load_default=None,
        allow_none=True,
        validate=CARD_DIGITS,
        metadata={**CARD_METADATA, "description": "16 to 19 digits; needed unless it is empty"},
    )


class RedemptionShape(Shape):
    redemption_id = TypeIdField("red")
    kind = fields.Enum(RedemptionKind, by_value=True)
    wallet_id = TypeIdField("wal")
    amount_fen = Fen()
    state = fields.Enum(RedemptionState, by_value=True)
    failure_code = fields.String(allow_none=True, metadata={"example": "bank_name_differs"})
    bank_card_masked = fields.String(metadata={"example": "····4569"})
    created_at = Moment()
    settled_at = Moment(allow_none=True)
    ask_again_at = Moment(allow_none=True)


class ClosingShape(Shape):
    wallet_id = TypeIdField("wal")
    state = fields.Enum(WalletState, by_value=True)
    redemption = fields.Nested(RedemptionShape, allow_none=True)


# --- staff ------------------------------------------------------------------------------------


class ReasonShape(Shape):
    reason = _reason()


class WalletChangeShape(Shape):
    wallet_id = TypeIdField("wal")
    number = StrictInteger(metadata={"description": "1, 2, 3… of this wallet"})
    event = fields.Enum(WalletEvent, by_value=True)
    state = fields.Enum(WalletState, by_value=True)
    reason = fields.String()
    changed_by = fields.String(metadata={"example": "stf_01h455vb4pex5vsknk084sn02q"})
    changed_at = Moment()


class OpenDebtShape(Shape):
    wallet_id = TypeIdField("wal")
    owed_fen = Fen()


class WriteOffShape(Shape):
    write_off_id = TypeIdField("wof", required=True)
    reason = _reason()


class WrittenOffShape(Shape):
    write_off_id = TypeIdField("wof")
    wallet_id = TypeIdField("wal")
    amount_fen = Fen()
    reason = fields.String()
    staff_id = fields.String()
    made_at = Moment()


class CaseArguments(PageArguments):
    state = fields.Enum(CaseState, by_value=True, load_default=CaseState.OPEN)


class PaySuspenseCaseShape(Shape):
    """Either `wallet_id` or `bank_card`."""

    redemption_id = TypeIdField("red", required=True)
    wallet_id = TypeIdField("wal", load_default=None, allow_none=True)
    bank_card = fields.String(
        load_default=None, allow_none=True, validate=CARD_DIGITS, metadata=CARD_METADATA
    )

    @validates_schema
    def _one_of_them(self, data: dict[str, Any], **_: Any) -> None:
        if (data["wallet_id"] is None) == (data["bank_card"] is None):
            raise ValidationError({"wallet_id": ["either wallet_id or bank_card"]})


class SuspenseCaseShape(Shape):
    case_id = TypeIdField("cas")
    wallet_id = TypeIdField("wal")
    operation_id = fields.String()
    amount_fen = Fen()
    reason = fields.String()
    state = fields.Enum(CaseState, by_value=True)
    opened_at = Moment()
    decided_by = fields.String(allow_none=True)
    decided_at = Moment(allow_none=True)
    paid_by = fields.String(allow_none=True)


class CorrectionArguments(PageArguments):
    state = fields.Enum(CorrectionState, by_value=True, load_default=CorrectionState.ASKED)


class AskCorrectionShape(Shape):
    correction_id = TypeIdField("cor", required=True)
    operation_id = fields.String(
        required=True,
        validate=[validate.Length(1, OPERATION_ID_MAX), PLAIN_TEXT],
        metadata={"example": "top_01h455vb4pex5vsknk084sn02q"},
    )
    reason = _reason()


class CorrectionShape(Shape):
    correction_id = TypeIdField("cor")
    operation_id = fields.String()
    posting_code = fields.String(metadata={"example": "top_up"})
    amount_fen = Fen()
    reason = fields.String(metadata={"description": "stands in the statements of both accounts"})
    state = fields.Enum(CorrectionState, by_value=True)
    asked_by = fields.String()
    asked_at = Moment()
    decided_by = fields.String(allow_none=True)
    decided_at = Moment(allow_none=True)


class MatchPayoutsShape(Shape):
    business_date = fields.Date(required=True)


class PayoutMatchShape(Shape):
    business_date = fields.Date()
    matched = StrictInteger()
    amount_fen = Fen(minimum=0)
    unmatched = fields.List(fields.String())


WalletChangePageShape = page_schema(WalletChangeShape)
OpenDebtPageShape = page_schema(OpenDebtShape)
SuspenseCasePageShape = page_schema(SuspenseCaseShape)
CorrectionPageShape = page_schema(CorrectionShape)
