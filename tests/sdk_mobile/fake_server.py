"""Serves the fake backend on loopback, and misbehaves as networks do when a test says so."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.sdk_mobile.fake_backend import FakeBackend, Seen


class Fault(Enum):
    DROP_BEFORE = auto()  # the request is lost
    DROP_AFTER = auto()  # done, and the answer is lost
    HALF_ANSWER = auto()  # done, and the answer breaks off
    DUPLICATE = auto()  # the network delivers the request twice
    ERROR_AFTER = auto()  # done, then a 500
    PORTAL = auto()  # somebody else answers, cheerfully
    BUSY = auto()  # 429 at the door
    STILL_RUNNING = auto()  # 409 with Retry-After


@dataclass
class ServedBackend(FakeBackend):
    """`fault` is asked for each request, by method and path."""

    fault: Callable[[str, str], Fault | None] = lambda method, path: None
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    backend: ServedBackend

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, body, headers)
        fault = self.backend.fault(self.command, urlsplit(self.path).path)
        if not self._misbehave_before(fault):
            reply, replayed = self.backend.handle(seen)
            if fault is Fault.DUPLICATE:
                reply, replayed = self.backend.handle(seen)
            if not self._misbehave_after(fault):
                self._json(*reply, replayed=replayed)

    def _misbehave_before(self, fault: Fault | None) -> bool:
        problem = {"code": "rate_limited", "detail": "slower"}
        running = {"code": "operation_running", "detail": "soon"}
        match fault:
            case Fault.DROP_BEFORE:
                self._hang_up()
            case Fault.PORTAL:
                self._send(200, b"<html>Welcome to the train's WLAN</html>", "text/html")
            case Fault.BUSY:
                self._json(429, problem, retry_after="1")
            case Fault.STILL_RUNNING:
                self._json(409, running, retry_after="1")
            case _:
                return False
        return True

    def _misbehave_after(self, fault: Fault | None) -> bool:
        match fault:
            case Fault.DROP_AFTER:
                self._hang_up()
            case Fault.HALF_ANSWER:
                self.wfile.write(b"HTTP/1.1 201 Created\r\nContent-Length: 999\r\n")
                self.wfile.write(b'Content-Type: application/json\r\n\r\n{"state')
                self._hang_up()
            case Fault.ERROR_AFTER:
                self._json(500, {"code": "internal", "status": 500})
            case _:
                return False
        return True

    do_GET = do_POST = do_PUT = _serve

    def _json(
        self,
        status: int,
        document: dict[str, Any],
        *,
        replayed: bool = False,
        retry_after: str | None = None,
    ) -> None:
        kind = "application/json" if status < 400 else "application/problem+json"
        extra = {"Idempotent-Replayed": "true"} if replayed else {}
        if retry_after:
            extra["Retry-After"] = retry_after
        self._send(status, json.dumps(document).encode(), kind, extra)

    def _send(
        self, status: int, body: bytes, kind: str, extra: dict[str, str] | None = None
    ) -> None:
        self.send_response_only(status)
        self.send_header("Date", self.date_time_string(int(self.backend.clock())))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        pass  # the tests look at `backend.seen`


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def serving(backend: ServedBackend) -> Iterator[ServedBackend]:
    """The backend on a free loopback port for as long as the block runs."""
    handler = type("Handler", (_Handler,), {"backend": backend, "wbufsize": -1})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    backend.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield backend
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
