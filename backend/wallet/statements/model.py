"""Periods of the city's calendar, and statements and receipts as their reader sees them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from backend.kernel import DomainError, Kind, Words
from backend.kernel.clock import BUSINESS_ZONE

DAYS_MAX = 366
YEAR_MIN = 2000
"""No citizen card is older; days before the year 1 have no moment at all."""

LINE_MAX = 2**63 - 1
MONTH_FORM = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])")
LINE_FORM = re.compile(r"[1-9][0-9]{0,18}")


class PeriodInvalid(DomainError):
    kind, code = Kind.INVALID, "period_invalid"
    title = Words(zh="账期不正确", en="Invalid period")
    detail = Words(
        zh="请写 2026-11 这样的月份，或首日不晚于末日、至多 {days_max} 天的日期范围。",
        en="Give a month such as 2026-11, or at most {days_max} days from a first to a last one.",
    )

    def __init__(self) -> None:
        super().__init__(days_max=DAYS_MAX)


class PeriodInFuture(DomainError):
    kind, code = Kind.INVALID, "period_in_future"
    title = Words(zh="账期尚未开始", en="The period has not begun")
    detail = Words(zh="该账期自 {first_day} 开始。", en="The period begins on {first_day}.")


class MomentInFuture(DomainError):
    kind, code = Kind.INVALID, "moment_in_future"
    title = Words(zh="时刻尚未到来", en="The moment is still to come")
    detail = Words(
        zh="只能查询过去某一时刻的余额；当前余额请查询钱包。",
        en="A balance is known for the past; for the present, ask for the wallet.",
    )


class LineUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "line_unknown"
    title = Words(zh="没有这笔明细", en="No such line")
    detail = Words(zh="该钱包没有这笔明细。", en="The wallet has no such line.")


class StatementTooLong(DomainError):
    kind, code = Kind.INVALID, "statement_too_long"
    title = Words(zh="明细过多", en="Too many lines")
    detail = Words(
        zh="该账期有 {lines_count} 笔明细，此格式至多 {lines_max} 笔；请缩短日期范围。",
        en="The period has {lines_count} lines, this form takes {lines_max}: ask for fewer days.",
    )


@dataclass(frozen=True, slots=True)
class Period:
    """Days of the city's calendar, both ends included."""

    first_day: date
    last_day: date

    @classmethod
    def month(cls, text: str, today: date) -> Period:
        """`2026-11`. Raises PeriodInvalid, PeriodInFuture."""
        if not MONTH_FORM.fullmatch(text):
            raise PeriodInvalid
        year, month = int(text[:4]), int(text[5:])
        if year < YEAR_MIN:
            raise PeriodInvalid
        first_day = date(year, month, 1)
        _check_begun(first_day, today)  # first: after 9999-12 there is no month
        after = date(year + month // 12, month % 12 + 1, 1)
        return cls(first_day, after - timedelta(days=1))

    @classmethod
    def days(cls, first_day: date, last_day: date, today: date) -> Period:
        """From day to day. Raises PeriodInvalid, PeriodInFuture."""
        if first_day.year < YEAR_MIN or not 0 <= (last_day - first_day).days < DAYS_MAX:
            raise PeriodInvalid
        _check_begun(first_day, today)
        return cls(first_day, last_day)

    @property
    def starts_at(self) -> datetime:
        """Midnight in Shanghai before the first day."""
        return _midnight(self.first_day)

    @property
    def ends_at(self) -> datetime:
        """Midnight after the last day: no longer in the period."""
        return _midnight(self.last_day + timedelta(days=1))

    @property
    def name(self) -> str:
        """`2026-11`, or `2026-11-03_2026-11-09`: short, for titles and file names."""
        is_month = self.first_day.day == 1 and self.last_day == _end_of_month(self.first_day)
        if is_month:
            return f"{self.first_day:%Y-%m}"
        return f"{self.first_day.isoformat()}_{self.last_day.isoformat()}"


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One line of a wallet; `amount_fen` is negative when it was spent.

    `reference` is the payment, top-up or refund it belongs to; `operation_id` the one posting,
    `linked_to` the one it corrects.
    """

    line_id: str
    time: datetime
    business_date: date
    code: str
    amount_fen: int
    balance_fen: int
    counterparty: str
    reference: str
    operation_id: str
    linked_to: str | None


@dataclass(frozen=True, slots=True)
class Extent:
    """A wallet's lines of a period: all numbers above `opening_line` up to `closing_line`."""

    opening_line: int
    opening_fen: int
    closing_line: int
    closing_fen: int

    @property
    def lines_count(self) -> int:
        return self.closing_line - self.opening_line


@dataclass(frozen=True, slots=True)
class Statement:
    """A wallet's period: opening and closing balance, and a page of its lines.

    `is_final`: the period is over. `next` is the cursor of the following page.
    """

    wallet_id: str
    period: Period
    made_at: datetime
    extent: Extent
    data: list[StatementLine]
    next: str | None

    @property
    def is_final(self) -> bool:
        return self.period.ends_at <= self.made_at

    @property
    def in_fen(self) -> int:
        """What came in on the lines of this page."""
        return sum(one.amount_fen for one in self.data if one.amount_fen > 0)

    @property
    def out_fen(self) -> int:
        """What went out on the lines of this page, as a positive sum."""
        return -sum(one.amount_fen for one in self.data if one.amount_fen < 0)


@dataclass(frozen=True, slots=True)
class BalanceAt:
    """What was in a wallet at a moment; 0 before its first line."""

    wallet_id: str
    at: datetime
    balance_fen: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """One line of a wallet, to be shown or printed."""

    wallet_id: str
    made_at: datetime
    line: StatementLine


def line_number(text: str) -> int:
    """The number of a line as a path names it. Raises LineUnknown for what no line can have."""
    if not LINE_FORM.fullmatch(text) or int(text) > LINE_MAX:
        raise LineUnknown
    return int(text)


def check_past(moment: datetime, now: datetime) -> None:
    """Raises MomentInFuture."""
    if moment > now:
        raise MomentInFuture


def _check_begun(first_day: date, today: date) -> None:
    if first_day > today:
        raise PeriodInFuture(first_day=first_day.isoformat())


def _end_of_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, BUSINESS_ZONE).astimezone(UTC)
