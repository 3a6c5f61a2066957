"""The HTTP server of both ways to run: gevent's pywsgi, with its slow parts written again.

A request's head is judged by one expression and read in one piece, an answer leaves in one write,
and a connection that keeps us waiting is closed. Stricter than pywsgi where two readers of one
request could disagree (RFC 9112, section 11.2). Knows no application.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

import gevent
from gevent.pywsgi import Input, WSGIHandler, WSGIServer, format_date_time
from prometheus_client import Counter

WAIT_SECONDS_MAX = 75.0  # for a request's head and body, and for an answer to be taken
SWEEP_SECONDS = 1.0
HEAD_BYTES_MAX = 32 * 1024
BODY_AT_ONCE_MAX = 64 * 1024  # longer ones are left on the wire: the application refuses them
ANSWER_AT_ONCE_MAX = 64 * 1024

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110, section 5.6.2
REQUEST_LINE = re.compile(rf"({TOKEN.decode()}) ([\x21-\x7e\x80-\xff]+) (HTTP/1\.[01])\r\n")
FIELDS = re.compile(rb"(?:" + TOKEN + rb":[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n")
LENGTH = re.compile(r"[0-9]{1,18}")
SINGULAR = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_HOST", "HTTP_TRANSFER_ENCODING"})

MALFORMED = Counter("http_malformed_total", "Requests that were no HTTP, refused with 400")


class Handler(WSGIHandler):
    """One connection: its requests one after the other."""

    server: Server
    wsgi_input: Any
    close_connection: bool
    headers_sent: bool
    is_idle = True  # between two requests
    waits_since: float | None  # for the network, in monotonic seconds; None: the application works
    _head: bytes
    _fields: dict[str, str]

    def handle(self) -> None:
        """Answers until the caller or the server has had enough."""
        self.waits_since = time.monotonic()
        self.server.handlers.add(self)
        if self.server.is_closing:  # accepted a moment before
            _shut(self, socket.SHUT_RD)
        try:
            super().handle()
        finally:
            self.server.handlers.discard(self)

    def read_requestline(self) -> str:
        self.is_idle, self.waits_since = True, time.monotonic()
        line: str = super().read_requestline()
        self.is_idle = False
        return line

    def read_request(self, raw_requestline: str) -> bool:
        """Reads head and body. Raises ValueError for what is no HTTP/1.x."""
        line = REQUEST_LINE.fullmatch(raw_requestline)
        if line is None:
            raise ValueError("request line")
        self.command, self.path, self.request_version = line.groups()
        try:
            fields = self._fields = _fields(self._read_head())
            is_chunked = _is_chunked(fields, self.request_version)
            length = fields.get("CONTENT_LENGTH")
            if length is not None and not LENGTH.fullmatch(length):
                raise ValueError("content length")
            self.content_length = None if length is None else int(length)
            if self.command == "HEAD" and (self.content_length or is_chunked):
                raise ValueError("a HEAD with a body")
            self._take_body(self.content_length or 0, is_chunked=is_chunked)
        except OSError:  # cut off
            raise ValueError("end of file") from None
        self.close_connection = _wants_close(fields, self.request_version)
        if self.wsgi_input is NOTHING_LEFT:
            self.waits_since = None  # else the application reads on: it has the time that is left
        return True

    def _read_head(self) -> bytes:
        """The fields with the empty line after them."""
        waiting = self.rfile.peek()
        end = waiting.find(b"\r\n\r\n")
        if end >= 0 and not waiting.startswith(b"\r\n"):
            head: bytes = self.rfile.read(end + 4)
        else:  # no field at all, or not all of them have come
            lines: list[bytes] = []
            size = 0
            while not lines or lines[-1] not in (b"\r\n", b""):
                lines.append(self.rfile.readline(HEAD_BYTES_MAX - size))
                size += len(lines[-1])
            head = b"".join(lines)
        if not FIELDS.fullmatch(head):
            raise ValueError("fields")
        return head

    def _take_body(self, length: int, *, is_chunked: bool) -> None:
        expects = self._fields.get("HTTP_EXPECT", "").lower() == "100-continue"
        sock = self.socket if expects else None
        if is_chunked or length > BODY_AT_ONCE_MAX:
            body = self.wsgi_input = Input(
                self.rfile, self.content_length, socket=sock, chunked_input=is_chunked
            )
        elif not length:
            self.wsgi_input, body = NOTHING_LEFT, BytesIO()
        else:
            source = Input(self.rfile, length, socket=sock)
            self.wsgi_input, body = NOTHING_LEFT, BytesIO(source.read(length))
        self._body = body

    def get_environ(self) -> dict[str, Any]:
        found: dict[str, Any] = self.server.get_environ()
        path, _, query = self.path.partition("?")
        found.update(self._fields)
        found["REQUEST_METHOD"] = self.command
        found["SERVER_PROTOCOL"] = self.request_version
        found["SCRIPT_NAME"] = ""
        found["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path
        found["QUERY_STRING"] = query
        if isinstance(self.client_address, tuple):
            found["REMOTE_ADDR"], found["REMOTE_PORT"] = map(str, self.client_address[:2])
        found["wsgi.input"] = self._body
        found["wsgi.input_terminated"] = True
        return found

    def start_response(
        self, status: str, headers: Iterable[tuple[str, str]], exc_info: Any = None
    ) -> Any:
        """PEP 3333. Raises ValueError when a header would begin a second one."""
        if exc_info is not None and self.headers_sent:
            raise exc_info[1].with_traceback(exc_info[2])
        lines = [f"HTTP/1.1 {status}", *[f"{name}: {value}" for name, value in headers], ""]
        text = "\r\n".join(lines)
        if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1:
            raise ValueError("carriage return or newline in a header")
        self._head = text.encode("latin-1")
        self.code = int(status[:3])
        self.status, self._orig_status = status.encode("latin-1"), status
        named = {name.lower(): value for name, value in headers}
        self.provided_date = named.get("date")
        self.provided_content_length = named.get("content-length")
        if self.server.is_closing or named.get("connection", "").lower() == "close":
            self.close_connection = True
        self.response_headers = [] if "connection" in named else self._connection()
        return self.write

    def _connection(self) -> list[tuple[bytes, bytes]]:
        if self.close_connection:
            return [(b"Connection", b"close")]
        if self.request_version == "HTTP/1.0":
            return [(b"Connection", b"keep-alive")]
        return []

    def _write_with_headers(self, data: bytes) -> None:
        """Head and body in one piece; what `finalize_headers` adds stands after ours."""
        if self.provided_date is None:
            self.provided_date = ""
            self.response_headers.append((b"Date", _date(int(self.time_start))))
        self.headers_sent = True
        self.finalize_headers()
        more = b"".join([b"%b: %b\r\n" % one for one in self.response_headers])
        head = b"%b%b\r\n" % (self._head, more)
        if self.response_use_chunked or len(data) > ANSWER_AT_ONCE_MAX:
            self._sendall(head)
            self._write(data)
        else:
            self._sendall(head + data)

    def _sendall(self, data: bytes) -> None:
        self.waits_since = time.monotonic()
        super()._sendall(data)

    def log_request(self) -> None:
        """Says nothing: the application writes its own line."""

    def log_error(self, msg: str, *args: object) -> None:
        """Counts: what broken callers send fills no disk, and no address stands in a log."""
        MALFORMED.inc()


class Server(WSGIServer):
    """Listens for one application. `close` lets requests under way end and accepts no other."""

    handler_class = Handler

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.handlers: set[Handler] = set()
        self.is_closing = False

    def init_socket(self) -> None:
        super().init_socket()
        if self.socket.family in (socket.AF_INET, socket.AF_INET6):
            # Accepted sockets inherit it. Without it the second piece of a long answer waits for
            # the client's delayed acknowledgement of the first: 40 ms.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        super().start()
        gevent.spawn(self._sweep)

    def close(self) -> None:
        """Idle connections end at once; a request that has already come is still answered."""
        self.is_closing = True
        super().close()
        for one in list(self.handlers):
            if one.is_idle:
                _shut(one, socket.SHUT_RD)

    def _sweep(self) -> None:
        while not self.is_closing or self.handlers:
            gevent.sleep(SWEEP_SECONDS)
            limit = time.monotonic() - WAIT_SECONDS_MAX
            for one in list(self.handlers):
                if self.is_closing and one.is_idle:
                    _shut(one, socket.SHUT_RD)
                elif one.waits_since is not None and one.waits_since < limit:
                    _shut(one, socket.SHUT_RDWR)


NOTHING_LEFT = Input(None, 0)


def _shut(one: Handler, how: int) -> None:
    """Wakes the connection's greenlet, which then finds its end."""
    with suppress(OSError, AttributeError):  # gone a moment ago
        one.socket.shutdown(how)


