"""A real server on loopback in front of a real till, terminal and fake backend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from reader_bridge.local import Health, LocalServer, LocalSettings, make_local
from reader_bridge.local.server import bind
from reader_bridge.readers.events import ReaderSet
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.till import Till, Timings
from tests.reader_bridge.till.support import PACE, TerminalAcceptor, moving_clock

TOKEN = "t" * 43
TIMINGS = Timings(show_card_seconds=60, again_seconds=60, done_seconds=60, look_seconds=0.02)


@dataclass
class Shop:
    """Everything a test may want to touch; `health` is what the status tells."""

    server: LocalServer
    till: Till
    acceptor: TerminalAcceptor
    counter: LoopbackReader
    health: Health

    def client(self, **headers: str) -> httpx.Client:
        headers.setdefault("Authorization", f"Bearer {TOKEN}")
        return httpx.Client(base_url=self.server.url, headers=headers, timeout=20, trust_env=False)


@pytest.fixture
def shop(terminal) -> Iterator[Shop]:
    acceptor = TerminalAcceptor(terminal)
    counter = LoopbackReader(name="counter", waits=True)
    listener = bind(0)
    with (
        ReaderSet([counter], pace=PACE) as readers,
        Till(acceptor, readers, moving_clock(), timings=TIMINGS) as till,
    ):
        settings = LocalSettings(
            port=listener.getsockname()[1],
            token=TOKEN,
            shop_name="老街面馆",
            health=lambda: opened.health,
            heartbeat_seconds=0.1,
        )
        server = LocalServer(make_local(till, settings), listener)
        opened = Shop(server, till, acceptor, counter, Health(is_online=True, kept_count=0))
        server.start()
        yield opened
        server.stop()


@pytest.fixture
def http(shop: Shop) -> Iterator[httpx.Client]:
    with shop.client() as client:
        yield client
