"""A top-up as a fact, and its refusals. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from backend.kernel import DomainError, Kind, Words

CREDIT_CARD_ARTICLE = Words(
    zh="支付机构预付卡业务管理办法：不得使用信用卡购买预付卡和为预付卡充值",
    en="Measures for Prepaid Cards of Payment Institutions: no credit card buys or tops up a card",
)


class TopUpState(Enum):
    """`processing` is a state, not an error: the bank has not spoken yet."""

    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class TopUpUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "topup_unknown"
    title = Words(zh="没有这笔充值", en="No such top-up")
    detail = Words(zh="未找到该充值。", en="There is no such top-up.")


class TopUpExists(DomainError):
    kind, code = Kind.CONFLICT, "topup_exists"
    title = Words(zh="充值编号已使用", en="Top-up id in use")
    detail = Words(zh="此充值编号已用于另一笔充值。", en="This id belongs to another top-up.")


class BankCardInvalid(DomainError):
    kind, code = Kind.INVALID, "bank_card_invalid"
    title = Words(zh="银行卡号不正确", en="Invalid bank card number")
    detail = Words(zh="请核对银行卡号。", en="Please check the card number.")


class CreditCardRefused(DomainError):
    """Told by the card's first digits, before the bank is asked and before anything is promised."""

    kind, code = Kind.REFUSED, "credit_card_refused"
    title = Words(zh="不能使用信用卡", en="Credit cards are not accepted")
    detail = Words(
        zh="按规定不得使用信用卡充值，请使用借记卡。",
        en="The rules forbid topping up with a credit card; use a debit card.",
    )

    def __init__(self) -> None:
        named: dict[str, Any] = {"article": CREDIT_CARD_ARTICLE}
        super().__init__(**named)


@dataclass(frozen=True, slots=True)
class RequestTopUp:
    """The command: `topup_id` is made by the phone; `bank_card` 16 to 19 digits."""

    person_id: str
    topup_id: str
    wallet_id: str
    amount_fen: int
    bank_card: str

    def __repr__(self) -> str:
        return f"RequestTopUp({self.topup_id}, <secret>)"


@dataclass(frozen=True, slots=True)
class TopUp:
    """A top-up; `ask_again_at` tells when a word from the bank may be expected."""

    topup_id: str
    wallet_id: str
    person_id: str
    amount_fen: int
    state: TopUpState
    failure_code: str | None
    created_at: datetime
    settled_at: datetime | None
    ask_again_at: datetime | None
    bank_card_masked: str
    automatic: bool = False
