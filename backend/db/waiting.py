"""Waiting for PostgreSQL in a greenlet: one switch for each answer, none where nothing is due.

psycopg's own way through gevent's `select` makes and breaks several watchers for each statement;
that costs more than the statement. Used only where gevent serves the process.
"""

from __future__ import annotations

import select
from typing import Any, TypeVar

import psycopg
from gevent import get_hub, monkey
from psycopg.abc import PQGen
from psycopg.waiting import WAIT_R, WAIT_RW, WAIT_W, Ready, Wait

RV = TypeVar("RV")

GEVENT_READ, GEVENT_WRITE = 1, 2  # as libev numbers them
MASKS = {WAIT_R: select.POLLIN, WAIT_W: select.POLLOUT, WAIT_RW: select.POLLIN | select.POLLOUT}
EVENTS = {WAIT_R: GEVENT_READ, WAIT_W: GEVENT_WRITE, WAIT_RW: GEVENT_READ | GEVENT_WRITE}
AT_ONCE_MS = 0

_poll = monkey.get_original("select", "poll")


class CooperativeConnection(psycopg.Connection[Any]):
    """A connection whose waiting lets other greenlets run."""

    def wait(
        self,
        gen: PQGen[RV],
        interval: float = 0.0,
        timeout: float | None = None,
    ) -> RV:
        """Run a protocol generator to its end. Bounds are the server's (lock_timeout)."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        return _wait(gen, self.pgconn.socket)


def _wait(gen: PQGen[RV], fileno: int) -> RV:
    try:
        wanted = next(gen)
        while True:
            wanted = gen.send(_ready(fileno, wanted))
    except StopIteration as done:
        result: RV = done.value
        return result


def _ready(fileno: int, wanted: Wait) -> Ready:
    poll = _poll()
    poll.register(fileno, MASKS[wanted])
    found = poll.poll(AT_ONCE_MS)
    if not found:
        watcher = get_hub().loop.io(fileno, EVENTS[wanted])
        try:
            get_hub().wait(watcher)
        finally:
            watcher.close()
        found = poll.poll(AT_ONCE_MS)
    events = found[0][1] if found else 0
    ready = 0
    if events & ~select.POLLOUT:  # also what is wrong: reading tells what
        ready |= Ready.R
    if events & select.POLLOUT:
        ready |= Ready.W
    return Ready(ready)
