"""A till at a hand that plays the readers, and one at a real reader set."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reader_bridge.readers.events import ReaderSet
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.till import Till, Timings
from tests.reader_bridge.till.support import PACE, Hand, TerminalAcceptor, moving_clock

TIMINGS = Timings(show_card_seconds=30, again_seconds=30, done_seconds=30, look_seconds=0.02)


@pytest.fixture
def acceptor(terminal) -> TerminalAcceptor:
    return TerminalAcceptor(terminal)


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def till(acceptor, hand) -> Iterator[Till]:
    with Till(acceptor, hand, moving_clock(), timings=TIMINGS) as opened:
        yield opened


@pytest.fixture
def counter() -> LoopbackReader:
    return LoopbackReader(name="counter", waits=True)


@pytest.fixture
def counter_till(acceptor, counter) -> Iterator[Till]:
    with (
        ReaderSet([counter], pace=PACE) as readers,
        Till(acceptor, readers, moving_clock(), timings=TIMINGS) as opened,
    ):
        yield opened
