"""A terminal that is ready, on a clock that its backend shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from reader_bridge.clock import Clock
from reader_bridge.selftest import Line, Plan, run
from tests.reader_bridge.acceptance.world import MANY, OfflineBackend, Stall, open_stall
from tests.reader_bridge.conftest import TestTime
from tests.reader_bridge.support import CardKit

Look = Callable[..., dict[str, Line]]


@pytest.fixture
def backend(
    kit: CardKit, test_time: TestTime, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OfflineBackend]:
    started = test_time.unix_seconds
    with OfflineBackend(kit, MANY) as running:
        handler = running.server.RequestHandlerClass
        monkeypatch.setattr(
            handler, "date_time_string", lambda *_: formatdate(started, usegmt=True), raising=False
        )
        yield running


@pytest.fixture
def stall(backend: OfflineBackend, folder: Path, test_time: TestTime) -> Iterator[Stall]:
    opened = open_stall(folder, backend, test_time)
    with opened.terminal:
        yield opened


@pytest.fixture
def ready(stall: Stall, folder: Path) -> Path:
    stall.terminal.close()
    return folder


@pytest.fixture
def clock(test_time: TestTime) -> Clock:
    """The date is the test's; durations are real, since a disk is asked."""
    return Clock(unix_now=test_time.clock().unix_now)


@pytest.fixture
def look(folder: Path, clock: Clock) -> Look:
    """All lines by name; without PC/SC unless asked, on any free port."""

    def run_it(**changes: object) -> dict[str, Line]:
        chosen = {"folder": folder, "port": 0, "has_pcsc": False, **changes}
        lines = list(run(Plan(**chosen), clock))
        return {line.name: line for line in lines}

    return run_it
