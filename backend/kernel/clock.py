"""The only place that asks what time it is; everybody else is handed a clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

BUSINESS_ZONE = ZoneInfo("Asia/Shanghai")


class Clock(Protocol):
    """Tells the present moment, in UTC."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until it is moved: for tests and the sandbox's time travel."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, step: timedelta) -> None:
        """Move forward by `step`."""
        self._now += step


@lru_cache(maxsize=64)  # the commands of a batch share one moment
def business_date(moment: datetime) -> date:
    """The business day a moment belongs to: days turn at midnight Asia/Shanghai.

    A naive datetime is a bug (it would be read in the machine's zone) and raises ValueError.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment without a zone")
    return moment.astimezone(BUSINESS_ZONE).date()
