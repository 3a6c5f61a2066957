"""A bad network between a terminal and its backend: cuts what a script says, relays the rest."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

UPLOADS = "/v1/terminal/offline-sales"
WAIT_SECONDS = 10.0
CUTS = ("half_request", "no_answer", "half_answer", "refused")


@dataclass
class Wire:
    """`script` holds what becomes of the next uploads; without a word they come through."""

    backend: str
    script: deque[str] = field(default_factory=deque)
    url: str = ""
    seen: list[str] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    def bring(self, words: Iterable[str]) -> None:
        self.script.extend(words)

    def answer(self, head: bytes, body: bytes, *, is_upload: bool) -> bytes:
        """What the terminal gets, in bytes; less than an answer where the connection is cut."""
        word = self.script.popleft() if is_upload and self.script else "calm"
        if is_upload:
            self.seen.append(word)
        if word == "refused":
            return b""
        address = urlsplit(self.backend)
        with socket.create_connection((address.hostname, address.port), WAIT_SECONDS) as behind:
            if word == "half_request":
                behind.sendall(head + body[: len(body) // 2])
                return b""  # and the backend sees the connection end
            behind.sendall(head + body)
            whole = b"".join(iter(lambda: behind.recv(65_536), b""))
        if word == "no_answer":
            return b""
        return whole[: len(whole) // 2] if word == "half_answer" else whole


@contextmanager
def bad_wire(backend: str) -> Iterator[Wire]:
    """A wire on a free port of this machine for the `with`."""
    wire = Wire(backend)

    class Server(ThreadingHTTPServer):
        daemon_threads = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            raise AssertionError("a wire broke by itself")

    server = Server(("127.0.0.1", 0), _handler(wire))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        wire.url = f"http://127.0.0.1:{server.server_port}"
        yield wire
    finally:
        server.shutdown()
        server.server_close()
        thread.join(WAIT_SECONDS)
    assert wire.failures == []


def _handler(wire: Wire) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = WAIT_SECONDS

        def relay(self) -> None:
            self.close_connection = True
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            lines = [f"{self.command} {self.path} HTTP/1.1", "Connection: close"]
            lines += [f"{k}: {v}" for k, v in self.headers.items() if k.lower() != "connection"]
            head = "\r\n".join([*lines, "", ""]).encode()
            try:
                answer = wire.answer(head, body, is_upload=self.path == UPLOADS)
            except OSError as failure:
                wire.failures.append(failure)
                return
            with suppress(ConnectionError):  # who hung up hears nothing
                self.wfile.write(answer)

        do_GET = do_POST = relay

        def log_message(self, *_: Any) -> None:
            """The wire keeps what it did."""

    return Handler
