"""The backend of the till's chaos run: real HTTP, bad weather, each payment id charged once.

Now and then nobody listens at all: connections are refused, and those under way end. Knows of the
till only what is on the wire.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tools.chaos.dice import dice_for

TOKEN_SECONDS = 3600
WEATHER = ("calm", "lost_request", "lost_answer", "cut", "reversed", "twice", "busy")
CHANCES = (50, 12, 15, 8, 5, 5, 5)
CONNECTION_SECONDS = 10
PRESENT_SECONDS = (0.1, 0.8)
AWAY_SECONDS = (0.05, 0.05, 0.3, 0.3, 3.0)  # some moments, and now and then some seconds
POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Charge:
    """What one payment id was charged for."""

    reference: str  # the tap itself, whatever id the till gave it
    amount_fen: int
    terminal_counter: int
    chain: str


@dataclass(slots=True)
class Book:
    """Everything the backend heard, decided once for each payment id."""

    dice: random.Random
    is_calm: bool = False
    charges: dict[str, Charge] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)  # ids that came again with other facts
    incarnations: set[str] = field(default_factory=set)
    uploads: int = 0
    lost: int = 0
    outages: int = 0

    def weather(self) -> str:
        return "calm" if self.is_calm else self.dice.choices(WEATHER, CHANCES)[0]

    def take(self, sales: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [self._decide(sale) for sale in sales]

    def _decide(self, sale: dict[str, Any]) -> dict[str, Any]:
        name = sale["payment_id"]
        charge = Charge(
            sale["proof"]["reference"],
            sale["amount_fen"],
            sale["terminal_counter"],
            sale["chain"],
        )
        if self.charges.setdefault(name, charge) != charge:
            self.changed.add(name)
        return {"payment_id": name, "state": "captured", "balance_fen": 1}


class _Server(ThreadingHTTPServer):
    """Keeps what went wrong inside a handler; a till that is killed while it speaks is none."""

    daemon_threads = True

    def __init__(
        self, port: int, handler: type[BaseHTTPRequestHandler], failures: list[BaseException]
    ) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.failures = failures

    def handle_error(self, request: Any, client_address: Any) -> None:
        failure = sys.exc_info()[1]
        if failure is not None and not isinstance(failure, ConnectionError):
            self.failures.append(failure)


class TillBackend:
    """`with TillBackend(seed) as backend:` serves on `backend.url` until the end of the block."""

    def __init__(self, seed: int) -> None:
        self.book, self.lock = Book(dice_for(seed, "weather")), threading.Lock()
        self._port = _held_port()
        self.url = f"http://127.0.0.1:{self._port.getsockname()[1]}"
        self._dice, self._ended = dice_for(seed, "outages"), threading.Event()
        self._failures: list[BaseException] = []
        self._is_away = True
        self._storm = threading.Thread(target=self._blow)

    def __enter__(self) -> Self:
        self._return()
        self._storm.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._storm.join(CONNECTION_SECONDS)
        self._leave()
        self._port.close()
        if self._failures:
            raise self._failures[0]

    def _blow(self) -> None:
        """Here and away in turn, until the weather is calm; here at the end."""
        while not self._ended.wait(self._dice.uniform(*PRESENT_SECONDS)):
            if self.book.is_calm:
                return
            self._leave()
            with self.lock:
                self.book.outages += 1
            self._ended.wait(self._dice.choice(AWAY_SECONDS))
            self._return()

    def _leave(self) -> None:
        """The port stays ours and nobody listens on it: connections are refused."""
        self._is_away = True
        self._server.shutdown()
        self._thread.join(CONNECTION_SECONDS)
        self._server.server_close()

    def _return(self) -> None:
        self._server = _Server(self._port.getsockname()[1], _handler(self), self._failures)
        self._is_away = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_SECONDS,))
        self._thread.start()

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, Any]] | None:
        """Status and document; None when the connection ends without an answer."""
        if self._is_away:
            return None
        if path == "/v1/token":
            return 200, {"access_token": "t", "token_type": "Bearer", "expires_in": TOKEN_SECONDS}
        document = json.loads(body)
        with self.lock:
            book = self.book
            book.uploads += 1
            book.incarnations.add(document["incarnation"])
            word, sales = book.weather(), document["sales"]
            if word == "busy":
                return 503, {"code": "busy"}
            if word == "lost_request":
                book.lost += 1
                return None
            if word == "cut":
                sales = sales[: 1 + len(sales) // 2]
            results = book.take(sales)
            if word == "lost_answer":
                book.lost += 1
                return None
            if word == "reversed":
                results.reverse()
            return 200, {"results": results * 2 if word == "twice" else results}


def _held_port() -> socket.socket:
    """A free port of this machine, kept while nobody listens on it."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


def _handler(backend: TillBackend) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = CONNECTION_SECONDS

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"] or 0)
            body = self.rfile.read(size)
            answer = backend.answer(self.path, body) if len(body) == size else None
            if answer is None:  # bad weather, or the till was killed while it spoke
                self.close_connection = True
                return
            status, document = answer
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """The book says what happened."""

    return Handler
