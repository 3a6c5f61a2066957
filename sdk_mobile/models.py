"""Values an app sees, shaped as the citizen's API tells them. Knows nothing of requests.

Amounts are whole fen, times carry an offset, ids are TypeIDs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from card_protocol import pay_code


@dataclass(frozen=True, slots=True)
class LoginCode:
    """A one-time code is on its way by SMS."""

    challenge_id: str
    expires_at: datetime
    resend_at: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """Who is logged in; the masked members are None before registration."""

    registered: bool
    person_id: str | None = None
    phone_masked: str | None = None
    name_masked: str | None = None
    id_number_masked: str | None = None
    matched_at: datetime | None = None
    as_of: datetime | None = None  # when the backend said so


@dataclass(frozen=True, slots=True)
class Account:
    """The wallet's account (账户) as the backend last told it."""

    wallet_id: str
    state: str
    account_class: str
    balance_fen: int
    available_fen: int
    ceiling_fen: int
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Balance:
    """`as_of` is when the backend said so; `is_fresh` is False for a remembered figure."""

    balance_fen: int
    available_fen: int
    as_of: datetime
    is_fresh: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the statement; `amount_fen` is signed, `balance_fen` is after the line."""

    line_id: str
    time: datetime
    code: str
    amount_fen: int
    balance_fen: int
    reference: str | None = None
    counterparty: str | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Lines newest first; offline the remembered ones, with `is_fresh` False."""

    lines: tuple[Line, ...]
    as_of: datetime
    is_fresh: bool


@dataclass(frozen=True, slots=True)
class TopUp:
    """充值. `state` is processing, succeeded or failed; while processing, ask at `ask_again_at`."""

    topup_id: str
    wallet_id: str
    amount_fen: int
    state: str
    created_at: datetime
    failure_code: str | None = None
    settled_at: datetime | None = None
    ask_again_at: datetime | None = None

    @property
    def is_settled(self) -> bool:
        return self.state != "processing"


@dataclass(frozen=True, slots=True)
class Device:
    """This phone, enrolled with its public keys; `suites` are those of the cards it can carry."""

    device_id: str
    name: str
    state: str
    enrolled_at: datetime
    suites: tuple[int, ...] = (1,)  # what an older app wrote down knew of one
    attested: str = "none"  # software, hardware: what the city took from the platform's word


@dataclass(frozen=True, slots=True)
class SealedKeys:
    """Limited-use keys for a card, sealed (RFC 9180) to the phone's sealing key."""

    key_index: int
    key_version: int
    suite: int
    sealed: bytes = field(repr=False)
    uses_max: int
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class PhoneCard:
    """The phone card (手机卡): a token that stands for the wallet on this phone."""

    token_id: str
    token_number: str
    short_number: str
    state: str
    product: str
    label: str
    certificate: bytes = field(repr=False)
    wallet_id: str
    device_id: str
    as_of: datetime | None = None  # when the backend said so; None in what an older app wrote


@dataclass(frozen=True, slots=True)
class CardChange:
    """One change of the card: from `before` (None: its beginning) to `after`, why and by whom."""

    number: int
    after: str
    reason: str
    at: datetime
    by: str
    before: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class PayCodeView:
    """付款码: 19 digits, good once, until `valid_until` by the clock of this phone."""

    digits: str
    valid_until: datetime

    @property
    def consumer_presented(self) -> str:
        """The same as the text of an EMVCo consumer-presented QR code; one use for both."""
        return pay_code.decode(self.digits).encode_consumer()


@dataclass(frozen=True, slots=True)
class MerchantCodeView:
    """收款码 as read; `is_checked` is False when only this phone looked at it (offline)."""

    merchant_name: str
    shop_name: str | None
    shop_id: str | None
    amount_fen: int | None
    bill_number: str | None
    is_checked: bool = True


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as the backend tells it; `balance_fen` is the wallet's after it."""

    payment_id: str
    state: str
    amount_fen: int
    captured_fen: int
    refunded_fen: int
    method: str
    merchant_name: str
    created_at: datetime
    shop_name: str | None = None
    balance_fen: int | None = None
    business_date: str | None = None
    bill_number: str | None = None


@dataclass(frozen=True, slots=True)
class OfflineView:
    """How long the phone can go on without the network: what is stored, and until when.

    `taps_left` counts taps and not codes; a `None` time means that there is none now.
    """

    taps_left: int
    keys_until: datetime | None
    ride_until: datetime | None
    identity_until: datetime | None
    is_refill_due: bool


@dataclass(frozen=True, slots=True)
class ClockView:
    """The phone's clock against the backend's: `skew_seconds` is backend minus phone, as of
    `read_at`; `is_wrong` when the holder should set it. Codes are right all the same."""

    skew_seconds: float
    read_at: datetime | None
    is_wrong: bool
