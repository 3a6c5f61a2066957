"""Many clients at once: who succeeded, who was refused; seeds printed, long runs by environment.

CITY_STORM=long runs the figures of a night; CITY_STORM_SEED=<n> plays a seed again.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Barrier
from typing import Any

import pytest

from backend.db import Databases, Units, Which, open_databases
from backend.db import work as work_module
from backend.kernel import Clock, DomainError

IS_LONG = os.environ.get("CITY_STORM") == "long"
START_SECONDS_MAX = 60
BUSY = ("database_unavailable", "concurrent_change", "operation_running")
"""What no client of a healthy city hears: a deadlock, a queue too long, somebody in the way."""

Call = Callable[[], Any]


def dice(name: str) -> random.Random:
    """A generator whose seed is printed: pytest shows it when the test fails."""
    seed = int(os.environ.get("CITY_STORM_SEED") or random.SystemRandom().randrange(2**32))
    print(f"{name}: CITY_STORM_SEED={seed}")  # noqa: T201 - how a failing storm is played again
    return random.Random(seed)


@dataclass(slots=True)
class Outcome:
    """What the clients heard: values in no particular order, refusals by code."""

    done: list[Any] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


def storm(calls: Sequence[Call], clients: int) -> Outcome:
    """Run the calls on `clients` threads that start together; each takes the next of its share.

    Anything but a refusal (a deadlock, a driver's error) fails the test, and so does a refusal
    that is nobody's fault (`BUSY`).
    """
    clients = min(clients, len(calls))
    start = Barrier(clients)
    outcome = Outcome()

    def work(share: Sequence[Call]) -> None:
        start.wait(START_SECONDS_MAX)
        for call in share:
            try:
                outcome.done.append(call())
            except DomainError as refusal:
                outcome.refused[refusal.code] += 1

    with ThreadPoolExecutor(clients) as pool:
        for future in [pool.submit(work, calls[number::clients]) for number in range(clients)]:
            future.result()
    assert len(outcome.done) + outcome.refused.total() == len(calls)
    assert not set(outcome.refused) & set(BUSY), outcome.refused
    return outcome


@contextmanager
def another_process(databases: Databases, clock: Clock) -> Iterator[Units]:
    """Units with engines, locks and queues of their own on the same databases."""
    urls = {
        which: databases[which].engine.url.render_as_string(hide_password=False) for which in Which
    }
    opened = open_databases(urls)
    yield Units(opened, clock)
    opened.close()


@dataclass(slots=True)
class Complaints:
    """What the unit of work writes to the operator's log while somebody listens."""

    heard: list[str] = field(default_factory=list)

    def warning(self, name: str, **details: object) -> None:
        self.heard.append(f"{name} {details}")


def listen(monkeypatch: pytest.MonkeyPatch) -> Complaints:
    """No collision is healed in silence any more: each one is an error, or heard here."""
    complaints = Complaints()
    monkeypatch.setattr(work_module, "COLLISIONS", frozenset())
    monkeypatch.setattr(work_module, "log", complaints)
    return complaints
