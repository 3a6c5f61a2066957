"""The merchant's plain statement: one business day, line by line, and its sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import select

from backend.db import Units, Which, Work
from backend.payments.offline.tables import offline_payment
from backend.payments.tables import payment
from backend.wallet import payable_account, reading

SALE_CODES = ("payment", "epurse_purchase", "suspense_solved")
"""What a merchant is paid for: from wallets, from purses, and from cases that were solved."""


class _Place(NamedTuple):
    payment_id: str | None
    terminal_number: str | None


NOWHERE = _Place(None, None)


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
            named = [one.linked_to or one.operation_id for one in lines]
            places = _places(work, named)
            counted = reading.count_by_code(work, account_id)
        sold = [counted.get(code, (0, 0)) for code in SALE_CODES]
        back = [counted.get(code, (0, 0)) for code in ("refund", "reversal")]
        totals = StatementTotals(
            sum(one[0] for one in sold),
            sum(one[1] for one in sold),
            sum(one[0] for one in back),
            -sum(one[1] for one in back),
        )
        data = [
            StatementLine(
                line_id=str(one.line),
                time=one.posted_at,
                code=one.code,
                amount_fen=one.amount_fen,
                reference=place.payment_id or one.operation_id.split("/")[0],
                shop_name=one.memo,
                terminal_number=place.terminal_number,
            )
            for one, place in zip(lines[:limit], _in_order(places, named), strict=False)
        ]
        following = data[-1].line_id if len(lines) > limit else None
        return Statement(day, merchant_id, totals, data, following)


def _in_order(places: Mapping[str, _Place], named: list[str]) -> list[_Place]:
    return [places.get(one, NOWHERE) for one in named]


def _places(work: Work, operation_ids: list[str]) -> dict[str, _Place]:
    """Terminals of sales; of purses' sales also their ids, since their postings have others."""
    query = select(payment.c.payment_id, payment.c.terminal_number)
    rows = work.execute(query.where(payment.c.payment_id.in_(operation_ids)))
    places = {row.payment_id: _Place(None, row.terminal_number) for row in rows}
    columns = offline_payment.c
    purses = select(columns.operation_id, columns.payment_id, columns.terminal_number).where(
        columns.operation_id.in_([one for one in operation_ids if one.startswith("epurse:")])
    )
    for row in work.execute(purses):
        places[row.operation_id] = _Place(row.payment_id, row.terminal_number)
    return places
