"""A payment as a fact, the commands about it, and its refusals. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import Enum

from backend.kernel import DomainError, Kind, Words
from backend.payments.states import Event, State
from backend.wallet import CODE_B, CODE_C, CODE_D, SPEND

HOLD_TTL = timedelta(days=7)


class Method(Enum):
    """How a payment was agreed to, and with it which check was reached for this payment.

    A tap is a card, no code; a ride code is a ticket, capped by its issuer. A pay code takes the
    phone's key and its unlocking: two factors, level B. A merchant code with an amount takes the
    log-in bound to the phone: one, level C; a printed one is static, level D (条码支付业务规范,
    as in docs/limits.md).
    """

    TAP = "tap"
    PAY_CODE = "pay_code"  # 付款码
    MERCHANT_CODE = "merchant_code"  # 收款码, made for one bill
    STATIC_CODE = "static_code"  # 收款码, printed
    RIDE_CODE = "ride_code"  # 乘车码, checked by the gate alone

    @property
    def checks(self) -> tuple[str, ...]:
        """The counter of the check that was reached for this payment."""
        return CHECKS[self]

    @property
    def counts(self) -> tuple[str, ...]:
        """All counters of limits a payment is counted in."""
        return (SPEND, *CHECKS[self])


CHECKS: Mapping[Method, tuple[str, ...]] = {
    Method.TAP: (),
    Method.RIDE_CODE: (),
    Method.PAY_CODE: (CODE_B,),
    Method.MERCHANT_CODE: (CODE_C,),
    Method.STATIC_CODE: (CODE_D,),
}


class PaymentUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "payment_unknown"
    title = Words(zh="没有这笔支付", en="No such payment")
    detail = Words(zh="未找到该支付。", en="There is no such payment.")


class PaymentExists(DomainError):
    kind, code = Kind.CONFLICT, "payment_exists_differently"
    title = Words(zh="支付编号已使用", en="Payment id in use")
    detail = Words(zh="此支付编号已用于另一笔支付。", en="This id belongs to another payment.")


class PaymentReversed(DomainError):
    kind, code = Kind.CONFLICT, "payment_reversed"
    title = Words(zh="支付已冲正", en="Payment reversed")
    detail = Words(zh="此支付已冲正，不再受理。", en="This payment was reversed and stays so.")


class TerminalCounterSeen(DomainError):
    kind, code = Kind.CONFLICT, "terminal_counter_seen"
    title = Words(zh="终端流水号重复", en="Terminal counter seen")
    detail = Words(
        zh="该终端流水号已用于另一笔支付。", en="This terminal used the counter for another sale."
    )


class TapMismatch(DomainError):
    kind, code = Kind.REFUSED, "tap_mismatch"
    title = Words(zh="刷卡数据与交易不符", en="The tap is for another sale")
    detail = Words(
        zh="卡片确认的 {field} 与本次交易不一致。", en="The card agreed to another {field}."
    )


class AmountMismatch(DomainError):
    kind, code = Kind.REFUSED, "amount_mismatch"
    title = Words(zh="金额与收款码不符", en="Amount differs from the code")
    detail = Words(
        zh="收款码要求 {expected_fen} 分。", en="The merchant code asks for {expected_fen} fen."
    )


class BillPaid(DomainError):
    kind, code = Kind.CONFLICT, "bill_paid"
    title = Words(zh="账单已支付", en="Bill already paid")
    detail = Words(zh="此账单已支付，请勿重复付款。", en="This bill was paid already.")


class CaptureTooMuch(DomainError):
    kind, code = Kind.REFUSED, "capture_exceeds_authorised"
    title = Words(zh="超过预授权金额", en="More than was authorised")
    detail = Words(zh="最多可扣 {amount_fen} 分。", en="At most {amount_fen} fen may be captured.")


class RefundTooMuch(DomainError):
    kind, code = Kind.REFUSED, "refund_exceeds_remaining"
    title = Words(zh="退款超过剩余金额", en="Refund exceeds what is left")
    detail = Words(zh="剩余可退 {remaining_fen} 分。", en="{remaining_fen} fen are left to refund.")


class RefundExists(DomainError):
    kind, code = Kind.CONFLICT, "refund_exists"
    title = Words(zh="退款编号已使用", en="Refund id in use")
    detail = Words(zh="此退款编号已用于另一笔退款。", en="This id belongs to another refund.")


@dataclass(frozen=True, slots=True)
class Payee:
    """Who is paid: a shop of a merchant, at a terminal or (for a printed code) at none."""

    merchant_id: str
    merchant_name: str
    shop_id: str
    shop_name: str
    terminal_id: str | None
    terminal_number: str | None


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays, and the one-time proof that is used up by this payment."""

    wallet_id: str
    person_id: str
    token_id: str | None = None
    token_number: str | None = None
    counter: int | None = None
    key_index: int | None = None
    key_uses_max: int | None = None


