"""The network that fails as told."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from reader_bridge.simulator import line as lines
from reader_bridge.simulator.line import Answer, Line
from reader_bridge.simulator.steps import Network

LONG_SECONDS = 10.0


class Upstream:
    """Answers how many requests it has seen, and keeps them."""

    def __init__(self) -> None:
        self.seen: list[lines.Request] = []

    def __call__(self, request: lines.Request) -> Answer:
        self.seen.append(request)
        return Answer(200, str(len(self.seen)).encode(), {"content-type": "text/plain"})


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def line(upstream: Upstream, slept: list[float]) -> Iterator[Line]:
    made = Line(upstream, slept.append)
    yield made
    made.close()


@pytest.fixture
def client(line: Line) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=line.url, timeout=LONG_SECONDS, trust_env=False) as made:
        yield made


def test_it_passes_what_it_is_given(client, upstream):
    answer = client.post("/v1/x?a=1", content=b"body", headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.text) == (200, "1")
    (request,) = upstream.seen
    assert (request.method, request.path, request.body) == ("POST", "/v1/x?a=1", b"body")
    assert request.headers["idempotency-key"] == "k"


def test_down_means_no_connection_also_for_one_that_was_open(client, line, upstream):
    assert client.get("/").text == "1"
    line.set(Network.DOWN)
    assert not line.is_up
    for _ in range(2):
        with pytest.raises(httpx.ConnectError):
            client.get("/")
    line.set(Network.UP)
    assert client.get("/").text == "2"


def test_down_and_up_twice_is_once(client, line):
    for network in (Network.DOWN, Network.DOWN, Network.UP, Network.UP):
        line.set(network)
    assert client.get("/").text == "1"


@pytest.mark.parametrize(
    ("trouble", "seen"),
    [(Network.LOSE_REQUEST, 0), (Network.LOSE_ANSWER, 1), (Network.TWICE, 2)],
)
def test_the_next_command_alone(trouble, seen, client, line, upstream):
    line.set(trouble)
    client.get("/")
    client.post(lines.LOGIN_PATH)
    upstream.seen.clear()
    if trouble is Network.TWICE:
        assert client.post("/x").text == "2"
    else:
        with pytest.raises(httpx.RemoteProtocolError):
            client.post("/x")
    assert len(upstream.seen) == seen
    assert client.post("/x").status_code == 200
    assert len(upstream.seen) == seen + 1


def test_troubles_come_in_turn_and_up_forgets_them(client, line, upstream):
    line.set(Network.LOSE_ANSWER)
    line.set(Network.TWICE)
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/x")
    assert client.post("/x").text == "3"
    line.set(Network.LOSE_REQUEST)
    line.set(Network.UP)
    assert client.post("/x").text == "4"


def test_slow_is_slow_until_up(client, line, slept):
    line.set(Network.SLOW, 250)
    client.get("/")
    client.get("/")
    line.set(Network.UP)
    client.get("/")
    assert slept == [0.25, 0.25]


def test_a_body_without_end_is_cut(client, upstream, monkeypatch):
    monkeypatch.setattr(lines, "BODY_BYTES_MAX", 3)
    with pytest.raises((httpx.RemoteProtocolError, httpx.WriteError, httpx.ReadError)):
        client.post("/x", content=b"1234")
    assert not upstream.seen
