"""How often one caller may ask one route: fixed windows, counted in this process.

Written out: the `limits` library's memory storage walks all its keys a hundred times a second.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import islice

WINDOW_SECONDS = 60
CALLERS_MAX = 200_000


@dataclass(slots=True)
class Window:
    """One minute of one key."""

    ends_at: float
    used: int = 0


@dataclass(frozen=True, slots=True)
class Rates:
    """Counts requests per key; a key's window begins with its first request.

    `now` tells seconds that never go back. At most `keys_max` windows are held: past that the
    one that began first is forgotten, and with it what its key had used up.
    """

    requests_per_minute: int
    now: Callable[[], float] = time.monotonic
    keys_max: int = CALLERS_MAX
    # All windows are equally long and a new one goes to the end: the first ends first.
    _windows: dict[Hashable, Window] = field(default_factory=dict, repr=False)
    _opening: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, key: Hashable) -> tuple[int, int]:
        """One more request of `key`.

        (how many are left, seconds until the window ends); below zero it was one too many.
        """
        now = self.now()
        window = self._windows.get(key)
        if window is None or window.ends_at <= now:
            window = self._open(key, now)
        window.used += 1
        return self.requests_per_minute - window.used, math.ceil(window.ends_at - now)

    def __len__(self) -> int:
        return len(self._windows)

    def _open(self, key: Hashable, now: float) -> Window:
        windows = self._windows
        with self._opening:
            windows.pop(key, None)
            # Two go for each that comes: what has ended is gone before long, and nobody waits.
            for first in list(islice(windows, 2)):
                if windows[first].ends_at <= now or len(windows) >= self.keys_max:
                    del windows[first]
            window = windows[key] = Window(now + WINDOW_SECONDS)
        return window
