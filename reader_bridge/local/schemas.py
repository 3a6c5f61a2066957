"""Wire shapes of the local API; knows no route."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from reader_bridge.amounts import AMOUNT_FEN_MAX
from reader_bridge.faults import Text
from reader_bridge.loads.values import LoadTold
from reader_bridge.local.settings import Health
from reader_bridge.receipt import Receipt
from reader_bridge.till import BALANCE_UNKNOWN, CardShown, Post, Result, Screen

REASON_CHARACTERS_MAX = 120
REFERENCE_PATTERN = r"^[A-Za-z0-9._~-]{1,64}$"

Reference = Annotated[
    str,
    Field(
        pattern=REFERENCE_PATTERN,
        description="The register's own number: made and stored before it is sent.",
        examples=["till1-000815"],
    ),
]
Fen = Annotated[
    int, Field(strict=True, ge=1, le=AMOUNT_FEN_MAX, description="Whole fen.", examples=[1250])
]
Balance = Annotated[
    int | Literal["unknown"],
    Field(description="Fen after the tap; `unknown` when nobody can tell, never a guess."),
]


Kind = Literal["sale", "balance", "load"]


class Inward(BaseModel):
    """What a register sends: unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SaleRequest(Inward):
    reference: Reference
    amount_fen: Fen
    full_fare_fen: Fen | None = None


class BalanceRequest(Inward):
    reference: Reference | None = None


class LoadRequest(Inward):
    reference: Reference
    amount_fen: Fen
    funding: Literal["wallet", "cash"] = Field(
        description="`wallet`: the holder's pay code or phone card comes first. `cash`: the clerk"
        " has the money; only at a loading agent."
    )


class PinRequest(Inward):
    """The card's own PIN: handed to the card once, never kept."""

    pin: str = Field(pattern=r"^[0-9]{4,12}$", repr=False, examples=["123456"])


class RefundRequest(Inward):
    refund_reference: Reference
    amount_fen: Fen
    reason: str = Field("refund", min_length=1, max_length=REASON_CHARACTERS_MAX)


class Outward(BaseModel):
    model_config = ConfigDict(frozen=True)


class Words(Outward):
    """One sentence in both languages."""

    zh: str
    en: str

    @classmethod
    def of(cls, text: Text) -> Self:
        return cls(zh=text.read("zh-CN"), en=text.read("en"))


class Step(Outward):
    name: str
    milliseconds: float


class FareOut(Outward):
    """Of a terminal with fares of its own: the full fare is what was taken and both discounts."""

    kind: str
    full_fare_fen: int
    concession_fen: int
    transfer_fen: int


class LoadOut(Outward):
    """Where the money of a load is. Only `written` and `confirmed` are on the card."""

    load_id: str
    funding: Literal["wallet", "cash"]
    stage: Literal[
        "asked", "paid", "written", "returning", "confirmed", "returned", "refused", "lost"
    ]
    balance_before_fen: int

    @classmethod
    def of(cls, load: LoadTold) -> Self:
        return cls(
            load_id=load.load_id,
            funding=load.funding.value,
            stage=load.stage.value,
            balance_before_fen=load.balance_before_fen,
        )


class ReceiptOut(Outward):
    """What may be printed; `text` has the lines as they stand on paper."""

    outcome: str
    amount_fen: int
    reference: str | None
    payment_id: str | None
    refund_id: str | None
    receipt_number: str | None
    method: str | None
    application: str | None
    token_number_masked: str | None
    balance_fen: Balance
    fare: FareOut | None = None
    business_date: str | None
    created_at: str | None
    is_repeated: bool
    steps: list[Step]
    load: LoadOut | None
    text: Words

    @classmethod
    def of(cls, receipt: Receipt) -> Self:
        return cls(
            outcome=receipt.outcome.value,
            amount_fen=receipt.amount_fen,
            reference=receipt.register_reference,
            payment_id=receipt.payment_id,
            refund_id=receipt.refund_id,
            receipt_number=receipt.receipt_number,
            method=receipt.method,
            application=receipt.application,
            token_number_masked=receipt.token_number_masked,
            balance_fen=BALANCE_UNKNOWN if receipt.balance_fen is None else receipt.balance_fen,
            fare=None if receipt.fare is None else FareOut(**receipt.fare.to_document()),
            business_date=receipt.business_date,
            created_at=receipt.created_at,
            is_repeated=receipt.is_repeated,
            steps=_steps(receipt.steps),
            load=None if receipt.load is None else LoadOut.of(receipt.load),
            text=Words(zh=receipt.text("zh-CN"), en=receipt.text("en")),
        )


