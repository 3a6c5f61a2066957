"""Devices, tokens and key batches as facts, with the pure rules of counters; knows no rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Literal

from backend.virtual_card.errors import (
    AtcOutOfWindow,
    AtcSeen,
    DeviceKeyMissing,
    KeyExhausted,
    PayCodeUsed,
    ProofSeen,
)
from backend.virtual_card.states import ActorKind, DeviceState, Reason, TokenState
from card_protocol.checks import is_digits
from card_protocol.mobile_card import HolderCheck, Suite, TransactionData
from card_protocol.token_number import TOKEN_NUMBER_DIGITS, luhn_check_digit

DEVICES_MAX = 5
LIVE_BATCHES_MAX = 3
ATC_MAX = 0xFFFF
ATC_WINDOW = 200
"""How far a counter may be from the highest one seen: taps that never reached us count too."""

ProofKind = Literal["tap", "pay_code"]


class CardKind(Enum):
    """Which kind of card a token stands for."""

    MAIN = "main"  # 主卡
    SECONDARY = "secondary"  # 副卡
    MOBILE = "mobile"  # a card that lives on phones only


class EventKind(Enum):
    """What may happen to a holder, a phone or a card."""

    LOST_PLASTIC = "lost_plastic"
    LOST_PHONE = "lost_phone"
    NEW_PHONE = "new_phone"
    SIM_CHANGE = "sim_change"
    DEATH = "death"
    MOVED_AWAY = "moved_away"


class Attested(Enum):
    """How a device's keys are protected, as far as somebody vouches for it."""

    NONE = "none"  # nobody vouches
    SOFTWARE = "software"
    HARDWARE = "hardware"  # TEE, StrongBox, secure enclave


class OsIntegrity(Enum):
    UNKNOWN = "unknown"
    VERIFIED = "verified"
    BROKEN = "broken"  # unlocked, rooted, or not the maker's


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What an attestation says of a device."""

    attested: Attested = Attested.NONE
    os_integrity: OsIntegrity = OsIntegrity.UNKNOWN
    model: str | None = None


UNATTESTED = DeviceFacts()


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something to a token; `id` is a person or staff id, None for a rule."""

    kind: ActorKind
    id: str | None = None


