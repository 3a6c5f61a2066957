"""Sends prepared requests over kept connections and times the answers; knows nothing of payments.

It shares the cores with the server it measures, so it does as little as it can: one process, one
epoll, requests made beforehand, of an answer only status, length and (when refused) the code.
Closed loop: each connection sends its next request when it has its answer. Open loop: requests
are due at a fixed rate, and a late one counts from the moment it was due.
"""

from __future__ import annotations

import json
import select
import socket
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tools.benches.errors import BenchFailed

CONNECTIONS = 32
ANSWER_TIMEOUT_SECONDS = 30.0
CONNECT_TIMEOUT_SECONDS = 10.0
RECEIVE_BYTES = 65536
HEAD_END = b"\r\n\r\n"
HEAD_BYTES_MAX = 16384
LENGTH = b"\r\ncontent-length:"
NO_BODY = frozenset({204, 304})
NANOSECONDS = 1_000_000_000
BROKEN = "connection_broken"
GREETING = b"GET /bench/worker HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
GREETINGS_PAUSE_SECONDS = 0.002
GREETINGS_TIMEOUT_SECONDS = 30.0


class Requests(Protocol):
    """What is sent: request `number` as bytes, cheap to make; there are `len` of them."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Expected:
    """What a good answer is: its status, and bytes its head must hold (lower case)."""

    status: int = 201
    in_head: bytes = b""


@dataclass(frozen=True, slots=True)
class Seen:
    """One run. `good`: numbers of the requests answered as expected, each with its duration."""

    good: array[int]
    durations_ns: array[int]
    refused: Counter[str]
    seconds: float
    late_ns_max: int  # open loop: how late the generator itself sent, at worst


@dataclass(slots=True)
class _Connection:
    """`number` is the request under way, -1 when idle; `since_ns` what its duration counts from."""

    socket: socket.socket
    number: int = -1
    since_ns: int = 0
    received: bytearray = field(default_factory=bytearray)


def closed_loop(
    port: int,
    requests: Requests,
    seconds: float,
    *,
    connections: int = CONNECTIONS,
    workers: int = 1,
    expected: Expected = Expected(),
) -> Seen:
    """Keeps every connection busy for `seconds`, then waits for what is under way.

    Ends earlier when all requests are sent. Raises BenchFailed when the server falls silent.
    """
    load = _Load(port, connections, workers, expected, len(requests))
    try:
        began = time.perf_counter_ns()
        load.run_closed(requests, began + int(seconds * NANOSECONDS))
        return load.seen((time.perf_counter_ns() - began) / NANOSECONDS, 0)
    finally:
        load.close()


def open_loop(
    port: int,
    requests: Requests,
    seconds: float,
    per_second: float,
    *,
    connections: int = CONNECTIONS,
    workers: int = 1,
    expected: Expected = Expected(),
) -> Seen:
    """Sends `per_second` requests a second whether or not the server keeps up.

    A request that finds no idle connection waits, and its waiting counts. Raises BenchFailed
    when the server falls silent or there are too few requests.
    """
    count = int(seconds * per_second)
    if count > len(requests):
        raise BenchFailed(f"{count} requests needed, {len(requests)} prepared")
    load = _Load(port, connections, workers, expected, count)
    try:
        began = time.perf_counter_ns()
        late_ns_max = load.run_open(requests, began, count, per_second)
        return load.seen((time.perf_counter_ns() - began) / NANOSECONDS, late_ns_max)
    finally:
        load.close()


class _Load:
    """The connections of one run and what they heard."""

    def __init__(
        self, port: int, connections: int, workers: int, expected: Expected, requests: int
    ) -> None:
        self._port = port
        self._expected = expected
        self._epoll = select.epoll()
        self._by_fd: dict[int, _Connection] = {}
        self._good = array("q", bytes(8 * requests))
        self._durations = array("q", bytes(8 * requests))
        self._count = 0
        self._refused: Counter[str] = Counter()
        try:
            self._connect_evenly(connections, workers)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for connection in self._by_fd.values():
            connection.socket.close()
        self._epoll.close()

    def seen(self, seconds: float, late_ns_max: int) -> Seen:
        good, durations = self._good[: self._count], self._durations[: self._count]
        return Seen(good, durations, self._refused, seconds, late_ns_max)

    def run_closed(self, requests: Requests, until_ns: int) -> None:
        """One request after another on every connection."""
        number, total = 0, len(requests)
        busy = 0
        for connection in list(self._by_fd.values()):
            if number < total:
                self._send(connection, requests[number], number, time.perf_counter_ns())
                number, busy = number + 1, busy + 1
        while busy:
            for connection in self._answered(self._wait()):
                now = time.perf_counter_ns()
                if number < total and now < until_ns:
                    self._send(connection, requests[number], number, now)
                    number += 1
                else:
                    busy -= 1

    def run_open(self, requests: Requests, began_ns: int, count: int, per_second: float) -> int:
        """Each request at its moment; by how much the generator itself missed one, at worst."""
        step_ns = NANOSECONDS / per_second
        idle = deque(self._by_fd.values())
        number = late_ns_max = 0
        is_on_time = False  # nothing but the clock was waited for
        while number < count or len(idle) < len(self._by_fd):
            now = time.perf_counter_ns()
            while idle and number < count and (due := began_ns + int(number * step_ns)) <= now:
                if is_on_time:
                    late_ns_max, is_on_time = max(late_ns_max, now - due), False
                self._send(idle.popleft(), requests[number], number, due)
                number += 1
            is_on_time = number < count and bool(idle)
            if is_on_time:
                due = began_ns + int(number * step_ns)
                idle.extend(self._answered(self._wait_until(due)))
            else:
                idle.extend(self._answered(self._wait()))
        return late_ns_max

    def _connect(self) -> _Connection:
        made = socket.create_connection(("127.0.0.1", self._port), CONNECT_TIMEOUT_SECONDS)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setblocking(False)
        connection = _Connection(made)
        self._by_fd[made.fileno()] = connection
        self._epoll.register(made.fileno(), select.EPOLLIN)
        return connection

    def _connect_evenly(self, connections: int, workers: int) -> None:
        """As many connections to each worker process: one too many is closed and tried again.

        When all knock at once, one worker lets nearly all of them in and then works alone;
        clients of a city come one after another, or through a balancer.
        """
        quota = -(-connections // workers)
        held: Counter[bytes] = Counter()
        deadline = time.monotonic() + GREETINGS_TIMEOUT_SECONDS
        while held.total() < connections:
            connection = self._connect()
            worker = self._greet(connection) if workers > 1 else b""
            if held[worker] < quota:
                held[worker] += 1
                continue
            self._drop(connection)
            if time.monotonic() > deadline:
                raise BenchFailed(f"port {self._port}: {len(held)} of {workers} workers answer")
            time.sleep(GREETINGS_PAUSE_SECONDS)

    def _greet(self, connection: _Connection) -> bytes:
        """What the worker behind a connection calls itself."""
        connection.socket.settimeout(CONNECT_TIMEOUT_SECONDS)
        connection.socket.sendall(GREETING)
        received = connection.received
        while (end := received.find(HEAD_END)) < 0 or len(received) < _whole(received, end):
            more = connection.socket.recv(RECEIVE_BYTES)
            if not more:
                raise BenchFailed(f"the server on port {self._port} hung up on a greeting")
            received += more
        worker = bytes(received[end + len(HEAD_END) :])
        received.clear()
        connection.socket.setblocking(False)
        return worker

    def _drop(self, connection: _Connection) -> None:
        fd = connection.socket.fileno()
        self._epoll.unregister(fd)
        del self._by_fd[fd]
        connection.socket.close()

    def _wait(self) -> list[int]:
        """File descriptors with something to read. Raises BenchFailed when none ever has."""
        ready = [fd for fd, _ in self._epoll.poll(ANSWER_TIMEOUT_SECONDS)]
        if not ready:
            raise BenchFailed(f"no answer within {ANSWER_TIMEOUT_SECONDS:.0f} s")
        return ready

    def _wait_until(self, due_ns: int) -> list[int]:
        """The same, but not beyond a moment."""
        # select() waits to the microsecond; epoll alone rounds up to a whole millisecond.
        left = max(0, due_ns - time.perf_counter_ns()) / NANOSECONDS
        select.select([self._epoll.fileno()], [], [], left)
        return [fd for fd, _ in self._epoll.poll(0)]

    def _answered(self, ready: Sequence[int]) -> Iterator[_Connection]:
        """The connections whose answer is complete; one that broke is replaced and counted."""
        for fd in ready:
            connection = self._by_fd[fd]
            try:
                received = connection.socket.recv(RECEIVE_BYTES)
            except ConnectionError:
                received = b""
            if not received:
                was_idle = connection.number < 0
                fresh = self._replace(connection)
                if not was_idle:
                    self._refused[BROKEN] += 1
                    yield fresh
                continue
            connection.received += received
            if self._take_answer(connection):
                yield connection

    def _replace(self, connection: _Connection) -> _Connection:
        """The same connection object on a new socket: whoever holds it goes on."""
        self._drop(connection)
        fresh = self._connect()
        del self._by_fd[fresh.socket.fileno()]
        connection.socket, connection.number = fresh.socket, -1
        connection.received.clear()
        self._by_fd[connection.socket.fileno()] = connection
        return connection

    def _send(self, connection: _Connection, request: bytes, number: int, since_ns: int) -> None:
        connection.number, connection.since_ns = number, since_ns
        try:
            sent = connection.socket.send(request)
        except ConnectionError:
            return  # its end is read next, and counted there
        if sent != len(request):
            raise BenchFailed("a request did not fit into the socket's buffer")

    def _take_answer(self, connection: _Connection) -> bool:
        """Whether the answer is complete; then it is counted and the connection is idle."""
        received = connection.received
        end = received.find(HEAD_END)
        if end < 0:
            if len(received) > HEAD_BYTES_MAX:
                raise BenchFailed("an answer's head has no end")
            return False
        whole = _whole(received, end)
        if len(received) < whole:
            return False
        status = int(received[9:12])
        head = bytes(received[:end]).lower()
        if status == self._expected.status and self._expected.in_head in head:
            self._good[self._count] = connection.number
            self._durations[self._count] = time.perf_counter_ns() - connection.since_ns
            self._count += 1
        else:
            code = _code(bytes(received[end + len(HEAD_END) : whole]))
            self._refused[f"{status} {code}".strip()] += 1
        connection.number = -1
        received.clear()
        return True


def _whole(received: bytearray, end: int) -> int:
    """How many bytes the answer has whose head ends at `end`."""
    body = end + len(HEAD_END)
    if int(received[9:12]) in NO_BODY:
        return body
    head = bytes(received[:end]).lower()
    at = head.find(LENGTH)
    if at < 0:
        raise BenchFailed("an answer without Content-Length")
    at += len(LENGTH)
    stop = head.find(b"\r\n", at)
    return body + int(head[at : stop if stop >= 0 else len(head)])


def _code(body: bytes) -> str:
    """The problem's code; nothing when the body is no problem (RFC 9457)."""
    try:
        problem = json.loads(body)
    except ValueError:
        return ""
    return str(problem.get("code", "")) if isinstance(problem, dict) else ""
