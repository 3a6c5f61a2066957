"""The thread that brings the words of loads to the backend, with a client of its own."""

from __future__ import annotations

import logging
import threading
from typing import Final

from reader_bridge.backend_client import BackendClient
from reader_bridge.clock import Clock
from reader_bridge.faults import TerminalFault
from reader_bridge.forward.pace import Pace
from reader_bridge.loads.book import LoadBook
from reader_bridge.loads.teller import IN_FLIGHT_SECONDS, LOOK_SECONDS, LoadTeller
from reader_bridge.loads.values import TO_TELL

STOP_SECONDS: Final = 15.0  # one request may be under way
_log = logging.getLogger(__name__)


def settle_all(teller: LoadTeller, now: int, *, looks_after_seconds: int = LOOK_SECONDS) -> int:
    """One round: every word that waits is offered once, and loads whose card is away are asked
    about when that is due. How many words are left. Raises TerminalFault."""
    left = sum(teller.settle(load).stage in TO_TELL for load in teller.book.to_tell())
    for load in teller.book.to_ask(now - looks_after_seconds):
        if not 0 <= now - load.asked_at <= IN_FLIGHT_SECONDS:  # else a tap may be at work on it
            teller.settle(load)
    return left


class LoadCourier:
    """Started once, closed once; `wake` after a load, once its word is on the disk."""

    def __init__(
        self, book: LoadBook, client: BackendClient, clock: Clock, pace: Pace | None = None
    ) -> None:
        self._client, self._clock, self._pace = client, clock, pace or Pace()
        self._teller = LoadTeller(book, client, clock)
        self._condition = threading.Condition()
        self._is_closing = self._is_woken = False
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="loads", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Never waits for the network."""
        with self._condition:
            self._is_woken = True
            self._condition.notify()

    def close(self) -> None:
        """Ends after the request under way. Raises RuntimeError when the thread does not end."""
        with self._condition:
            self._is_closing = True
            self._condition.notify()
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError("the courier of loads does not end")
        self._client.close()

    def _run(self) -> None:
        while not self._is_closing:
            try:
                left = settle_all(self._teller, int(self._clock.unix_now()))
            except TerminalFault as fault:
                _log.warning("words of loads wait: %s", fault.code)
                left = 1
            except Exception:  # a bug must not end the words of a terminal that goes on loading
                _log.exception("a word of a load failed in an unforeseen way")
                left = 1
            self._failures = self._failures + 1 if left else 0
            self._wait()

    def _wait(self) -> None:
        seconds = self._pace.idle_seconds
        if self._failures:
            jitter = self._clock.jitter
            seconds = self._pace.after_failure(self._failures, jitter, was_sent=False)
        with self._condition:
            if not (self._is_closing or self._is_woken):
                self._condition.wait(seconds)
            is_hurried, self._is_woken = self._is_woken, False
            if is_hurried and self._failures and not self._is_closing:  # never faster than this
                self._condition.wait(self._pace.wake_seconds_min)
