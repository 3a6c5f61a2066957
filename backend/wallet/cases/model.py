"""A case as a fact: what differs, by how much, and what a person said about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum

from backend.kernel import DomainError, Kind, Words


class CaseKind(Enum):
    """Every way in which bank, top-ups and ledger can disagree."""

    IN_BANK_NOT_OURS = "in_bank_not_ours"  # nobody here asked for it
    IN_OURS_NOT_BANK = "in_ours_not_bank"  # we count on it, the statement does not show it
    AMOUNT_DIFFERS = "amount_differs"
    DATE_DIFFERS = "date_differs"  # the statement shows it on another day than the bank told
    BOOKED_TWICE = "booked_twice"  # by the bank
    BANK_PAID_OURS_FAILED = "bank_paid_ours_failed"  # we told the citizen that it failed
    BANK_PAID_OURS_OPEN = "bank_paid_ours_open"  # we still wait for the bank's word
    NOT_POSTED = "not_posted"  # succeeded, and not in the ledger
    POSTED_TWICE = "posted_twice"  # in the ledger
    POSTING_DIFFERS = "posting_differs"  # in the ledger with another amount
    POSTED_NOT_OURS = "posted_not_ours"  # in the ledger, and no top-up succeeded
    DRAWER_NOT_COUNTED = "drawer_not_counted"
    DRAWER_DIFFERS = "drawer_differs"  # the cash counted is not the cash taken
    TOLD_AMOUNT_DIFFERS = "told_amount_differs"  # the bank's word names another amount
    TOLD_CARD_DIFFERS = "told_card_differs"  # the bank's word names another card
    TOLD_OTHERWISE = "told_otherwise"  # the bank's second word contradicts its first


TOLD = frozenset(
    {CaseKind.TOLD_AMOUNT_DIFFERS, CaseKind.TOLD_CARD_DIFFERS, CaseKind.TOLD_OTHERWISE}
)
"""Cases that come from the bank's word and not from a day's match: no match makes them go."""


class CaseState(Enum):
    OPEN = "open"
    EXPLAINED = "explained"  # a person gave a case number and a reason
    GONE = "gone"  # a later match no longer finds it


class CaseUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "case_unknown"
    title = Words(zh="没有这个差错", en="No such case")
    detail = Words(zh="当日没有此类差错。", en="The day has no such case.")


@dataclass(frozen=True, slots=True)
class Case:
    """One difference of one day; amounts in fen, None where a side has nothing."""

    business_date: date
    subject: str
    kind: CaseKind
    bank_fen: int | None
    ours_fen: int | None
    ledger_fen: int | None
    state: CaseState
    case_number: str | None
    reason: str | None
    explained_by: str | None
    found_at: datetime
    explained_at: datetime | None


@dataclass(frozen=True, slots=True)
class ExplainCase:
    """The command: who answers for a difference, under which number, and why it is one."""

    business_date: date
    subject: str
    kind: CaseKind
    case_number: str
    reason: str
    explained_by: str