class SaleOut(Outward):
    """How one order stands. Only `paid` is paid; after `unknown` ask again, never charge anew."""

    reference: str
    kind: Kind
    state: Literal[
        "open",
        "paid",
        "read",
        "loaded",
        "returned",
        "refused",
        "reversed",
        "unknown",
        "cancelled",
        "timed_out",
        "failed",
    ]
    code: str
    message: Words
    amount_fen: int | None
    full_fare_fen: int | None
    receipt: ReceiptOut | None

    @classmethod
    def of(cls, result: Result) -> Self:
        return cls(
            reference=result.order.reference,
            kind=result.order.kind.value,
            state=result.state.value,
            code=result.code,
            message=Words.of(result.message),
            amount_fen=result.order.amount_fen,
            full_fare_fen=result.full_fare_fen,
            receipt=None if result.receipt is None else ReceiptOut.of(result.receipt),
        )


class SaleList(Outward):
    data: list[SaleOut]


class CardOut(Outward):
    """Which card answered. `aid` in hexadecimal."""

    reader: str
    aid: str | None
    application: str | None
    steps: list[Step]

    @classmethod
    def of(cls, card: CardShown) -> Self:
        aid = None if card.aid is None else card.aid.hex().upper()
        return cls(
            reader=card.reader, aid=aid, application=card.application, steps=_steps(card.steps)
        )


class ScreenOut(Outward):
    """Everything a display needs; `version` changes with every change."""

    version: int
    stage: Literal["idle", "waiting", "reading", "again", "asking", "done"]
    kind: Kind | None
    funding: Literal["wallet", "cash"] | None
    reference: str | None
    amount_fen: int | None
    full_fare_fen: int | None
    concession_fen: int | None
    balance_fen: Balance
    code: str
    message: Words
    signal: Literal["none", "ok", "no", "again"]
    card: CardOut | None
    receipt: ReceiptOut | None

    @classmethod
    def of(cls, screen: Screen) -> Self:
        order = screen.order
        return cls(
            version=screen.version,
            stage=screen.stage.value,
            kind=None if order is None else order.kind.value,
            funding=None if order is None or order.funding is None else order.funding.value,
            reference=None if order is None else order.reference,
            amount_fen=screen.amount_fen,
            full_fare_fen=screen.full_fare_fen,
            concession_fen=screen.concession_fen,
            balance_fen=screen.balance,
            code=screen.code,
            message=Words.of(screen.message),
            signal=screen.signal.value,
            card=None if screen.card is None else CardOut.of(screen.card),
            receipt=None if screen.receipt is None else ReceiptOut.of(screen.receipt),
        )


class ReaderOut(Outward):
    name: str
    works: bool


class PostOut(Outward):
    """What kind of place this is. `fare_fen`: a flat fare; null where each tap has its own."""

    mode: Literal["shop", "bus", "gate", "parking", "bicycle", "clinic", "loading"]
    is_standing: bool = Field(description="Every card is served, and nobody presses a key.")
    fare_fen: int | None
    direction: Literal["entry", "exit"] | None
    load_amounts_fen: list[int]

    @classmethod
    def of(cls, post: Post) -> Self:
        return cls(
            mode=post.mode.value,
            is_standing=post.is_standing,
            fare_fen=post.fare_fen,
            direction=post.direction,
            load_amounts_fen=list(post.load_amounts_fen),
        )


class StatusOut(Outward):
    """Network, sales that wait for upload, profile, place, readers. null: not known."""

    shop_name: str
    network: Literal["online", "offline", "unknown"]
    kept_count: int | None
    kept_sum_fen: int | None
    profile_age_seconds: int | None
    profile_version: int | None
    post: PostOut
    readers: list[ReaderOut]

    @classmethod
    def of(cls, shop_name: str, health: Health, post: Post, readers: dict[str, bool]) -> Self:
        is_online = health.is_online
        return cls(
            shop_name=shop_name,
            network="unknown" if is_online is None else "online" if is_online else "offline",
            kept_count=health.kept_count,
            kept_sum_fen=health.kept_sum_fen,
            profile_age_seconds=health.profile_age_seconds,
            profile_version=health.profile_version,
            post=PostOut.of(post),
            readers=[ReaderOut(name=name, works=works) for name, works in readers.items()],
        )


class LinkOut(Outward):
    """Opens the page once, within ten minutes."""

    path: str


class Problem(Outward):
    """RFC 9457. Switch on `code`; show `detail`."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: dict[str, list[str]]
    request_id: str
    retryable: bool
    article: str | None
    model_config = ConfigDict(extra="allow", frozen=True)


Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int, also: Responses | None = None) -> Responses:
    """For a route's `responses`: these problems, those of every route, and what else there is."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    told: Responses = {
        status: {"description": "A problem; see its code", "content": content}
        for status in (*statuses, 401, 403, 421)
    }
    return told | (also or {})


def _steps(steps: tuple[tuple[str, float], ...]) -> list[Step]:
    return [Step(name=name, milliseconds=milliseconds) for name, milliseconds in steps]
