"""Matching a day: read the three sides, book what agrees, write down every difference.

Safe to repeat: what was booked stays booked once, and cases come, stay explained or go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from backend.db import Decide, Operation, Rows, Units, Which
from backend.wallet import recipes
from backend.wallet.accounts import CUSTODY, suspense_account
from backend.wallet.bank import Bank, Booking
from backend.wallet.cases import Case, CaseKind, CaseState, CaseUnknown, ExplainCase, subject_of
from backend.wallet.cases.records import case_of, want_case
from backend.wallet.cases.tables import match_case, match_day
from backend.wallet.ledger import Ledger, Transfer
from backend.wallet.matching import records
from backend.wallet.matching.claims import custody_ids, read_sides
from backend.wallet.matching.model import (
    CASES_MAX,
    CasesOpen,
    Claim,
    Comparison,
    DayMatch,
    DayState,
    StatementStrange,
    compare,
)

SET_MAX = 500


@dataclass(frozen=True, slots=True)
class Matching:
    """Each method is one command or one question of the operator's accountant."""

    units: Units
    ledger: Ledger
    bank: Bank

    def match(self, day: date, operation: Operation) -> DayMatch:
        """Compare the day's three sides. Raises StatementStrange, DatabaseUnavailable.

        Only what agrees on all sides is booked into custody; a day that was closed is open again
        when something new does not agree.
        """
        bookings = [
            replace(one, order_id=subject_of(one.order_id)) for one in self.bank.bookings(day)
        ]
        found = self._compare(day, bookings)
        if len(found.differences) > CASES_MAX:
            raise StatementStrange(cases_max=CASES_MAX)
        booked = self._book(day, [one for one in found.agreed if not one.in_custody])
        agreed = {one.subject for one in found.agreed}
        unmatched = sorted({one.order_id for one in bookings} - agreed)

        def needs(rows: Rows) -> bool:
            records.want(rows, day, found)
            return False

        def decide(rows: Rows) -> DayMatch:
            records.save(rows, day, found)
            amount_fen = sum(one.amount_fen for one in booked)
            new = {"matched": len(booked), "amount_fen": amount_fen}
            return records.day_match(rows, day, unmatched=unmatched, **new)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def explain(self, command: ExplainCase, operation: Operation) -> Case:
        """Give a difference its case number and reason. Raises CaseUnknown.

        Another explanation takes the place of the first. Of a date that differs it says that the
        other day is right: the next match then books the money.
        """
        key = (command.business_date, command.subject, command.kind.value)

        def needs(rows: Rows) -> bool:
            want_case(rows, command.business_date, command.subject, command.kind)
            return False

        def decide(rows: Rows) -> Case:
            row = rows.find(match_case, *key)
            if row is None:
                raise CaseUnknown
            said = {
                "state": CaseState.EXPLAINED.value,
                "case_number": command.case_number,
                "reason": command.reason,
                "explained_by": command.explained_by,
                "explained_at": rows.now,
            }
            rows.change(match_case, key, **said)
            return case_of({**row, **said})

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def close(self, day: date, staff: str, operation: Operation) -> DayMatch:
        """Close a day that was matched and has no open case. Raises DayNotMatched, CasesOpen."""

        def needs(rows: Rows) -> bool:
            rows.want(match_day, day)
            return False

        def decide(rows: Rows) -> DayMatch:
            found = records.day_match(rows, day)
            if found.cases_open:
                raise CasesOpen(count=found.cases_open)
            said = {"state": DayState.CLOSED.value, "closed_by": staff, "closed_at": rows.now}
            rows.change(match_day, (day,), **said)
            return records.day_match(rows, day)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def get(self, day: date) -> DayMatch:
        """The stored result of a day. Raises DayNotMatched."""
        with self.units.read(Which.LEDGER) as work:
            return records.day_match(work.rows, day)

    def cases(self, day: date, *, limit: int, after: str | None) -> tuple[list[Case], str | None]:
        """A day's cases in order, above the cursor `after`; and the next cursor."""
        with self.units.read(Which.LEDGER) as work:
            found = records.page_of_cases(work, day, limit + 1, after)
        page = found[:limit]
        last = page[-1] if len(found) > limit else None
        return page, None if last is None else f"{last.kind.value}/{last.subject}"

    # --- inside -----------------------------------------------------------------------------------

    def _compare(self, day: date, bookings: Sequence[Booking]) -> Comparison:
        with self.units.read(Which.LEDGER) as work:
            sides = read_sides(work, day, (one.order_id for one in bookings))
            dates = records.accepted_subjects(work, day, CaseKind.DATE_DIFFERS.value)
        return compare(day, bookings, sides.claims, sides.strays, dates)

    def _book(self, day: date, claims: Sequence[Claim]) -> list[Claim]:
        """Receivable becomes custody, in sets; those that were not booked before."""
        booked: list[Claim] = []
        for at in range(0, len(claims), SET_MAX):
            some = claims[at : at + SET_MAX]
            outcomes = self.units.decide_all(
                Which.LEDGER, [BookStatement(self.ledger, one, day) for one in some]
            )
            for claim, outcome in zip(some, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    raise outcome
                if outcome:
                    booked.append(claim)
        return booked


@dataclass(frozen=True, slots=True)
class BookStatement:
    """A decision: what the statement shows is in custody now, once; its day is noted with it."""

    ledger: Ledger
    claim: Claim
    day: date

    def needs(self, rows: Rows) -> bool:
        for one in self._transfers():
            self.ledger.need_transfer(rows, one)
        return False

    def decide(self, rows: Rows) -> bool:
        if any(self.ledger.is_posted(rows, name) for name in custody_ids(self.claim.subject)):
            return False
        if self.claim.rest_fen:
            self.ledger.open_account(rows, suspense_account(self.claim.subject))
        for one in self._transfers():
            self.ledger.post(rows, one)
        return True

    def _transfers(self) -> Iterable[Transfer]:
        claim = self.claim
        if claim.posted_fen:
            yield replace(
                recipes.custody_matched(claim.subject, claim.posted_fen, channel=claim.channel),
                memo=self.day.isoformat(),
            )
        if claim.rest_fen:  # an employer's money for lines that were refused: owed back
            _, rest_id = custody_ids(claim.subject)
            yield recipes.into_suspense(
                rest_id, claim.subject, CUSTODY, claim.rest_fen, self.day.isoformat()
            )
