"""Keeps keys and code parts fresh in a thread of its own. Knows not how they are fetched."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable
from contextlib import suppress

from sdk_mobile.errors import Offline, SdkError

TRIES_MAX = 4
WAIT_FIRST_SECONDS = 15.0
WAIT_MAX_SECONDS = 300.0
CLOSE_WAIT_SECONDS = 2.0

Wait = Callable[[threading.Event, float], bool]


class Refiller:
    """One thread that runs `refill` when nudged: never two at once, and no caller waits.

    Nudges that come while one is waiting are one. Without network it tries again, TRIES_MAX times
    with growing, jittered waits; then the next nudge begins anew. `wait` (an event, seconds; True
    when the event was set) and `jitter` (0.0 to 1.0) are handed in by tests.
    """

    def __init__(
        self,
        refill: Callable[[], object],
        *,
        wait: Wait = threading.Event.wait,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._refill = refill
        self._wait = wait
        self._jitter = jitter
        self._nudges: queue.Queue[None] = queue.Queue(maxsize=1)
        self._stop = threading.Event()
        self._last_error: SdkError | None = None
        self._thread = threading.Thread(target=self._run, name="card-refill", daemon=True)
        self._thread.start()

    @property
    def last_error(self) -> SdkError | None:
        """Why the last round failed; None when it did not."""
        return self._last_error

    def nudge(self) -> None:
        """Asks for a look at what is needed. Returns at once, from any thread."""
        with suppress(queue.Full):  # one is waiting already: it will see what this one would
            self._nudges.put_nowait(None)

    def close(self) -> None:
        """No new round begins; waits CLOSE_WAIT_SECONDS at most for one under way. A round cut
        off later is like a crash in the middle of it: what it stored stays whole."""
        self._stop.set()
        self.nudge()
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_WAIT_SECONDS)

    def _run(self) -> None:
        while True:
            self._nudges.get()
            if self._stop.is_set():
                return
            self._round()

    def _round(self) -> None:
        for number in range(TRIES_MAX):
            try:
                self._refill()
            except Offline as error:
                self._last_error = error
            except SdkError as error:  # not mended by trying again: the next nudge may find it so
                self._last_error = error
                return
            else:
                self._last_error = None
                return
            is_last = number == TRIES_MAX - 1
            if is_last or self._wait(self._stop, self._wait_seconds(number)):
                return

    def _wait_seconds(self, number: int) -> float:
        ceiling: float = min(WAIT_MAX_SECONDS, WAIT_FIRST_SECONDS * 2.0**number)
        return ceiling * (0.5 + self._jitter() / 2)
