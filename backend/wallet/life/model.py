"""The commands and facts of a wallet's later life, and the rules of redemption. Pure."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any

from backend.kernel import Words
from backend.wallet.life.errors import (
    CorrectionNotPossible,
    RedemptionNotAllowed,
    RedemptionTooEarly,
)
from backend.wallet.life.states import (
    CaseState,
    CorrectionState,
    RedemptionState,
    WalletEvent,
    WalletState,
)

UNREGISTERED = "unregistered"
REASON_MAX = 100


class RedemptionKind(Enum):
    """Whose money an order to pay out moves: a part, the rest of a wallet, or that of a case."""

    REDEMPTION = "redemption"
    CLOSING = "closing"
    CASE = "case"


CORRECTABLE = frozenset(
    {
        "top_up",
        "custody",
        "custody_moved",
        "concession_settled",
        "debt_paid",
        "deposit",
        "deposit_returned",
        "epurse_unloaded",
        "fee",
        "income_payout",
        "own_transfer",
        "replacement",
        "replacement_fee",
        "write_off",
    }
)
"""Codes whose facts stand in the ledger alone.

A payment, refund, load, payout, redemption or case has a row with a state of its own: undoing the
posting behind its back would let the same money go out twice. Those are refunded, reversed or
returned by their own commands.
"""


def check_correctable(code: str) -> None:
    """Raises CorrectionNotPossible, naming the code."""
    if code not in CORRECTABLE:
        raise CorrectionNotPossible(posting_code=code)


@dataclass(frozen=True, slots=True)
class RedemptionTerms:
    """When money may be redeemed; each figure with its article.

    months_min: whole months after the opening of a registered wallet; unregistered_below_fen: an
    unregistered transit card that holds less may be redeemed.
    """

    months_min: int
    article: Words
    unregistered_below_fen: int
    unregistered_article: Words

    def first_day(self, opened_on: date) -> date:
        """The first business day on which a registered wallet may be redeemed."""
        years, month = divmod(opened_on.month - 1 + self.months_min, 12)
        year = opened_on.year + years
        last_day = calendar.monthrange(year, month + 1)[1]
        return date(year, month + 1, min(opened_on.day, last_day))

    def check(self, account_class: str, opened_on: date, balance_fen: int, today: date) -> None:
        """Raises RedemptionTooEarly, RedemptionNotAllowed."""
        if account_class == UNREGISTERED:
            if balance_fen >= self.unregistered_below_fen:
                not_allowed: dict[str, Any] = {"article": self.unregistered_article}
                raise RedemptionNotAllowed(**not_allowed, below_fen=self.unregistered_below_fen)
            return
        first_day = self.first_day(opened_on)
        if today < first_day:
            too_early: dict[str, Any] = {"article": self.article}
            raise RedemptionTooEarly(**too_early, first_day=first_day.isoformat())


# --- commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Redeem:
    """The command: `redemption_id` is made by the phone; `bank_card` 16 to 19 digits."""

    person_id: str
    redemption_id: str
    wallet_id: str
    amount_fen: int
    bank_card: str

    def __repr__(self) -> str:
        return f"Redeem({self.redemption_id}, <secret>)"


@dataclass(frozen=True, slots=True)
class CloseWallet:
    """The command: `bank_card` may be absent when the wallet is empty."""

    person_id: str
    redemption_id: str
    wallet_id: str
    bank_card: str | None

    def __repr__(self) -> str:
        return f"CloseWallet({self.redemption_id}, <secret>)"


@dataclass(frozen=True, slots=True)
class PayCase:
    """Staff pays a case to its owner: into an open wallet of theirs, or to their bank card."""

    staff_id: str
    case_id: str
    redemption_id: str
    wallet_id: str | None
    bank_card: str | None

    def __repr__(self) -> str:
        return f"PayCase({self.case_id}, {self.redemption_id}, <secret>)"


@dataclass(frozen=True, slots=True)
class ChangeWallet:
    """Staff freezes or unfreezes a wallet."""

    staff_id: str
    wallet_id: str
    event: WalletEvent
    reason: str


@dataclass(frozen=True, slots=True)
class MoveOwn:
    """From one wallet of a person to another of the same person; amounts in fen."""

    person_id: str
    transfer_id: str
    from_id: str
    to_id: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class ReplaceWallet:
    """The whole balance goes to the wallet that takes the place of the old one."""

    person_id: str
    replacement_id: str
    old_id: str
    new_id: str


@dataclass(frozen=True, slots=True)
class WriteOff:
    """Staff gives a wallet's ride debt up, the whole of it."""

    staff_id: str
    write_off_id: str
    wallet_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class AskCorrection:
    """Staff asks that a posting be undone by its mirror."""

    staff_id: str
    correction_id: str
    operation_id: str
    reason: str


# --- facts ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Redemption:
    """Money on its way to the owner's bank account; `ask_again_at`: when the bank may have spoken.

    `case_id` where it comes out of a case instead of the wallet.
    """

    redemption_id: str
    kind: RedemptionKind
    wallet_id: str
    case_id: str | None
    amount_fen: int
    state: RedemptionState
    failure_code: str | None
    bank_card_masked: str
    created_at: datetime
    settled_at: datetime | None
    ask_again_at: datetime | None


@dataclass(frozen=True, slots=True)
class Closing:
    """What became of a wallet that is closed, and of the rest that was in it, if any."""

    wallet_id: str
    state: WalletState
    redemption: Redemption | None


@dataclass(frozen=True, slots=True)
class WalletChange:
    """One change of a wallet's state: what, why, by whom, when; `number` 1, 2, 3…"""

    wallet_id: str
    number: int
    event: WalletEvent
    state: WalletState
    reason: str
    changed_by: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Moved:
    """A transfer between two wallets of one person, with what is left in the one that gave."""

    operation_id: str
    amount_fen: int
    balance_fen: int


@dataclass(frozen=True, slots=True)
class RidePaid:
    """Who paid a fare: the wallet what it had, the rest is owed."""

    wallet_fen: int
    debt_fen: int


@dataclass(frozen=True, slots=True)
class OpenDebt:
    """What a rider owes."""

    wallet_id: str
    owed_fen: int


@dataclass(frozen=True, slots=True)
class WrittenOff:
    """A ride debt given up."""

    write_off_id: str
    wallet_id: str
    amount_fen: int
    reason: str
    staff_id: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Case:
    """Money under a case number, and who it belongs to."""

    case_id: str
    wallet_id: str
    person_id: str
    operation_id: str
    amount_fen: int
    reason: str
    state: CaseState
    opened_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    paid_by: str | None  # the order or transfer that pays it


@dataclass(frozen=True, slots=True)
class Correction:
    """A posting that somebody wants undone, and what a second person said."""

    correction_id: str
    operation_id: str
    posting_code: str
    amount_fen: int
    reason: str
    state: CorrectionState
    asked_by: str
    asked_at: datetime
    decided_by: str | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class PayoutMatch:
    """How the bank's lines of one day fared: `unmatched` are orders nobody here gave so."""

    business_date: date
    matched: int
    amount_fen: int
    unmatched: list[str]
