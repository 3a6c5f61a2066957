"""Months and ranges of days on the city's calendar, and numbers of lines as paths name them."""

from __future__ import annotations

from datetime import date, datetime
from itertools import pairwise

import pytest
from statement_world import utc

from backend.wallet.statements import Period, PeriodInFuture, PeriodInvalid
from backend.wallet.statements.model import LineUnknown, MomentInFuture, check_past, line_number

TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("text", "last_day", "starts_at", "ends_at"),
    [
        ("2026-11", date(2026, 11, 30), "2026-10-31T16:00:00Z", "2026-11-30T16:00:00Z"),
        ("2025-12", date(2025, 12, 31), "2025-11-30T16:00:00Z", "2025-12-31T16:00:00Z"),
        ("2024-02", date(2024, 2, 29), "2024-01-31T16:00:00Z", "2024-02-29T16:00:00Z"),
        ("2026-02", date(2026, 2, 28), "2026-01-31T16:00:00Z", "2026-02-28T16:00:00Z"),
    ],
)
def test_a_month_is_shanghais(text: str, last_day: date, starts_at: str, ends_at: str) -> None:
    period = Period.month(text, TODAY)
    assert (period.last_day, period.starts_at, period.ends_at) == (
        last_day,
        utc(starts_at),
        utc(ends_at),
    )
    assert period.name == text


def test_months_touch() -> None:
    """Goal: no moment lies between two months, or in both."""
    months = [Period.month(f"2025-{number:02d}", TODAY) for number in range(1, 13)]
    for one, following in pairwise(months):
        assert one.ends_at == following.starts_at


@pytest.mark.parametrize(
    "text",
    [
        "2026-13",
        "2026-00",
        "2026-1",
        "26-11",
        "2026-11-01",
        "x",
        "",
        "0000-01",
        "0001-01",
        "1999-12",
        "２０２６-11",
        "2026-11\n",
        " 2026-11",
        "-026-11",
    ],
)
def test_what_is_no_month(text: str) -> None:
    with pytest.raises(PeriodInvalid):
        Period.month(text, TODAY)


@pytest.mark.parametrize("text", ["2026-12", "2027-01", "9999-12"])
def test_a_month_to_come(text: str) -> None:
    with pytest.raises(PeriodInFuture):
        Period.month(text, TODAY)


def test_days_are_counted_with_both_ends() -> None:
    day = Period.days(TODAY, TODAY, TODAY)
    assert (day.starts_at, day.ends_at) == (utc("2026-11-22T16:00Z"), utc("2026-11-23T16:00Z"))
    assert day.name == "2026-11-23_2026-11-23"
    leap_year = Period.days(date(2024, 1, 1), date(2024, 12, 31), TODAY)  # 366 days
    assert leap_year.name == "2024-01-01_2024-12-31"
    assert Period.days(date(2024, 2, 1), date(2024, 2, 29), TODAY).name == "2024-02"


@pytest.mark.parametrize(
    ("first_day", "last_day"),
    [
        (date(2026, 11, 2), date(2026, 11, 1)),
        (date(2024, 1, 1), date(2025, 1, 1)),  # 367 days
        (date(1999, 12, 31), date(2000, 1, 1)),
        (date(2026, 1, 1), date.max),
        (date.min, date.min),
    ],
)
def test_days_that_are_no_period(first_day: date, last_day: date) -> None:
    with pytest.raises(PeriodInvalid):
        Period.days(first_day, last_day, TODAY)


def test_days_to_come() -> None:
    with pytest.raises(PeriodInFuture):
        Period.days(date.max, date.max, TODAY)


@pytest.mark.parametrize(
    "text", ["0", "-1", "x", "", "1.0", "１", "01", "1_0", str(2**63), "9" * 99]
)
def test_what_no_line_is_called(text: str) -> None:
    with pytest.raises(LineUnknown):
        line_number(text)


def test_a_lines_number() -> None:
    assert [line_number(text) for text in ("1", str(2**63 - 1))] == [1, 2**63 - 1]


def test_now_is_past_already() -> None:
    now = datetime.fromisoformat("2026-11-23T02:00:00+00:00")
    check_past(now, now)
    with pytest.raises(MomentInFuture):
        check_past(now, now.replace(year=2025))
