"""The load generator against a server that does as it is told."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from tools.benches import http_load
from tools.benches.errors import BenchFailed
from tools.benches.http_load import BROKEN, Expected, closed_loop, open_loop

CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
GREETED = b"HTTP/1.1 200 OK\r\nServer: t\r\ncontent-length: %d\r\n\r\n%s"
PROBLEM = b'{"code":"busy"}'
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: %d\r\n\r\n%s" % (len(PROBLEM), PROBLEM)
Answer = Callable[[int, socket.socket], None]


class City:
    """Answers each numbered request by calling `answer(number, connection)` in a thread."""

    def __init__(self, answer: Answer, workers: Sequence[bytes]) -> None:
        self.heard: list[int] = []
        self.served: Counter[bytes] = Counter()
        self.connections = 0
        self._answer, self._workers = answer, workers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed: the test is over
                return
            worker = self._workers[min(self.connections, len(self._workers) - 1)]
            self.connections += 1
            arguments = connection, worker
            self._threads.append(threading.Thread(target=self._serve, args=arguments))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket, worker: bytes) -> None:
        with connection:
            while request := connection.recv(4096):
                if request.startswith(b"GET"):
                    connection.sendall(GREETED % (len(worker), worker))
                    continue
                number = int(request)
                self.heard.append(number)
                self.served[worker] += 1
                try:
                    self._answer(number, connection)
                except ConnectionAbortedError:
                    return


@contextmanager
def city(answer: Answer, workers: Sequence[bytes] = (b"7",)) -> Iterator[City]:
    """`workers`: who takes each connection, in order; the last takes the rest."""
    made = City(answer, workers)
    try:
        yield made
    finally:
        made.close()


def says(answer: bytes) -> Answer:
    return lambda _number, connection: connection.sendall(answer)


def requests(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def test_every_request_is_sent_once_and_counted() -> None:
    with city(says(CREATED)) as server:
        seen = closed_loop(server.port, requests(500), 10, connections=4)
    assert sorted(server.heard) == sorted(seen.good) == list(range(500))
    assert len(seen.durations_ns) == 500
    assert min(seen.durations_ns) > 0
    assert not seen.refused
    assert seen.seconds < 10


def test_it_ends_when_the_time_is_over_and_waits_for_what_is_under_way() -> None:
    with city(says(CREATED)) as server:
        seen = closed_loop(server.port, requests(1_000_000), 0.2, connections=4)
    assert 0 < len(seen.good) < 1_000_000
    assert sorted(server.heard) == sorted(seen.good)
    assert 0.2 <= seen.seconds < 2


def test_other_answers_are_listed_by_status_and_code() -> None:
    def answer(number: int, connection: socket.socket) -> None:
        connection.sendall(BUSY if number % 5 == 0 else CREATED)

    with city(answer) as server:
        seen = closed_loop(server.port, requests(50), 10, connections=3)
    assert seen.refused == {"503 busy": 10}
    assert sorted(seen.good) == [number for number in range(50) if number % 5]


def test_an_answer_may_come_in_pieces() -> None:
    def answer(_number: int, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(CREATED), 7):
            connection.sendall(CREATED[at : at + 7])

    with city(answer) as server:
        seen = closed_loop(server.port, requests(20), 10, connections=2)
    assert len(seen.good) == 20


def test_an_answer_without_a_body() -> None:
    with city(says(b"HTTP/1.1 204 No Content\r\nServer: t\r\n\r\n")) as server:
        seen = closed_loop(server.port, requests(20), 10, expected=Expected(status=204))
    assert len(seen.good) == 20


def test_what_the_head_must_say() -> None:
    told = b"HTTP/1.1 201 Created\r\nIdempotent-Replayed: true\r\nContent-Length: 2\r\n\r\n{}"

    def answer(number: int, connection: socket.socket) -> None:
        connection.sendall(told if number < 3 else CREATED)

    with city(answer) as server:
        expected = Expected(in_head=b"idempotent-replayed: true")
        seen = closed_loop(server.port, requests(5), 10, connections=1, expected=expected)
    assert list(seen.good) == [0, 1, 2]
    assert seen.refused == {"201": 2}


def test_a_broken_connection_is_counted_and_replaced() -> None:
    def answer(number: int, connection: socket.socket) -> None:
        if number == 3:
            raise ConnectionAbortedError
        connection.sendall(CREATED)

    with city(answer) as server:
        seen = closed_loop(server.port, requests(10), 10, connections=2)
    assert seen.refused == {BROKEN: 1}
    assert sorted(seen.good) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_at_a_rate_a_late_answer_counts_from_the_moment_it_was_due() -> None:
    """Goal: one stall is felt by all who came during it, not by one alone."""
    stall_seconds = 0.4
    stalled = threading.Event()

    def answer(number: int, connection: socket.socket) -> None:
        if number == 0:
            stalled.wait(stall_seconds)  # nobody sets it: time itself is the matter
        connection.sendall(CREATED)

    with city(answer) as server:
        seen = open_loop(server.port, requests(100), 0.5, 100, connections=1)
    by_number = dict(zip(seen.good, seen.durations_ns, strict=True))
    assert sorted(by_number) == list(range(50))
    assert by_number[0] >= stall_seconds * 1e9
    assert by_number[10] >= (stall_seconds - 0.11) * 1e9  # due 0.1 s after the first
    assert by_number[20] >= (stall_seconds - 0.21) * 1e9


def test_a_rate_is_kept() -> None:
    with city(says(CREATED)) as server:
        seen = open_loop(server.port, requests(100), 0.5, 200, connections=4)
    assert len(seen.good) == 100
    assert 0.49 <= seen.seconds < 5  # the last is due 0.495 s after the first
    assert seen.late_ns_max >= 0


def test_too_few_requests_for_a_rate() -> None:
    with pytest.raises(BenchFailed, match="100 requests needed, 99 prepared"):
        open_loop(1, requests(99), 0.5, 200)


def test_an_answer_of_unknown_length() -> None:
    with (
        city(says(b"HTTP/1.1 200 OK\r\n\r\nsomething")) as server,
        pytest.raises(BenchFailed, match="without Content-Length"),
    ):
        closed_loop(server.port, requests(1), 1, connections=1)


def test_connections_are_shared_out_evenly() -> None:
    """Goal: a worker that lets everybody in does not do all the work."""
    greedy = [b"1"] * 9 + [b"2"] * 3 + [b"1"] + [b"2"]
    with city(says(CREATED), greedy) as server:
        seen = closed_loop(server.port, requests(400), 10, connections=8, workers=2)
    assert len(seen.good) == 400
    assert server.connections == 14  # 4 of the first worker, 5 of it too many, 3, 1 too many, 1
    assert set(server.served) == {b"1", b"2"}


def test_a_worker_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_load, "GREETINGS_TIMEOUT_SECONDS", 0.05)
    with (
        city(says(CREATED)) as server,
        pytest.raises(BenchFailed, match="1 of 2 workers answer"),
    ):
        closed_loop(server.port, requests(1), 1, connections=4, workers=2)
