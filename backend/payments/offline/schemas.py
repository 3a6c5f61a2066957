"""Wire shapes of offline sales. Each item is read by itself: a bad one spoils nothing beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marshmallow import EXCLUDE, ValidationError, fields, validate

from backend.cards import PurseKey
from backend.kernel import AMOUNT_MAX_FEN, is_id
from backend.payments.offline.foreign import ForeignState
from backend.payments.offline.model import (
    SALES_MAX,
    OfflineSale,
    Proof,
    PurseProof,
    RideProof,
    SaleState,
    TapProof,
    Unreadable,
)
from backend.payments.purses.model import SHANGHAI
from backend.payments.schemas import COUNTER_MAX, PLAIN_TEXT
from backend.web import (
    B64u,
    Fen,
    Moment,
    PageArguments,
    Shape,
    StrictInteger,
    TypeIdField,
    page_schema,
)
from card_protocol.epurse.suites import DES3, SM4_SUITE
from card_protocol.epurse.transactions import BALANCE_MAX_FEN, Purchase, TransactionKind

CONTENT_MAX = 4_000  # characters kept of what could not be read
RECORDS_MAX = 20
SUITES = {"3des": DES3.algorithm, "sm4": SM4_SUITE.algorithm}
"""Names beside the algorithm byte of INITIALIZE."""


def _hex(digits: int) -> validate.Regexp:
    return validate.Regexp(rf"\A[0-9a-fA-F]{{{digits}}}\Z")


class Hex(fields.String):
    """Bytes as hexadecimal digits."""

    def __init__(self, digits: int, **arguments: Any) -> None:
        super().__init__(required=True, validate=_hex(digits), **arguments)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        return super()._deserialize(value, attr, data, **kwargs).lower()


class Version(fields.Field[str]):
    """A whole number or a short text: the profile's own business."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        is_number = type(value) is int and abs(value) < COUNTER_MAX
        if is_number or (isinstance(value, str) and 0 < len(value) <= 64):
            return str(value)
        raise ValidationError("a whole number, or 1 to 64 characters")


