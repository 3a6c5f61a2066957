"""The ledger's daily proof: sums are zero, custody equals what is owed; and the custody match."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select

from backend.db import Operation, Units, Which, Work
from backend.wallet import recipes
from backend.wallet.bank import Bank, Booking
from backend.wallet.ledger import Journal
from backend.wallet.topups.tables import topup

ASSETS = ("custody", "channel_receivable")


@dataclass(frozen=True, slots=True)
class LedgerProof:
    """All figures in fen. `owed_fen` is what the city owes citizens and merchants together."""

    debits_fen: int
    credits_fen: int
    custody_fen: int
    channel_receivable_fen: int
    owed_fen: int
    bank_reported_fen: int

    @property
    def sum_fen(self) -> int:
        return self.debits_fen - self.credits_fen

    @property
    def balanced(self) -> bool:
        return self.sum_fen == 0

    @property
    def custody_equals_owed(self) -> bool:
        """The law of custody: 100 % of customers' money, in the books and at the bank."""
        return self.custody_fen == self.owed_fen == self.bank_reported_fen


@dataclass(frozen=True, slots=True)
class CustodyMatch:
    """How a bank statement fared: `unmatched` are order ids nobody here asked for."""

    business_date: date
    matched: int
    amount_fen: int
    unmatched: list[str]


@dataclass(frozen=True, slots=True)
class Proof:
    """Asks ledger and bank."""

    units: Units
    bank: Bank

    def prove(self) -> LedgerProof:
        """The figures as they stand at this moment."""
        with self.units.read(Which.LEDGER) as work:
            totals = Journal(work).totals()
        kinds = totals.by_kind
        return LedgerProof(
            debits_fen=totals.debits_fen,
            credits_fen=totals.credits_fen,
            # by_kind counts credits as positive: what the city has reads negative there.
            custody_fen=-kinds.get("custody", 0),
            channel_receivable_fen=-kinds.get("channel_receivable", 0),
            owed_fen=sum(fen for kind, fen in kinds.items() if kind not in ASSETS),
            bank_reported_fen=self.bank.custody_balance_fen(),
        )

    def match_custody(self, day: date, operation: Operation) -> CustodyMatch:
        """Book the bank's statement of one day: receivable becomes custody. Safe to repeat."""
        bookings = self.bank.bookings(day)
        return self.units.once(Which.LEDGER, operation, lambda work: _match(work, day, bookings))


def _match(work: Work, day: date, bookings: Iterable[Booking]) -> CustodyMatch:
    journal = Journal(work)
    matched, amount_fen, unmatched = 0, 0, []
    for booking in bookings:
        if not _is_ours(work, booking):
            unmatched.append(booking.order_id)
            continue
        transfer = recipes.custody_matched(booking.order_id, booking.amount_fen)
        if not journal.is_posted(transfer.operation_id):
            journal.post(transfer)
            matched, amount_fen = matched + 1, amount_fen + booking.amount_fen
    return CustodyMatch(day, matched, amount_fen, unmatched)


def _is_ours(work: Work, booking: Booking) -> bool:
    query = select(topup.c.amount_fen).where(
        topup.c.topup_id == booking.order_id, topup.c.state == "succeeded"
    )
    row = work.one(query)
    return row is not None and row.amount_fen == booking.amount_fen