SYSTEM = Actor(ActorKind.SYSTEM)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a token changes, by whom, and the card event that asked for it."""

    reason: Reason
    by: Actor
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One change of a token."""

    number: int
    before: TokenState | None
    after: TokenState
    cause: Cause
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CardProduct:
    """One card product of the city: configuration. `product` stands in certificates."""

    product: str  # 1..16 printable ASCII
    label: str  # what phone and terminal call it
    uses_max: int = 20  # taps of one limited-use key
    hours: int = 120  # life of one limited-use key
    offline_sale_max_fen: int = 0  # 0: online only
    offline_sum_max_fen: int = 0
    certificate_days: int = 365
    concession_group: int = 0
    kind: CardKind = CardKind.MOBILE
    suite: Suite = Suite.AES_ES256

    def __post_init__(self) -> None:
        if not (self.product.isascii() and self.product.isprintable() and self.product):
            raise ValueError("product is printable ASCII")
        if len(self.product) > 16 or not 0 < len(self.label) <= 60:
            raise ValueError("product has at most 16 characters, label 1 to 60")
        if min(self.uses_max, self.hours, self.certificate_days) < 1:
            raise ValueError("uses_max, hours and certificate_days are positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerProfile:
    """Who issues: configuration. Token numbers start with `token_prefix`."""

    products: Mapping[str, CardProduct]
    token_prefix: str = "621000"  # noqa: S105 - digits everybody sees

    def __post_init__(self) -> None:
        if not is_digits(self.token_prefix) or not 1 <= len(self.token_prefix) <= 8:
            raise ValueError("token_prefix is 1 to 8 digits")
        if any(name != one.product for name, one in self.products.items()):
            raise ValueError("products are listed under their own names")


@dataclass(frozen=True, slots=True)
class Device:
    """A phone with its public keys (SEC1 compressed, 33 bytes each).

    The P-256 signing key is the phone's name: log-in, proofs, ride and identity codes are signed
    with it, whatever suite a card on the phone is of. An SM2 key signs taps only.
    """

    device_id: str
    person_id: str
    name: str
    signing_key: bytes
    sealing_key: bytes
    state: DeviceState
    enrolled_at: datetime
    facts: DeviceFacts = UNATTESTED
    sm2_key: bytes | None = None  # of the SM suite's cards; None until it is made known

    @property
    def suites(self) -> tuple[Suite, ...]:
        """Suites of the cards that may be put on it."""
        return (Suite.AES_ES256,) if self.sm2_key is None else (Suite.AES_ES256, Suite.SM4_SM2)

    def tap_key(self, suite: Suite) -> bytes:
        """The key that signs the taps of a card of this suite. Raises DeviceKeyMissing."""
        key = self.signing_key if suite is Suite.AES_ES256 else self.sm2_key
        if key is None:
            raise DeviceKeyMissing(suite=suite.name.lower())
        return key


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """One limited-use key and pay code key: index and bounds; the keys are derived, not kept."""

    key_index: int
    key_version: int
    uses_max: int
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class IssuedKeys:
    """`KeyTerms` with the keys sealed to the device (card_protocol.key_batch)."""

    key_index: int
    key_version: int
    uses_max: int
    not_before: datetime
    not_after: datetime
    sealed: bytes
    suite: Suite = Suite.AES_ES256


@dataclass(frozen=True, slots=True)
class Card:
    """A token as its holder sees it; `keys` only when they were just issued."""

    token_id: str
    token_number: str  # 19 digits
    short_number: str  # 8 digits
    state: TokenState
    product: str
    label: str
    certificate: bytes
    wallet_id: str
    device_id: str
    keys: IssuedKeys | None
    suite: Suite = Suite.AES_ES256
    card_kind: CardKind = CardKind.MOBILE
    suspended_for: Reason | None = None


@dataclass(frozen=True, slots=True)
class VerifiedProof:
    """A tap or pay code that is genuine and in time; whether it is the first use, payments asks.

    `counter` is claimed once per (token, kind): the ATC of a tap, the time step of a pay code.
    """

    token_id: str
    token_number: str
    wallet_id: str
    person_id: str
    kind: ProofKind
    counter: int
    key_index: int
    key_uses_max: int
    holder_check: HolderCheck | None  # taps only
    transaction: TransactionData | None  # taps only: what the card agreed to


def check_counter(atc: int, highest_seen: int | None, window: int = ATC_WINDOW) -> None:
    """Raises AtcOutOfWindow unless `atc` is 1..65535 and near the highest one seen (None: 0).

    Lower counters pass: taps may arrive out of order. Whether one was seen is `ProofSeen`.
    """
    if not 0 < atc <= ATC_MAX or abs(atc - (highest_seen or 0)) > window:
        raise AtcOutOfWindow


def check_key_uses(uses: int, uses_max: int) -> None:
    """Raises KeyExhausted when a key that was used `uses` times may not be used once more."""
    if uses >= uses_max:
        raise KeyExhausted(uses_max=uses_max)


def proof_seen(kind: ProofKind) -> ProofSeen:
    """The refusal for a counter that was claimed before."""
    return AtcSeen() if kind == "tap" else PayCodeUsed()


def number_with_check_digit(prefix: str, digits: str) -> str:
    """A token number: prefix ‖ digits ‖ check digit, 19 in all."""
    body = prefix + digits
    if len(body) != TOKEN_NUMBER_DIGITS - 1:
        raise ValueError("a token number has 18 digits before its check digit")
    return body + luhn_check_digit(body)


def mask_token_number(token_number: str) -> str:
    """As receipts show it: first six and last four digits."""
    return f"{token_number[:6]}{'*' * (len(token_number) - 10)}{token_number[-4:]}"
