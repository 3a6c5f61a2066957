"""Whether the backend was there a moment ago, so that not every customer waits to find out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

DOWN_SECONDS: Final = 10.0  # then somebody tries again


class Line:
    """`answered` and `failed` are told by who talks to the backend; safe for several threads."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._down_until: float | None = None
        self._listeners: list[Callable[[], None]] = []

    def is_down(self) -> bool:
        """A connection failed within the last DOWN_SECONDS, and none came about since."""
        with self._lock:
            return self._down_until is not None and self._elapsed() < self._down_until

    def failed(self) -> None:
        """No connection came about."""
        with self._lock:
            self._down_until = self._elapsed() + DOWN_SECONDS

    def answered(self) -> None:
        """The backend spoke; whoever listens hears it."""
        with self._lock:
            self._down_until = None
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> None:
        with self._lock:
            self._listeners.append(listener)
