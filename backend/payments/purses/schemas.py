"""Wire shapes of loads, and of what staff sees of purses."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, post_load, validate

from backend.payments.model import PayCodeShown, Tap
from backend.payments.offline.schemas import Hex, Suite
from backend.payments.purses.model import Cash, Evidence, Init
from backend.payments.purses.states import CaseState, LoadState
from backend.payments.schemas import PLAIN_TEXT, ProofShape
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


class InitShape(Shape):
    """What the chip answered to INITIALIZE FOR LOAD (design B.1.5)."""

    old_balance_fen = StrictInteger(required=True, validate=validate.Range(0, BALANCE_MAX_FEN))
    load_counter = StrictInteger(required=True, validate=validate.Range(0, 0xFFFF))
    key_version = StrictInteger(required=True, validate=validate.Range(0, 255))
    suite = Suite(required=True)
    random = Hex(8)
    mac1 = Hex(8)

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Init:
        return Init(
            **{
                **data,
                "random": bytes.fromhex(data["random"]),
                "mac1": bytes.fromhex(data["mac1"]),
            }
        )


class SourceShape(Shape):
    """`wallet` with the holder's tap or pay code, or `cash` at a loading agent's terminal."""

    kind = fields.String(required=True, validate=validate.OneOf(["wallet", "cash"]))
    proof = fields.Nested(ProofShape, load_default=None, allow_none=True)

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Tap | PayCodeShown | Cash:
        if (data["kind"] == "wallet") != (data["proof"] is not None):
            raise ValidationError({"proof": ["belongs to kind wallet, and to no other"]})
        if data["kind"] == "cash":
            return Cash()
        proof: Tap | PayCodeShown = data["proof"]
        return proof


class BeginLoadShape(Shape):
    load_id = TypeIdField("lod", required=True)
    purse_number = fields.String(required=True, validate=validate.Regexp(r"\A[0-9]{20}\Z"))
    issuer_id = Hex(16)
    amount_fen = Fen(required=True)
    terminal_number = Hex(12, metadata={"description": "as the chip was told"})
    source = fields.Nested(SourceShape, required=True)
    init = fields.Nested(InitShape, required=True)


class WrittenShape(Shape):
    tac = Hex(8)


class EvidenceShape(Shape):
    """A later INITIALIZE FOR LOAD of the same chip: what it was asked, and its answer."""

    amount_fen = Fen(required=True)
    terminal_number = Hex(12)
    init = fields.Nested(InitShape, required=True)

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Evidence:
        return Evidence(data["amount_fen"], bytes.fromhex(data["terminal_number"]), data["init"])


class ReturnedShape(Shape):
    evidence = fields.Nested(EvidenceShape, required=True)


class HexBytes(fields.String):
    """Bytes as hexadecimal digits."""

    def _serialize(self, value: Any, attr: Any, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else value.hex()


class LoadShape(Shape):
    load_id = TypeIdField("lod")
    purse_number = fields.String()
    amount_fen = Fen()
    state = fields.Enum(LoadState, by_value=True)
    mac2 = HexBytes(
        allow_none=True, metadata={"description": "for CREDIT FOR LOAD, while it may be written"}
    )
    transaction_time = fields.String(metadata={"example": "20261123100000"})
    told_by = fields.String(allow_none=True)
    is_contradicted = fields.Boolean()


class PurseFiguresShape(Shape):
    purse_number = fields.String()
    chip_fen = StrictInteger(allow_none=True, metadata={"description": "as last seen"})
    chip_seen_at = Moment(allow_none=True)
    book_fen = StrictInteger()
    not_uploaded_fen = StrictInteger(allow_none=True)
    in_transit_fen = StrictInteger()


class PurseCaseShape(Shape):
    case_id = TypeIdField("cas")
    payment_id = TypeIdField("pay")
    purse_number = fields.String()
    merchant_id = TypeIdField("mer")
    shop_name = fields.String()
    amount_fen = Fen()
    reason = fields.String()
    state = fields.Enum(CaseState, by_value=True)
    opened_at = Moment()
    decided_by = fields.String(allow_none=True)
    decided_at = Moment(allow_none=True)
    note = fields.String(allow_none=True)


class PurseCaseArguments(PageArguments):
    state = fields.Enum(CaseState, by_value=True, load_default=CaseState.OPEN)


class DecideCaseShape(Shape):
    note = fields.String(required=True, validate=[validate.Length(1, 100), PLAIN_TEXT])


PurseCasePage = page_schema(PurseCaseShape)