class Suite(fields.Field[int]):
    """The algorithm byte of INITIALIZE (0, 4), or the suite's name."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        if isinstance(value, str) and value in SUITES:
            return SUITES[value]
        if type(value) is int and value in SUITES.values():
            return value
        raise ValidationError("0, 4, 3des or sm4")


class KeptShape(Shape):
    """What is not known is kept with the sale, and not read."""

    class Meta:
        unknown = EXCLUDE


class TapProofShape(KeptShape):
    pdol_data = B64u(required=True)
    gpo_response = B64u(required=True)


class RideProofShape(KeptShape):
    code = B64u(required=True)


class PurseProofShape(KeptShape):
    purse_number = fields.String(required=True, validate=validate.Regexp(r"\A[0-9]{20}\Z"))
    issuer_id = Hex(16)
    balance_after_fen = StrictInteger(required=True, validate=validate.Range(0, BALANCE_MAX_FEN))
    purchase_counter = StrictInteger(required=True, validate=validate.Range(0, 0xFFFF))
    transaction_type = StrictInteger(required=True, validate=validate.OneOf([6, 9]))
    terminal_number = Hex(12)
    terminal_serial = Hex(8)
    transaction_time = fields.String(required=True, validate=validate.Regexp(r"\A[0-9]{14}\Z"))
    key_version = StrictInteger(required=True, validate=validate.Range(0, 255))
    suite = Suite(required=True)
    tac = Hex(8)
    records = fields.List(
        fields.String(validate=validate.Regexp(r"\A([0-9a-fA-F]{2}){0,256}\Z")),
        load_default=list,
        validate=validate.Length(max=RECORDS_MAX),
    )


PROOFS = {"tap": TapProofShape(), "ride_code": RideProofShape(), "purse": PurseProofShape()}


class SaleShape(KeptShape):
    """One sale as a terminal kept it; `proof` is read by its `kind`."""

    payment_id = TypeIdField("pay", required=True)
    terminal_counter = StrictInteger(required=True, validate=validate.Range(1, COUNTER_MAX))
    chain = Hex(64)
    amount_fen = StrictInteger(
        required=True,
        validate=validate.Range(0, AMOUNT_MAX_FEN),
        metadata={"description": "whole fen; 0 for a purse at an entry gate only"},
    )
    accepted_at = fields.AwareDateTime(
        format="iso", required=True, metadata={"description": "RFC 3339, the terminal's clock"}
    )
    profile_version = Version(required=True)
    mode = fields.String(required=True, validate=validate.Regexp(r"\A[a-z_]{1,16}\Z"))
    proof = fields.Dict(
        required=True,
        metadata={"description": "`kind`: tap, purse or ride_code, and what belongs to it"},
    )


SALE = SaleShape()
EXAMPLE = {
    "payment_id": "pay_01h455vb4pex5vsknk084sn02q",
    "terminal_counter": 812,
    "chain": "9c" * 32,
    "amount_fen": 200,
    "accepted_at": "2026-11-23T07:41:09+08:00",
    "profile_version": 7,
    "mode": "bus",
    "proof": {"kind": "ride_code", "code": "gQFJ"},
}


class UploadShape(Shape):
    """`sales` is read item by item: an item that is no sale gets a result of its own."""

    incarnation = fields.String(
        required=True, validate=_hex(16), metadata={"description": "of this opening of the journal"}
    )
    sales = fields.List(
        fields.Raw(allow_none=True),
        required=True,
        validate=validate.Length(1, SALES_MAX),
        metadata={
            "description": "payment_id, terminal_counter, chain, amount_fen, accepted_at, "
            "profile_version, mode, and a proof: tap, purse or ride_code",
            "example": [EXAMPLE],
        },
    )


class SaleResultShape(Shape):
    payment_id = fields.String(allow_none=True)
    state = fields.Enum(SaleState, by_value=True)
    code = fields.String(allow_none=True)
    detail = fields.String(allow_none=True)
    balance_fen = StrictInteger(allow_none=True)


class UploadedShape(Shape):
    results = fields.List(fields.Nested(SaleResultShape))


class CloneSignShape(Shape):
    terminal_id = TypeIdField("trm")
    terminal_counter = StrictInteger()
    first_payment_id = TypeIdField("pay")
    payment_id = TypeIdField("pay")
    amount_fen = Fen(minimum=0)
    incarnation = fields.String()
    seen_at = Moment()
    digest = fields.String()


class ReturnedIncarnationShape(Shape):
    terminal_id = TypeIdField("trm")
    incarnation = fields.String()
    returned_at = Moment()
    returns = StrictInteger()


class CloneReportShape(Shape):
    terminal_id = TypeIdField("trm")
    sales = fields.List(fields.Nested(CloneSignShape))
    incarnations = fields.List(fields.Nested(ReturnedIncarnationShape))


class ClonedTerminalShape(Shape):
    terminal_id = TypeIdField("trm")


class UnreadItemShape(Shape):
    terminal_id = TypeIdField("trm")
    digest = fields.String()
    wrong_fields = fields.String()
    content = fields.String()
    seen_at = Moment()


ClonedTerminalPage = page_schema(ClonedTerminalShape)
UnreadItemPage = page_schema(UnreadItemShape)


def read_item(item: Any) -> OfflineSale | Unreadable:
    """The sale in an item, or why there is none."""
    text = json.dumps(item, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    try:
        return _read(item, digest)
    except ValidationError as error:
        given = item.get("payment_id") if isinstance(item, dict) else None
        known = given if isinstance(given, str) and is_id(given, "pay") else None
        return Unreadable(known, _names(error.messages), digest, text[:CONTENT_MAX])


def _read(item: Any, digest: str) -> OfflineSale:
    """Raises ValidationError."""
    data = SALE.load(item)
    kind = data["proof"].get("kind")
    if not isinstance(kind, str) or kind not in PROOFS:
        raise ValidationError({"proof.kind": ["unknown"]})
    if data["amount_fen"] == 0 and kind != "purse":
        raise ValidationError({"amount_fen": ["positive"]})
    try:
        proof = _proof(kind, PROOFS[kind].load(data["proof"]), data["amount_fen"])
    except ValidationError as error:
        raise ValidationError(
            {f"proof.{name}": [] for name in error.normalized_messages()}
        ) from None
    return OfflineSale(**{**data, "proof": proof}, digest=digest, content=item)


def _proof(kind: str, told: Mapping[str, Any], amount_fen: int) -> Proof:
    if kind == "tap":
        return TapProof(told["pdol_data"], told["gpo_response"])
    if kind == "ride_code":
        return RideProof(told["code"])
    key = PurseKey(told["purse_number"], told["issuer_id"], told["suite"], told["key_version"])
    purchase = Purchase(
        amount_fen,
        bytes.fromhex(told["terminal_number"]),
        bytes.fromhex(told["terminal_serial"]),
        bytes.fromhex(told["transaction_time"]),
        TransactionKind(told["transaction_type"]),
    )
    return PurseProof(
        key,
        purchase,
        told["balance_after_fen"],
        told["purchase_counter"],
        _moment(told["transaction_time"]),
        bytes.fromhex(told["tac"]),
    )


def _moment(text: str) -> datetime:
    """CCYYMMDDHHMMSS as terminals write it. Raises ValidationError."""
    try:
        told = datetime.strptime(text, "%Y%m%d%H%M%S")  # noqa: DTZ007 - zone follows
    except ValueError:
        raise ValidationError({"transaction_time": ["no such moment"]}) from None
    return told.replace(tzinfo=SHANGHAI)


def _names(messages: Any) -> str:
    """Field names; their values are not repeated."""
    return ", ".join(sorted(messages)) if isinstance(messages, dict) else "item"


class ForeignSaleShape(Shape):
    payment_id = fields.String()
    terminal_id = TypeIdField("trm")
    terminal_counter = StrictInteger()
    sam_number = fields.String()
    amount_fen = Fen()
    seen_at = Moment()
    state = fields.Enum(ForeignState, by_value=True)
    decided_by = fields.String(allow_none=True)
    decided_at = Moment(allow_none=True)
    note = fields.String(allow_none=True)


class ForeignSaleArguments(PageArguments):
    state = fields.Enum(ForeignState, by_value=True, load_default=ForeignState.OPEN)


class DecideForeignSaleShape(Shape):
    note = fields.String(required=True, validate=[validate.Length(1, 100), PLAIN_TEXT])


ForeignSalePage = page_schema(ForeignSaleShape)
