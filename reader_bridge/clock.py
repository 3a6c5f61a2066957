"""The clocks and the dice of a terminal, handed in so that tests own time."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta, timezone
from typing import Final

CHINA: Final = timezone(timedelta(hours=8))  # what card and receipt show; no summer time


def _jitter() -> float:
    return secrets.randbelow(1000) / 1000


@dataclass(frozen=True, slots=True)
class Clock:
    """`unix_now` tells the date; `elapsed` only grows; `jitter` is 0 to 1."""

    unix_now: Callable[[], float] = time.time
    elapsed: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = _jitter
    random_bytes: Callable[[int], bytes] = secrets.token_bytes
