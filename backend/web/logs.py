"""JSON logs with the request's id; no secret, no personal data."""

from __future__ import annotations

import atexit
import json
import logging
import os
import select
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import Counter
from structlog.typing import EventDict

from backend.kernel import SystemClock

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request this greenlet answers; each line carries it."""

STDERR = 2
DELAY_SECONDS = 0.2  # a line of level info may wait so long for company; a warning never does

LOST = Counter("log_lines_lost_total", "Log lines that could not be written")


class Lines:
    """Lines to a file descriptor, several in one write; holds at most one write's worth of them.

    A write is no longer than a pipe takes in one piece (POSIX, PIPE_BUF), so that the lines of
    several processes never mix. What cannot be written (a full disk) is counted and dropped:
    a log must not stop a payment. Behaves as structlog's innermost logger: a method per level.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._waiting = threading.Event()
        self._flusher: threading.Thread | None = None
        self._closed = False

    def info(self, text: str) -> None:
        """Keeps the line for at most DELAY_SECONDS."""
        line = text.encode("utf-8", "backslashreplace") + b"\n"
        with self._lock:
            if self._held_bytes + len(line) > select.PIPE_BUF:
                self._write()
            self._held.append(line)
            self._held_bytes += len(line)
            if len(self._held) == 1:
                self._wake()

    def warning(self, text: str) -> None:
        """Writes at once, and what was kept before it."""
        self.info(text)
        self.flush()

    error = critical = exception = fatal = warning

    def flush(self) -> None:
        with self._lock:
            self._write()

    def close(self) -> None:
        """Writes what is held; what comes later is lost."""
        with self._lock:
            self._write()
            self._closed = True
        self._waiting.set()
        if self._descriptor != STDERR:
            os.close(self._descriptor)

    def _write(self) -> None:
        data, count = b"".join(self._held), len(self._held)
        self._held.clear()
        self._held_bytes = 0
        try:
            if self._closed:
                raise OSError("closed")
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            LOST.inc(count)

    def _wake(self) -> None:
        if self._flusher is None:  # begun by the first line: after a fork, in the process it serves
            self._flusher = threading.Thread(target=self._flush_for_ever, daemon=True)
            self._flusher.start()
        self._waiting.set()

    def _flush_for_ever(self) -> None:
        while not self._closed:
            self._waiting.wait()
            self._waiting.clear()
            time.sleep(DELAY_SECONDS)
            self.flush()


@dataclass(frozen=True, slots=True)
class _Factory:
    """Gives every logger of the process the same lines."""

    _file: Lines

    def __call__(self, *_: object) -> Lines:
        return self._file


_encode = json.JSONEncoder(ensure_ascii=False, default=repr).encode
_clock = SystemClock()


def set_up_logs(path: Path | None) -> None:
    """Write JSON lines to `path`, or to stderr when it is None."""
    descriptor = STDERR
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    lines = Lines(descriptor)
    atexit.register(lines.flush)
    structlog.configure(
        processors=[
            _with_context,
            # The traceback's own text only: locals could hold a number or a name.
            structlog.processors.format_exc_info,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_Factory(lines),
        cache_logger_on_first_use=False,  # a logger kept for ever would outlive a second set-up
    )


def _with_context(_logger: Any, level: str, event: EventDict) -> EventDict:
    if (request_id := REQUEST_ID.get()) is not None:
        event["request_id"] = request_id
    event["level"] = "error" if level == "exception" else level
    event["timestamp"] = _clock.now().isoformat().removesuffix("+00:00") + "Z"
    return event


def _render(_logger: Any, _level: str, event: EventDict) -> str:
    return _encode(event)
