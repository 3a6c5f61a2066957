"""Answers what a wallet's holder asks about the past: statements, exports, balances, receipts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select

from backend.db import Units, Which, Work
from backend.kernel import business_date
from backend.wallet.ledger import reading
from backend.wallet.model import WalletUnknown
from backend.wallet.statements.model import (
    BalanceAt,
    Extent,
    LineUnknown,
    Period,
    Receipt,
    Statement,
    StatementLine,
    StatementTooLong,
    check_past,
)
from backend.wallet.tables import wallet

EXPORT_LINES_MAX = 100_000
EXPORT_PAGE_LINES = 500  # some 40 ms of work between two writes to the caller
PRINT_LINES_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Export:
    """A period's lines for a file: how many, and pages of them, oldest first."""

    period: Period
    lines_count: int
    pages: Iterator[list[StatementLine]]


@dataclass(frozen=True, slots=True)
class WalletStatements:
    """Each method is one question; somebody else's wallet raises WalletUnknown."""

    units: Units

    def today(self) -> date:
        """The business date of now."""
        return business_date(self.units.clock.now())

    def page(
        self,
        person_id: str,
        wallet_id: str,
        period: Period,
        *,
        limit: int,
        after_line: int | None,
        newest_first: bool,
    ) -> Statement:
        """A period's balances and a page of its lines, beyond `after_line` when given."""
        with self.units.read(Which.LEDGER) as work:
            _check_owner(work, person_id, wallet_id)
            extent = _extent(work, wallet_id, period)
            low, high = extent.opening_line, extent.closing_line + 1
            if after_line is not None and newest_first:
                high = min(high, after_line)
            elif after_line is not None:
                low = max(low, after_line)
            found = reading.lines(
                work,
                wallet_id,
                limit=limit + 1,
                after_line=low,
                before_line=high,
                newest_first=newest_first,
            )
            data = [_statement_line(one) for one in found[:limit]]
            following = data[-1].line_id if len(found) > limit else None
            return Statement(wallet_id, period, work.now, extent, data, following)

    def whole(self, person_id: str, wallet_id: str, period: Period) -> Statement:
        """A period with all its lines, oldest first, to print. Raises StatementTooLong."""
        with self.units.read(Which.LEDGER) as work:
            _check_owner(work, person_id, wallet_id)
            extent = _extent(work, wallet_id, period)
            _check_length(extent, PRINT_LINES_MAX)
            found = _run(work, wallet_id, extent.opening_line, extent.closing_line, PRINT_LINES_MAX)
            return Statement(wallet_id, period, work.now, extent, found, None)

    def export(self, person_id: str, wallet_id: str, period: Period) -> Export:
        """A period's lines in pages. Raises StatementTooLong before the first page.

        Each page is read in a short work of its own: whoever reads slowly holds no connection.
        Lines never change, and where they end is found out first, so the pages are of one piece.
        """
        with self.units.read(Which.LEDGER) as work:
            _check_owner(work, person_id, wallet_id)
            extent = _extent(work, wallet_id, period)
        _check_length(extent, EXPORT_LINES_MAX)
        return Export(period, extent.lines_count, self._pages(wallet_id, extent))

    def balance_at(self, person_id: str, wallet_id: str, moment: datetime) -> BalanceAt:
        """What was in the wallet at a moment. Raises MomentInFuture."""
        with self.units.read(Which.LEDGER) as work:
            _check_owner(work, person_id, wallet_id)
            check_past(moment, work.now)
            return BalanceAt(wallet_id, moment, reading.balance_at(work, wallet_id, moment))

    def receipt(self, person_id: str, wallet_id: str, line: int) -> Receipt:
        """One line of the wallet. Raises LineUnknown."""
        with self.units.read(Which.LEDGER) as work:
            _check_owner(work, person_id, wallet_id)
            found = reading.find_line(work, wallet_id, line)
            if found is None:
                raise LineUnknown
            return Receipt(wallet_id, work.now, _statement_line(found))

    def _pages(self, wallet_id: str, extent: Extent) -> Iterator[list[StatementLine]]:
        for low in range(extent.opening_line, extent.closing_line, EXPORT_PAGE_LINES):
            high = min(low + EXPORT_PAGE_LINES, extent.closing_line)
            with self.units.read(Which.LEDGER) as work:
                page = _run(work, wallet_id, low, high, EXPORT_PAGE_LINES)
            yield page


def _check_owner(work: Work, person_id: str, wallet_id: str) -> None:
    query = select(wallet.c.wallet_id).where(
        wallet.c.wallet_id == wallet_id, wallet.c.person_id == person_id
    )
    if work.one(query) is None:
        raise WalletUnknown


def _check_length(extent: Extent, lines_max: int) -> None:
    if extent.lines_count > lines_max:
        raise StatementTooLong(lines_count=extent.lines_count, lines_max=lines_max)


def _extent(work: Work, wallet_id: str, period: Period) -> Extent:
    opening = reading.last_before(work, wallet_id, period.starts_at)
    closing = reading.last_before(work, wallet_id, period.ends_at)
    return Extent(opening.line, opening.balance_fen, closing.line, closing.balance_fen)


def _run(work: Work, wallet_id: str, low: int, high: int, limit: int) -> list[StatementLine]:
    """The lines above `low` up to `high`, oldest first."""
    found = reading.lines(
        work,
        wallet_id,
        limit=limit,
        after_line=low,
        before_line=high + 1,
        newest_first=False,
    )
    return [_statement_line(one) for one in found]


def _statement_line(line: reading.Line) -> StatementLine:
    return StatementLine(
        line_id=str(line.line),
        time=line.posted_at,
        business_date=line.business_date,
        code=line.code,
        amount_fen=line.amount_fen,
        balance_fen=line.balance_fen,
        counterparty=line.memo,
        reference=line.operation_id.split("/")[0],
        operation_id=line.operation_id,
        linked_to=line.linked_to,
    )
