"""The ledger's daily proof: sums are zero, custody equals what is owed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from backend.db import Operation, Units, Which
from backend.wallet.accounts import ASSETS
from backend.wallet.bank import Bank
from backend.wallet.ledger import Ledger, reading
from backend.wallet.matching import DayMatch, Matching


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
class Proof:
    """Asks ledger and bank."""

    units: Units
    ledger: Ledger
    bank: Bank

    def prove(self) -> LedgerProof:
        """The figures as they stand at this moment."""
        with self.units.read(Which.LEDGER) as work:
            totals = reading.totals(work)
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

    def match_custody(self, day: date, operation: Operation) -> DayMatch:
        """Match the bank's statement of one day; see `Matching.match`."""
        return Matching(self.units, self.ledger, self.bank).match(day, operation)
