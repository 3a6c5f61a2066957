"""What happens at several readers and scanners, one event after the other; knows no driver.

One thread watches each reader and each scanner. The queue is bounded: when nobody takes events,
the watchers wait. A card left lying is one arrival.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Final

from reader_bridge.readers.event_values import (
    CardArrived,
    CardLeft,
    CardUnread,
    CodeRead,
    CodeUnread,
    Event,
    ReaderGone,
    ReaderJoined,
    SeveralCards,
)
from reader_bridge.readers.port import Plugs, Reader, Scanner
from reader_bridge.readers.watches import (
    CLOSE_SECONDS,
    WATCHERS_MAX,
    CardWatch,
    CodeWatch,
    Pace,
    PlugWatch,
    Watch,
)

__all__ = [
    "CardArrived",
    "CardLeft",
    "CardUnread",
    "CodeRead",
    "CodeUnread",
    "Event",
    "Pace",
    "ReaderGone",
    "ReaderJoined",
    "ReaderSet",
    "SeveralCards",
]

EVENTS_MAX: Final = 256


class ReaderSet:
    """Watches all readers and scanners of a terminal at once. Use as a context, or `close` it.

    A thread for each; what they see comes out of `next_event` in order.
    """

    def __init__(
        self,
        readers: Iterable[Reader] = (),
        scanners: Iterable[Scanner] = (),
        plugs: Iterable[Plugs] = (),
        pace: Pace | None = None,
    ) -> None:
        pace = pace or Pace()
        self._events: queue.Queue[Event] = queue.Queue(EVENTS_MAX)
        self._closing = threading.Event()
        self._look_seconds = pace.look_seconds
        watches: list[Watch] = [CardWatch(reader, self._post, pace) for reader in readers]
        watches += [CodeWatch(scanner, self._post, pace) for scanner in scanners]
        watches += [PlugWatch(plug, self._post, pace) for plug in plugs]
        if len(watches) > WATCHERS_MAX:
            raise ValueError(f"at most {WATCHERS_MAX} readers and scanners")
        self._watches = watches
        for watch in watches:
            watch.thread.start()

    def __enter__(self) -> ReaderSet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next_event(self, timeout_seconds: float) -> Event | None:
        """The next event within the time, or None."""
        try:
            return self._events.get(timeout=max(0.0, timeout_seconds))
        except queue.Empty:
            return None

    def events(self, timeout_seconds: float) -> Iterator[Event]:
        """Event after event until none comes for that long."""
        while (event := self.next_event(timeout_seconds)) is not None:
            yield event

    def close(self) -> None:
        """Stops and joins every thread; what was not taken is gone. May be called again.

        Raises RuntimeError when a driver keeps a thread: a bug of the driver's adapter.
        """
        self._closing.set()
        for watch in self._watches:
            watch.stopping.set()
        deadline = time.monotonic() + CLOSE_SECONDS
        for watch in self._watches:
            watch.thread.join(max(0.0, deadline - time.monotonic()))
        stuck = [watch.thread.name for watch in self._watches if watch.thread.is_alive()]
        if stuck:
            raise RuntimeError(f"threads that did not end: {', '.join(stuck)}")

    def _post(self, event: Event) -> None:
        """Waits for room in the queue, until the set is closed."""
        while not self._closing.is_set():
            try:
                self._events.put(event, timeout=self._look_seconds)
            except queue.Full:
                continue
            return
