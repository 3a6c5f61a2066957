"""Networks that fail on purpose: a phone's that can be closed, a till's that loses answers."""

from __future__ import annotations

import http.client
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

TIMEOUT_SECONDS = 15.0
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "host"})


class Gate(httpx.BaseTransport):
    """A phone's way out. Closed, it lets nothing through and counts who tried."""

    def __init__(self) -> None:
        self._inner = httpx.HTTPTransport(trust_env=False)
        self.is_open = True
        self.passed = 0
        self.stopped = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not self.is_open:
            self.stopped += 1
            raise httpx.ConnectError("the phone has no network", request=request)
        self.passed += 1
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


@dataclass(frozen=True, slots=True)
class LostAnswer:
    """What the backend answered and the till never heard."""

    method: str
    path: str
    status: int
    is_replayed: bool
    body: bytes = field(repr=False)


class LossyProxy:
    """An HTTP proxy on this machine before one backend; `is_cut` loses every answer.

    A request always goes through: what is lost has been done.
    """

    def __init__(self, backend_url: str) -> None:
        parts = urlsplit(backend_url)
        self._backend = (str(parts.hostname), int(parts.port or 80))
        self.is_cut = False
        self.lost: list[LostAnswer] = []
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(TIMEOUT_SECONDS)
        self._server.server_close()

    def forward(self, handler: BaseHTTPRequestHandler) -> None:
        """One request to the backend, one answer to the till or to nobody."""
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length) if length else None
        headers = {
            name: value
            for name, value in handler.headers.items()
            if name.lower() not in _HOP_BY_HOP
        }
        connection = http.client.HTTPConnection(*self._backend, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(handler.command, handler.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if self.is_cut:
            is_replayed = answer.getheader("Idempotent-Replayed") == "true"
            lost = LostAnswer(handler.command, handler.path, answer.status, is_replayed, content)
            self.lost.append(lost)
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        _pass_on(handler, answer, content)


def _pass_on(
    handler: BaseHTTPRequestHandler, answer: http.client.HTTPResponse, content: bytes
) -> None:
    handler.send_response_only(answer.status)
    for name, value in answer.getheaders():
        if name.lower() not in _HOP_BY_HOP | {"content-length"}:
            handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: LossyProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = TIMEOUT_SECONDS
    server: _Server

    def do_GET(self) -> None:
        self.server.proxy.forward(self)

    def do_POST(self) -> None:
        self.server.proxy.forward(self)

    def log_message(self, format: str, *args: Any) -> None:
        """The till's requests are no concern of the console."""
