"""The time the backend would read, told by the phone's clock and what the backend's Date said."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

SKEW_NOTICED_SECONDS = 2.0  # Date has whole seconds, and the answer was on its way


def phone_seconds() -> float:
    """The phone's own clock, unix seconds; the only place that asks it."""
    return time.time()


class SkewedClock:
    """The phone's clock plus the learned skew (backend minus phone, seconds)."""

    def __init__(self, phone: Callable[[], float], skew_seconds: float) -> None:
        self._phone = phone
        self.skew_seconds = skew_seconds

    def phone_seconds(self) -> float:
        """Unix seconds as the phone counts them: to measure what has passed."""
        return self._phone()

    def now_seconds(self) -> float:
        """Unix seconds as the backend counts them."""
        return self._phone() + self.skew_seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.now_seconds(), UTC)

    def learn(self, backend_seconds: float) -> bool:
        """Takes one reading of the backend's clock; True when the skew changed for it."""
        seen = backend_seconds - self._phone()
        if abs(seen - self.skew_seconds) <= SKEW_NOTICED_SECONDS:
            return False
        self.skew_seconds = seen
        return True
