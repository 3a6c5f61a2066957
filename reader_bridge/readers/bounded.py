"""Calls into a driver that may never return, made to end in time; knows no driver."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from reader_bridge.faults import ReaderFault

LOST_THREADS_MAX: Final = 4  # calls that never came back; more, and the reader is given up
CLOSE_SECONDS: Final = 5.0


@dataclass(slots=True)
class _Call:
    """One call on its way; `finished` is set when `result` or `error` is there."""

    act: Callable[[], Any]
    finished: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self.act()
        except BaseException as error:  # handed to who asked: it is raised there
            self.error = error
        self.finished.set()


class DriverThread:
    """Runs calls one after the other in a thread of its own, each for a bounded time.

    A call that takes too long is left alone with its thread, which ends when the driver at last
    lets go; the next call gets a fresh thread. `close` leaves no idle thread behind.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[_Call | None] | None = None
        self._thread: threading.Thread | None = None
        self._lost: list[threading.Thread] = []

    def call(
        self,
        act: Callable[[], Any],
        timeout_seconds: float,
        late: str,
        clean_up: Callable[[], Any] | None = None,
    ) -> Any:
        """What `act` gives. Raises what it raises, and ReaderFault(`late`) when time is over.

        `clean_up` then runs behind the late call, whenever that comes back.
        ReaderFault("reader_stuck") when too many calls never came back.
        """
        calls = self._running()
        call = _Call(act)
        calls.put(call)
        if not call.finished.wait(timeout_seconds):
            self._abandon(clean_up)
            raise ReaderFault(late)
        if call.error is not None:
            raise call.error
        return call.result

    @property
    def has_lost_calls(self) -> bool:
        """True while the driver still sits in a call that nobody waits for any more."""
        self._lost = [thread for thread in self._lost if thread.is_alive()]
        return bool(self._lost)

    def close(self) -> None:
        """Ends the thread if it is idle. May be called again."""
        if self._calls is not None and self._thread is not None:
            self._calls.put(None)
            self._thread.join(CLOSE_SECONDS)
            if self._thread.is_alive():
                self._lost.append(self._thread)
        self._calls = self._thread = None

    def _running(self) -> queue.SimpleQueue[_Call | None]:
        if self._calls is None:
            if self.has_lost_calls and len(self._lost) >= LOST_THREADS_MAX:
                raise ReaderFault("reader_stuck")
            self._calls = queue.SimpleQueue()
            # a daemon: a driver that hangs must not keep the till from being switched off
            self._thread = threading.Thread(
                target=_serve, args=(self._calls,), name=self._name, daemon=True
            )
            self._thread.start()
        return self._calls

    def _abandon(self, clean_up: Callable[[], Any] | None) -> None:
        if self._calls is not None and self._thread is not None:
            if clean_up is not None:
                self._calls.put(_Call(clean_up))
            self._calls.put(None)  # the last thing it hears, whenever it comes back
            self._lost.append(self._thread)
        self._calls = self._thread = None


def _serve(calls: queue.SimpleQueue[_Call | None]) -> None:
    while (call := calls.get()) is not None:
        call.run()
