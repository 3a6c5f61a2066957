"""What a fuzz function hands back, and how it says that it found something."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Final, TypeVar

SLOWEST_MAX_MS: Final = 50.0  # of processor time: a busy machine is no finding
HANG_SECONDS: Final = 20
NANOSECONDS_PER_MILLISECOND: Final = 1_000_000
SHOWN_BYTES: Final = 400

Result = TypeVar("Result")


class FuzzFailed(Exception):
    """An input broke a promise. The text has the seed and the input: enough to play it again."""


@dataclass(frozen=True, slots=True)
class FuzzReport:
    """One run of one function: how many inputs, how they were made, what came of them."""

    count: int
    mix: Mapping[str, int]  # how often each kind of mutation was used
    outcomes: Mapping[str, int]  # how often each kind of answer was seen
    slowest_ms: float


@dataclass(slots=True)
class Watch:
    """Times each input, ends a hang, counts outcomes. Use as `with watched(seed) as watch`."""

    seed: int
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_ns: int = 0
    _body: bytes = b""

    def call(self, body: bytes, what: Callable[[bytes], Result]) -> Result:
        """`what(body)`. Raises FuzzFailed when it takes too long; what it raises itself passes."""
        self._body = body
        _arm(HANG_SECONDS)
        began = time.thread_time_ns()
        try:
            return what(body)
        finally:
            spent = time.thread_time_ns() - began
            self.slowest_ns = max(self.slowest_ns, spent)
            if spent > SLOWEST_MAX_MS * NANOSECONDS_PER_MILLISECOND:
                self.fail(f"took {spent / NANOSECONDS_PER_MILLISECOND:.0f} ms")

    def require(self, promise: bool, reason: str) -> None:
        """Raises FuzzFailed with the input in hand unless the promise is kept."""
        if not promise:
            self.fail(reason)

    def fail(self, reason: str) -> None:
        shown = self._body[:SHOWN_BYTES].hex().upper()
        cut = "" if len(self._body) <= SHOWN_BYTES else f"… ({len(self._body)} bytes)"
        raise FuzzFailed(f"{reason}; seed {self.seed}, input {shown}{cut}")

    def report(self, count: int, mix: Mapping[str, int]) -> FuzzReport:
        slowest_ms = self.slowest_ns / NANOSECONDS_PER_MILLISECOND
        return FuzzReport(count, dict(mix), dict(self.outcomes), slowest_ms)


def is_status_word(answer: bytes) -> bool:
    """ISO/IEC 7816-3, 12.1.2: an answer ends with SW1 61..6F or 90..9F, and SW2."""
    return len(answer) >= 2 and (0x61 <= answer[-2] <= 0x6F or 0x90 <= answer[-2] <= 0x9F)


@contextmanager
def watched(seed: int) -> Iterator[Watch]:
    """Collects the garbage of others first: collecting it is not the decoder's time."""
    watch = Watch(seed)
    gc.collect()
    gc.freeze()
    is_main = threading.current_thread() is threading.main_thread()

    def ring(_number: int, _frame: FrameType | None) -> None:
        watch.fail(f"no answer in {HANG_SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring) if is_main else None
    try:
        yield watch
    finally:
        if is_main:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        gc.unfreeze()


def _arm(seconds: float) -> None:
    if threading.current_thread() is threading.main_thread():
        signal.setitimer(signal.ITIMER_REAL, seconds)