def _fields(head: bytes) -> dict[str, str]:
    """Fields by their WSGI names. Raises ValueError when one that must be single comes twice."""
    found: dict[str, str] = {}
    for line in head.decode("latin-1").split("\r\n")[:-2]:
        name, _, value = line.partition(":")
        key = _wsgi_name(name)
        if key is None:
            continue
        value = value.strip(" \t")
        if key in found:
            if key in SINGULAR:
                raise ValueError("a field given twice")
            value = f"{found[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
        found[key] = value
    return found


@lru_cache(maxsize=512)
def _wsgi_name(name: str) -> str | None:
    """`Content-Type` as CONTENT_TYPE, others with HTTP_; None for what hides behind a `_`."""
    if "_" in name:
        return None
    key = name.replace("-", "_").upper()
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def _is_chunked(fields: dict[str, str], version: str) -> bool:
    """RFC 9112, section 6.1. Raises ValueError where a proxy might count the body otherwise."""
    coding = fields.get("HTTP_TRANSFER_ENCODING")
    if coding is None:
        return False
    if coding.lower() != "chunked" or "CONTENT_LENGTH" in fields or version != "HTTP/1.1":
        raise ValueError("transfer coding")
    return True


def _wants_close(fields: dict[str, str], version: str) -> bool:
    said = fields.get("HTTP_CONNECTION")
    if said is None:
        return version == "HTTP/1.0"
    options = {one.strip().lower() for one in said.split(",")}
    return "close" in options or (version == "HTTP/1.0" and "keep-alive" not in options)


@lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    found: bytes = format_date_time(second)
    return found
