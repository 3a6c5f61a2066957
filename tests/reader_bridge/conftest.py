"""A card, a backend and an activated terminal for every test that asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reader_bridge.clock import Clock
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.terminal import Terminal
from tests.reader_bridge.support import ACTIVATION_CODE, NOW, CardKit, FakeBackend


class TestTime:
    """A clock that stands until it is told to move; pauses between tries only move it."""

    __test__ = False

    def __init__(self) -> None:
        self.unix_seconds = float(NOW)
        self.elapsed_seconds = 0.0
        self.pauses: list[float] = []

    def forward(self, seconds: float) -> None:
        self.unix_seconds += seconds
        self.elapsed_seconds += seconds

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.forward(seconds)

    def clock(self) -> Clock:
        return Clock(
            unix_now=lambda: self.unix_seconds,
            elapsed=lambda: self.elapsed_seconds,
            sleep=self.pause,
            jitter=lambda: 0.5,
            random_bytes=lambda count: bytes(range(1, count + 1)),
        )


@pytest.fixture
def test_time() -> TestTime:
    return TestTime()


@pytest.fixture
def kit() -> CardKit:
    return CardKit()


@pytest.fixture
def backend(kit: CardKit) -> Iterator[FakeBackend]:
    with FakeBackend(kit) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "terminal"


@pytest.fixture
def terminal(backend: FakeBackend, folder: Path, test_time: TestTime) -> Iterator[Terminal]:
    clock = test_time.clock()
    with Terminal.activate(folder, backend.url, ACTIVATION_CODE, clock=clock) as opened:
        opened.profile()
        backend.requests.clear()
        yield opened


@pytest.fixture
def reader(kit: CardKit) -> LoopbackReader:
    return LoopbackReader(kit.card().transmit)
