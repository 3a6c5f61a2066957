"""How long to wait before the next try: exponential, with jitter, bounded. Knows no thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """A busy backend is given time; a network that is gone is tried again soon, for it is cheap."""

    base_seconds: float = 1.0
    busy_seconds_max: float = 300.0
    gone_seconds_max: float = 30.0
    idle_seconds: float = 30.0  # another process may have sold something
    wake_seconds_min: float = 2.0  # between two tries, however many sales there are

    def after_failure(self, failures: int, jitter: Callable[[], float], *, was_sent: bool) -> float:
        """Seconds after the n-th failure in a row (n from 1): half of it is dice."""
        longest = self.busy_seconds_max if was_sent else self.gone_seconds_max
        doubled = self.base_seconds * 2.0 ** min(failures - 1, 32)
        return min(longest, doubled) * (0.5 + 0.5 * jitter())
