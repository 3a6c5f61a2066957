"""The time the backend would read, told by the phone's clock and what the backend's Date said."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from sdk_mobile.errors import ClockWrong

SKEW_NOTICED_SECONDS = 2.0  # Date has whole seconds, and the answer was on its way
SET_BACK_SECONDS = 60.0  # a clock corrects itself by less
READING_KEPT_SECONDS = 3600.0  # a reading is not worth a write each time
WRONG_SECONDS = 120.0  # from here on the holder should hear of it


def phone_seconds() -> float:
    """The phone's own clock, unix seconds; the only place that asks it."""
    return time.time()


class SkewedClock:
    """The phone's clock plus the learned skew (backend minus phone, seconds).

    `read_seconds`: what the phone's clock showed when the backend's was last read.
    """

    def __init__(
        self,
        phone: Callable[[], float],
        skew_seconds: float,
        read_seconds: float | None = None,
    ) -> None:
        self._phone = phone
        self._stored_read_seconds = read_seconds
        self.skew_seconds = skew_seconds
        self.read_seconds = read_seconds

    def phone_seconds(self) -> float:
        """Unix seconds as the phone counts them: to measure what has passed."""
        return self._phone()

    def now_seconds(self) -> float:
        """Unix seconds as the backend counts them."""
        return self._phone() + self.skew_seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.now_seconds(), UTC)

    def learn(self, backend_seconds: float) -> bool:
        """Takes one reading of the backend's clock; True when it is worth storing."""
        phone = self._phone()
        self.read_seconds = phone
        seen = backend_seconds - phone
        stored = self._stored_read_seconds
        is_old = stored is None or abs(phone - stored) > READING_KEPT_SECONDS
        is_other = abs(seen - self.skew_seconds) > SKEW_NOTICED_SECONDS
        if is_other:
            self.skew_seconds = seen
        if is_other or is_old:
            self._stored_read_seconds = phone
        return is_other or is_old

    def require_forward(self) -> None:
        """Raises ClockWrong when the phone's clock is behind what it showed before.

        A clock set forward cannot be told from time that passed: the keys' end bounds that.
        """
        if self.read_seconds is None:
            return
        back_seconds = self.read_seconds - self._phone()
        if back_seconds > SET_BACK_SECONDS:
            raise ClockWrong(back_seconds)
