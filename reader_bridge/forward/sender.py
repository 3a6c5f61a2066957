"""The thread that uploads in the background: when to try, when to wait, and how it stands."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from typing import Final

from reader_bridge.clock import Clock
from reader_bridge.faults import TerminalFault
from reader_bridge.forward.pace import Pace
from reader_bridge.forward.uploader import Step, StepKind, Uploader
from reader_bridge.journal import Backlog, Journal

STOP_SECONDS: Final = 15.0  # one request may be under way
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SenderStatus:
    """For a page, a lamp and the fitter. Counts are since the start of this process."""

    backlog: Backlog
    failure: str | None  # why the last try failed; None when it did not
    failures: int  # in a row
    last_answer_at: int | None  # unix seconds
    captured: int
    refused: int
    contradicted: int  # the backend said something else than before: a bug of somebody's


@dataclass(frozen=True, slots=True)
class _Progress:
    failure: str | None = None
    failures: int = 0
    last_answer_at: int | None = None


class Sender:
    """Started once, closed once. Call `wake` after each offline sale, once it is on the disk."""

    def __init__(
        self, journal: Journal, uploader: Uploader, clock: Clock, pace: Pace | None = None
    ) -> None:
        self._journal, self._uploader, self._clock = journal, uploader, clock
        self._pace = pace or Pace()
        self._condition = threading.Condition()
        self._is_closing = self._is_woken = self._is_network_back = False
        self._progress = _Progress()
        self._is_untidy = False
        self._thread = threading.Thread(target=self._run, name="offline-sales", daemon=True)

    def start(self) -> None:
        """What was set aside gets one more chance: this may be a repaired release."""
        self._journal.bring_back()
        self._thread.start()

    def close(self) -> None:
        """Ends after the request under way. What is not uploaded waits for the next start.

        Raises RuntimeError when the thread does not end.
        """
        with self._condition:
            self._is_closing = True
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                raise RuntimeError("the sender does not end")

    def wake(self) -> None:
        """There is something new to upload. Never waits for the network."""
        with self._condition:
            self._is_woken = True
            self._condition.notify()

    def network_returned(self) -> None:
        """The backend was reached by somebody: no reason to wait any longer."""
        with self._condition:
            self._is_network_back = True
            self._condition.notify()

    def status(self) -> SenderStatus:
        """Raises TerminalFault."""
        backlog = self._journal.backlog(int(self._clock.unix_now()))
        progress, uploader = self._progress, self._uploader
        return SenderStatus(
            backlog=backlog,
            failure=progress.failure,
            failures=progress.failures,
            last_answer_at=progress.last_answer_at,
            captured=uploader.captured,
            refused=uploader.refused,
            contradicted=uploader.contradicted,
        )

    def _run(self) -> None:
        while not self._is_closing:
            try:
                wait_seconds = self._act()
            except TerminalFault as fault:
                wait_seconds = self._failed(fault.code, was_sent=True)
            except Exception:  # a bug must not end the uploads of a terminal that goes on selling
                _log.exception("an upload failed in an unforeseen way")
                wait_seconds = self._failed("internal", was_sent=True)
            self._wait(wait_seconds)

    def _act(self) -> float:
        """One step; seconds until the next."""
        step = self._uploader.step()
        if step.kind is StepKind.FAILED:
            return self._failed(str(step.code), was_sent=step.was_sent)
        if step.kind is StepKind.ANSWERED:
            return self._answered()
        return self._round_ended(step)

    def _answered(self) -> float:
        self._progress = _Progress(last_answer_at=int(self._clock.unix_now()))
        self._is_untidy = True
        return 0.0

    def _round_ended(self, step: Step) -> float:
        """What is left was offered and not decided: as after a failure. Or nothing is left."""
        if self._is_untidy:
            # The backend just took our signed login, so this clock is right within minutes.
            self._is_untidy = False
            self._journal.tidy(int(self._clock.unix_now()))
        if step.is_left:
            return self._failed(self._progress.failure or "undecided", was_sent=True)
        self._progress = replace(self._progress, failure=None, failures=0)
        return self._pace.idle_seconds

    def _failed(self, code: str, *, was_sent: bool) -> float:
        failures = self._progress.failures + 1
        self._progress = replace(self._progress, failure=code, failures=failures)
        return self._pace.after_failure(failures, self._clock.jitter, was_sent=was_sent)

    def _wait(self, seconds: float) -> None:
        """Until then; shorter for a new sale, not at all when the network is back."""
        started = self._clock.elapsed()
        with self._condition:
            while not (self._is_closing or self._is_network_back):
                is_hurried = self._is_woken and not self._progress.failures
                least = min(seconds, self._pace.wake_seconds_min) if self._is_woken else seconds
                left = (0.0 if is_hurried else least) - (self._clock.elapsed() - started)
                if left <= 0:
                    break
                self._condition.wait(left)
            if self._is_network_back:
                self._progress = replace(self._progress, failures=0)
            self._is_woken = self._is_network_back = False
