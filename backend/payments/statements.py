"""The merchant's plain statement: one business day, line by line, and its sums."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select

from backend.db import Units, Which, Work
from backend.payments.tables import payment
from backend.wallet import payable_account, reading


@dataclass(frozen=True, slots=True)
class StatementLine:
    """`amount_fen` is positive for a sale, negative for what went back."""

    line_id: str
    time: datetime
    code: str
    amount_fen: int
    reference: str
    shop_name: str
    terminal_number: str | None


@dataclass(frozen=True, slots=True)
class StatementTotals:
    """Sums of the whole day, whatever page is shown; `net_fen` is what settlement will pay."""

    payments_count: int
    payments_fen: int
    refunds_count: int
    refunds_fen: int

    @property
    def net_fen(self) -> int:
        return self.payments_fen - self.refunds_fen


@dataclass(frozen=True, slots=True)
class Statement:
    business_date: date
    merchant_id: str
    totals: StatementTotals
    data: list[StatementLine]
    next: str | None


@dataclass(frozen=True, slots=True)
class Statements:
    """Reads what was posted to the merchant's payable account of a day."""

    units: Units

    def of_day(self, merchant_id: str, day: date, *, limit: int, after: str | None) -> Statement:
        """The statement, newest line first; an empty day is an empty statement."""
        account_id = payable_account(merchant_id, day).account_id
        before = int(after) if after and after.isdecimal() and len(after) < 19 else None
        with self.units.read(Which.LEDGER) as work:
            lines = reading.lines(work, account_id, limit=limit + 1, before_line=before)
            places = _terminals(work, [one.linked_to or one.operation_id for one in lines])
            counted = reading.count_by_code(work, account_id)
        sales = counted.get("payment", (0, 0))
        back = [counted.get(code, (0, 0)) for code in ("refund", "reversal")]
        totals = StatementTotals(
            sales[0], sales[1], sum(one[0] for one in back), -sum(one[1] for one in back)
        )
        data = [
            StatementLine(
                line_id=str(one.line),
                time=one.posted_at,
                code=one.code,
                amount_fen=one.amount_fen,
                reference=one.operation_id.split("/")[0],
                shop_name=one.memo,
                terminal_number=places.get(one.linked_to or one.operation_id),
            )
            for one in lines[:limit]
        ]
        following = data[-1].line_id if len(lines) > limit else None
        return Statement(day, merchant_id, totals, data, following)


def _terminals(work: Work, payment_ids: list[str]) -> dict[str, str | None]:
    query = select(payment.c.payment_id, payment.c.terminal_number)
    rows = work.execute(query.where(payment.c.payment_id.in_(payment_ids)))
    return {row.payment_id: row.terminal_number for row in rows}
