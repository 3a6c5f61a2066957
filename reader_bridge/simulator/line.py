"""The network between terminal and city: an address of this machine that may fail as told.

`Upstream` is the city: in this process, or a real one by HTTP.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import httpx

from reader_bridge.simulator.steps import Network

HOST: Final = "127.0.0.1"
BODY_BYTES_MAX: Final = 8 * 1024 * 1024
LOGIN_PATH: Final = "/v1/token"
UPSTREAM_SECONDS: Final = 30.0
STOP_SECONDS: Final = 5.0
TROUBLES_MAX: Final = 100
_FORWARDED: Final = ("authorization", "content-type", "idempotency-key", "accept-language")
_ANSWERED: Final = ("content-type", "retry-after", "idempotent-replayed")


@dataclass(frozen=True, slots=True)
class Request:
    """`path` with its query; header names in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]


Upstream = Callable[[Request], Answer | None]
"""None: no answer; the connection ends."""


class Line:
    """Starts open. Use `close` at the end; safe for several threads."""

    def __init__(self, upstream: Upstream, sleep: Callable[[float], None], port: int = 0) -> None:
        self._upstream, self._sleep = upstream, sleep
        self._lock = threading.Lock()
        self._slow_milliseconds = 0
        self._next: deque[Network] = deque(maxlen=TROUBLES_MAX)
        self._server: _Server | None = _Server(self.passed, port)
        self.port = self._server.port

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def is_up(self) -> bool:
        return self._server is not None

    def set(self, network: Network, milliseconds: int = 0) -> None:
        """Troubles of one request befall the next commands in turn (no questions, no log-ins); `up`
        and `down` forget them all."""
        with self._lock:
            if network is Network.SLOW:
                self._slow_milliseconds = milliseconds
            elif network not in {Network.UP, Network.DOWN}:
                self._next.append(network)
            else:
                self._slow_milliseconds = 0
                self._next.clear()
        if network is Network.DOWN:
            self.close()
        elif self._server is None:
            self._server = _Server(self.passed, self.port)

    def close(self) -> None:
        """Nobody listens any more, and what was under way is cut."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def passed(self, request: Request) -> Answer | None:
        """One request over this network."""
        with self._lock:
            slow, trouble = self._slow_milliseconds, None
            if request.method == "POST" and request.path != LOGIN_PATH and self._next:
                trouble = self._next.popleft()
        if slow:
            self._sleep(slow / 1000)
        if trouble is Network.LOSE_REQUEST:
            return None
        answer = self._upstream(request)
        if trouble is Network.TWICE:
            answer = self._upstream(request)
        return None if trouble is Network.LOSE_ANSWER else answer


class HttpUpstream:
    """A city that runs elsewhere; when it does not answer, nobody does."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=UPSTREAM_SECONDS)

    def __call__(self, request: Request) -> Answer | None:
        headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
        try:
            answer = self._client.request(
                request.method, request.path, content=request.body, headers=headers
            )
        except httpx.HTTPError:
            return None
        told = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
        return Answer(answer.status_code, answer.content, told)

    def close(self) -> None:
        self._client.close()


class _Server(ThreadingHTTPServer):
    """One opening of the line: its connections end with it."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, passed: Upstream, port: int) -> None:
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__((HOST, port), _handler(passed))
        self.port: int = self.server_address[1]
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="line")
        self._thread.start()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._connections_lock:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that was cut is what this is for."""

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join(STOP_SECONDS)
        with self._connections_lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the other side was quicker


def _handler(passed: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body leave in two writes
        timeout = 120

        def _serve(self) -> None:
            length = self.headers["Content-Length"] or "0"
            if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(length))
            answer = passed(Request(self.command, self.path, headers, body))
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = _serve  # noqa: N815 - the names that http.server asks for

        def log_message(self, *_: Any) -> None:
            """The player tells what happens."""

    return Handler