@dataclass(frozen=True, slots=True)
class Tap:
    """A phone card held to the terminal: the bytes of GET PROCESSING OPTIONS and its answer."""

    pdol_data: bytes
    gpo_response: bytes


@dataclass(frozen=True, slots=True)
class PayCodeShown:
    """The 19 digits of a pay code, as scanned."""

    content: str


@dataclass(frozen=True, slots=True)
class Sell:
    """A sale at a terminal; `payment_id` and `terminal_counter` are made there."""

    terminal_id: str
    payment_id: str
    terminal_counter: int
    amount_fen: int
    capture: bool
    proof: Tap | PayCodeShown
    register_reference: str | None = None


@dataclass(frozen=True, slots=True)
class PayMerchantCode:
    """A citizen scanned a merchant code and agreed to pay."""

    person_id: str
    payment_id: str
    wallet_id: str
    merchant_code: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Owner:
    """Who may act on a payment: exactly one of the two is set."""

    terminal_id: str | None = None
    merchant_id: str | None = None


@dataclass(frozen=True, slots=True)
class RefundPayment:
    """Give part or all back; `refund_id` is made by the caller."""

    payment_id: str
    refund_id: str
    amount_fen: int
    reason: str


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as everybody sees it; amounts in fen."""

    payment_id: str
    state: State
    amount_fen: int
    captured_fen: int
    refunded_fen: int
    method: Method
    merchant_id: str
    merchant_name: str
    shop_id: str
    shop_name: str
    terminal_id: str | None
    terminal_number: str | None
    wallet_id: str
    person_id: str
    token_number_masked: str | None
    balance_fen: int | None
    business_date: date
    created_at: datetime
    bill_number: str | None
    register_reference: str | None

    @property
    def refundable_fen(self) -> int:
        """What is left of the capture: a refund can never exceed it."""
        return self.captured_fen - self.refunded_fen

    def as_of(self, now: datetime) -> Payment:
        """The payment as it stands: a hold that has run out is released, job or no job."""
        if self.state is State.AUTHORISED and self.created_at + HOLD_TTL <= now:
            return replace(self, state=State.VOIDED)
        return self

    def refund_event(self, amount_fen: int) -> Event:
        """Which event a refund of `amount_fen` is. Raises RefundTooMuch."""
        if amount_fen > self.refundable_fen:
            raise RefundTooMuch(remaining_fen=self.refundable_fen)
        return Event.REFUND_ALL if amount_fen == self.refundable_fen else Event.REFUND_PART


@dataclass(frozen=True, slots=True)
class Refund:
    """A posted refund; `remaining_fen` is what could still be refunded after it."""

    refund_id: str
    payment_id: str
    amount_fen: int
    state: str
    business_date: date
    created_at: datetime
    remaining_fen: int


@dataclass(frozen=True, slots=True)
class Reversal:
    """The answer to a reversal: also for a payment that never arrived."""

    payment_id: str
    state: str = "reversed"


def masked(token_number: str | None) -> str | None:
    """First six and last four digits, as receipts may show them (PCI DSS 4.0, 3.4.1)."""
    return None if token_number is None else f"{token_number[:6]}·········{token_number[-4:]}"
