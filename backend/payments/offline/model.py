"""An offline sale as its terminal tells it, what is answered, and the refusals. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from backend.cards import PurseKey
from backend.kernel import DomainError, Kind, Words
from backend.virtual_card import PastProof
from card_protocol.epurse.transactions import Purchase

SALES_MAX = 100


class SaleMalformed(DomainError):
    kind, code = Kind.INVALID, "sale_malformed"
    title = Words(zh="交易无法识别", en="Sale not readable")
    detail = Words(zh="以下字段不正确：{fields}。", en="These fields are wrong: {fields}.")


class SaleTooOld(DomainError):
    kind, code = Kind.REFUSED, "sale_too_old"
    title = Words(zh="脱机交易超过上送期限", en="Offline sale too old")
    detail = Words(
        zh="脱机交易须在 {days} 天内上送。", en="An offline sale is uploaded within {days} days."
    )


class TerminalCloned(DomainError):
    kind, code = Kind.CONFLICT, "terminal_cloned"
    title = Words(zh="疑似复制终端", en="Copied terminal suspected")
    detail = Words(
        zh="该终端流水号已有另一笔交易，请联系运营方。",
        en="This terminal used the counter for another sale: two boxes with one disk? "
        "Call the operator.",
    )


class RideAmountTooHigh(DomainError):
    kind, code = Kind.REFUSED, "ride_amount_exceeds_code"
    title = Words(zh="超过乘车码限额", en="More than the ride code allows")
    detail = Words(
        zh="此乘车码单次最多 {limit_fen} 分。", en="This ride code pays at most {limit_fen} fen."
    )


class PurseTacInvalid(DomainError):
    kind, code = Kind.REFUSED, "purse_tac_invalid"
    title = Words(zh="交易认证码不符", en="Transaction code not accepted")
    detail = Words(
        zh="交易认证码（TAC）校验失败。", en="The card's proof of the transaction (TAC) is false."
    )


class PurseSaleSeen(DomainError):
    kind, code = Kind.CONFLICT, "purse_sale_seen"
    title = Words(zh="钱包交易已上送", en="Purse sale uploaded before")
    detail = Words(
        zh="此认证码已用于另一笔交易。", en="This proof of a purse was uploaded for another sale."
    )


class PurseSaleKept(DomainError):
    kind, code = Kind.CONFLICT, "purse_sale_kept"
    title = Words(zh="交易待核实", en="Sale kept for a person to look at")
    detail = Words(
        zh="钱包未登记或计数重复，款项已挂账，核实后支付。",
        en="The purse is not registered, or its counter was used: the money waits under a case.",
    )


class SaleState(Enum):
    CAPTURED = "captured"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class OfflineTerms:
    """The city's terms: how old a sale may be, and how long a stop takes to reach terminals."""

    age_max: timedelta = timedelta(days=30)
    deny_grace: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class TapProof:
    pdol_data: bytes
    gpo_response: bytes


@dataclass(frozen=True, slots=True)
class RideProof:
    content: bytes


@dataclass(frozen=True, slots=True)
class PurseProof:
    """What a purse and the terminal's SAM said; `tac` is the card's word to its issuer."""

    key: PurseKey
    purchase: Purchase
    balance_after_fen: int
    purchase_counter: int
    made_at: datetime
    tac: bytes  # 4

    @property
    def purse_number(self) -> str:
        return self.key.purse_number

    @property
    def sam(self) -> tuple[str, str]:
        """SAM number and its own count, which the TAC covers: no SAM counts one twice."""
        return self.purchase.terminal.hex(), self.purchase.terminal_serial.hex()


Proof = TapProof | RideProof | PurseProof
KINDS: Mapping[type[Proof], str] = {
    TapProof: "tap",
    RideProof: "ride_code",
    PurseProof: "purse",
}


@dataclass(frozen=True, slots=True)
class OfflineSale:
    """`digest`: SHA-256 of the whole item as it came, in hexadecimal; `content`: that item."""

    payment_id: str
    terminal_counter: int
    chain: str
    amount_fen: int
    accepted_at: datetime
    profile_version: str
    mode: str
    proof: Proof
    digest: str
    content: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return KINDS[type(self.proof)]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item that is no sale; kept for a person, it spoils nothing beside it."""

    payment_id: str | None
    wrong_fields: str
    digest: str
    content: str  # JSON, cut


@dataclass(frozen=True, slots=True)
class Upload:
    """The command: what a terminal kept, in any order, as often as it likes."""

    terminal_id: str
    incarnation: str
    sales: tuple[OfflineSale | Unreadable, ...]
    language: str = "zh"  # of the words in results


@dataclass(frozen=True, slots=True)
class PurseWord:
    """A genuine TAC; `is_known`: its purse is registered here."""

    proof: PurseProof
    made_at: datetime
    is_known: bool
    stopped_since: datetime | None


Judged = PastProof | PurseWord | DomainError


@dataclass(frozen=True, slots=True)
class Result:
    """What a terminal is told of one sale, now and for ever."""

    payment_id: str | None
    state: SaleState
    code: str | None = None
    detail: Mapping[str, str] | None = None  # by language
    balance_fen: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A result in the caller's language."""

    payment_id: str | None
    state: SaleState
    code: str | None
    detail: str | None
    balance_fen: int | None


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The answer: one line for each item, in their order."""

    results: tuple[Told, ...]

    @classmethod
    def of(cls, results: Iterable[Result], language: str) -> Uploaded:
        return cls(
            tuple(
                Told(
                    one.payment_id,
                    one.state,
                    one.code,
                    None if one.detail is None else one.detail[language],
                    one.balance_fen,
                )
                for one in results
            )
        )


@dataclass(frozen=True, slots=True)
class Split:
    """Who pays a captured sale, in fen; the parts sum to its amount."""

    wallet_fen: int
    debt_fen: int
    loss_fen: int


def split_amount(amount_fen: int, available_fen: int, debt_room_fen: int) -> Split:
    """The wallet gives what it has, the rider owes within the ceiling, the issuer the rest."""
    wallet_fen = min(max(0, available_fen), amount_fen)
    debt_fen = min(max(0, debt_room_fen), amount_fen - wallet_fen)
    return Split(wallet_fen, debt_fen, amount_fen - wallet_fen - debt_fen)


def refused(payment_id: str | None, refusal: DomainError) -> Result:
    """The result for a refusal, its words in both languages."""
    words = {one: refusal.detail.text(one, **refusal.data) for one in ("zh", "en")}
    return Result(payment_id, SaleState.REFUSED, refusal.code, words)
