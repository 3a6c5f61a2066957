"""The HTTP server: what is no HTTP gets 400, what is gets one answer, nobody holds it up for ever.

Server and clients are greenlets of the test's own thread.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event
from gevent.pool import Pool

from backend.web import server as server_module
from backend.web.server import Server

WAIT_SECONDS = 10.0
Talk = Callable[..., bytes]


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Tells what it was asked."""
    path = environ["PATH_INFO"]
    if path == "/break":
        raise RuntimeError("a bug below the application")
    if path == "/split":
        start_response("200 OK", [("X-One", "a\r\nX-Two: b"), ("Content-Length", "0")])
        return [b""]
    if path == "/pieces":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"one", b"", b"two"])  # type: ignore[return-value]
    body = "" if path == "/unread" else environ["wsgi.input"].read().decode("latin-1")
    told = {
        name: value for name, value in environ.items() if isinstance(value, str) and name.isupper()
    }
    answer = json.dumps({"environ": told, "body": body}).encode()
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
    )
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(server_module, "SWEEP_SECONDS", 0.02)
    made = Server(("127.0.0.1", 0), application, log=None, error_log=None, spawn=Pool(50))
    made.start()
    yield made
    made.stop(timeout=1)


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server_port), timeout=WAIT_SECONDS)


@pytest.fixture
def talk(server: Server) -> Talk:
    """Sends the pieces, each by itself; everything heard until the server closes."""

    def send(*pieces: bytes) -> bytes:
        with connect(server) as sock:
            for piece in pieces:
                sock.sendall(piece)
                gevent.sleep(0.005)  # so that each piece arrives alone
            return _all(sock)

    return send


def _all(sock: socket.socket) -> bytes:
    heard = b""
    while piece := sock.recv(65536):
        heard += piece
    return heard


def _answers(heard: bytes) -> list[dict[str, Any]]:
    """The bodies of the answers, by their Content-Length."""
    found = []
    while heard:
        head, _, rest = heard.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
        (length,) = (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        found.append(json.loads(rest[:length]))
        heard = rest[length:]
    return found


CLOSE = b"Host: city\r\nConnection: close\r\n"
GET = b"GET /a%20b?c=%20d HTTP/1.1\r\nCookie: a=1\r\nX-Many: 1\r\nx-many:2\r\nCookie: b=2\r\n"


def test_the_application_hears_what_was_asked(talk: Talk) -> None:
    heard = talk(GET + CLOSE + b"\r\n")
    (told,) = _answers(heard)
    expected = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/a b",
        "QUERY_STRING": "c=%20d",
        "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_COOKIE": "a=1; b=2",
        "HTTP_X_MANY": "1,2",
        "HTTP_HOST": "city",
    }
    assert expected.items() <= told["environ"].items()
    assert b"\r\nDate: " in heard
    assert b"\r\nConnection: close\r\n" in heard


def test_a_request_may_come_in_any_pieces(talk: Talk) -> None:
    whole = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n" + CLOSE + b"\r\nhello"
    for size in (1, 7, 30):
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        assert _answers(talk(*pieces))[0]["body"] == "hello"


def test_requests_may_follow_each_other_unasked(talk: Talk) -> None:
    one = b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    bare = b"GET /2 HTTP/1.1\r\n\r\n"
    unread = b"POST /unread HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
    last = b"GET /3 HTTP/1.1\r\n" + CLOSE + b"\r\n"
    told = _answers(talk(one + bare + unread + last))
    assert [each["environ"]["PATH_INFO"] for each in told] == ["/1", "/2", "/unread", "/3"]
    assert [each["body"] for each in told] == ["abc", "", "", ""]


@pytest.mark.parametrize("length", [1, 65_536, 65_537, 300_000])
def test_bodies_of_any_length_arrive_whole(talk: Talk, length: int) -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n" % length + CLOSE
    assert _answers(talk(head + b"\r\n" + b"x" * length))[0]["body"] == "x" * length


def test_a_body_in_chunks_arrives_whole(talk: Talk) -> None:
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + CLOSE
    told = _answers(talk(head + b"\r\n3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"))
    assert told[0]["body"] == "abcde"


def test_an_answer_without_length_leaves_in_chunks(talk: Talk) -> None:
    heard = talk(b"GET /pieces HTTP/1.1\r\n" + CLOSE + b"\r\n")
    assert b"\r\nTransfer-Encoding: chunked\r\n" in heard
    assert heard.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


def test_a_client_that_asks_first_is_told_to_go_on(server: Server) -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n" + CLOSE
    with connect(server) as sock:
        sock.sendall(head + b"\r\n")
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"ok")
        assert _answers(_all(sock))[0]["body"] == "ok"


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("1.1", None, True),
        ("1.1", "keep-alive", True),
        ("1.1", "Close", False),
        ("1.1", "x, close", False),
        ("1.0", None, False),
        ("1.0", "Keep-Alive", True),
        ("1.0", "keep-alive, close", False),
    ],
)
def test_a_connection_stays_as_agreed(
    server: Server, version: str, connection: str | None, kept: bool
) -> None:
    line = "" if connection is None else f"Connection: {connection}\r\n"
    asked = f"GET / HTTP/{version}\r\n{line}\r\n".encode()
    with connect(server) as sock:
        sock.sendall(asked)
        heard = sock.recv(65536)
        assert (b"\r\nConnection: close\r\n" in heard) == (not kept)
        sock.settimeout(0.05)
        if kept:
            with pytest.raises(TimeoutError):
                sock.recv(1)
        else:
            assert sock.recv(1) == b""


def test_an_answer_to_head_has_a_length_and_no_body(talk: Talk) -> None:
    heard = talk(b"HEAD / HTTP/1.1\r\n" + CLOSE + b"\r\n")
    assert b"Content-Length: " in heard
    assert heard.endswith(b"\r\n\r\n")


OK = b"Host: a\r\n"
MALFORMED = {
    "no request line": b"hello\r\n\r\n",
    "an empty line first": b"\r\nGET / HTTP/1.1\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\n",
    "HTTP/1.x": b"GET / HTTP/1.x\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\n\r\n",
    "a tab": b"GET\t/ HTTP/1.1\r\n\r\n",
    "a control character": b"GET /\x01 HTTP/1.1\r\n\r\n",
    "a method that is no token": b"GE(T / HTTP/1.1\r\n\r\n",
    "a bare newline": b"GET / HTTP/1.1\n\r\n",
    "a bare newline in the head": b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
    "a bare return in the head": b"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
    "a folded field": b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
    "a field folded at once": b"GET / HTTP/1.1\r\n A: b\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nA\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\n: b\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nContent-Length : 1\r\n\r\nx",
    "NUL in a field": b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "two types": b"POST / HTTP/1.1\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n\r\nx",
    "a length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"
    b"\r\n\r\n0\r\n\r\n",
    "chunks to HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another coding": b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length with a sign": b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
    "a negative length": b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\nx",
    "an empty length": b"POST / HTTP/1.1\r\nContent-Length:\r\n\r\nx",
    "a length in hex": b"POST / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\nx",
    "a list of lengths": b"POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\nx",
    "a length with a line": b"POST / HTTP/1.1\r\nContent-Length: 1_0\r\n\r\n" + b"x" * 10,
    "a huge length": b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 19 + b"\r\n\r\nx",
    "a HEAD with a body": b"HEAD / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
    "a head without end": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 6000,
    "one endless field": b"GET / HTTP/1.1\r\nA: " + b"b" * 40_000,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_http_is_refused_and_nothing_after_it_is_read(talk: Talk, name: str) -> None:
    """Two readers of one connection could see two requests: so it ends there."""
    heard = talk(MALFORMED[name] + b"GET /smuggled HTTP/1.1\r\n\r\n")
    assert heard.startswith(b"HTTP/1.1 400 ")
    assert heard.count(b"HTTP/1.1 ") == 1


def test_a_long_request_line_is_refused(talk: Talk) -> None:
    assert talk(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 414 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nA: b\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx",
    ],
    ids=["nothing", "line", "head", "body"],
)
def test_who_hangs_up_half_way_changes_nothing(server: Server, talk: Talk, sent: bytes) -> None:
    with connect(server) as sock:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        assert not _all(sock).startswith(b"HTTP/1.1 200")
    assert _answers(talk(b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n"))


def test_a_name_with_a_line_cannot_pass_for_one_with_a_hyphen(talk: Talk) -> None:
    heard = talk(b"GET / HTTP/1.1\r\nX_Real: forged\r\nX-Real: true\r\n" + CLOSE + b"\r\n")
    assert _answers(heard)[0]["environ"]["HTTP_X_REAL"] == "true"


@pytest.mark.parametrize("path", [b"/break", b"/split"])
def test_a_bug_is_a_500_and_no_second_header(
    talk: Talk, path: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    heard = talk(b"GET " + path + b" HTTP/1.1\r\n" + CLOSE + b"\r\n")
    assert heard.startswith(b"HTTP/1.1 500 ")
    assert b"X-Two" not in heard
    assert "Error" in capfd.readouterr().err


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nA: b\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx",
        b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\nx",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
        b"POST /unread HTTP/1.1\r\nContent-Length: 100000\r\n\r\nx",
    ],
    ids=["nothing", "line", "head", "body", "long body", "chunks", "after the answer"],
)
def test_who_keeps_us_waiting_is_shut_out(
    server: Server, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(server_module, "WAIT_SECONDS_MAX", 0.0)
    with connect(server) as sock:
        sock.sendall(sent)
        heard = _all(sock)  # ends, or the socket's own time limit fails the test
    assert heard.startswith(b"HTTP/1.1 200") == sent.startswith(b"POST /unread")
    while server.handlers:
        gevent.sleep(0.001)  # the greenlet's last steps


def test_closing_ends_idle_connections_and_lets_the_others_finish() -> None:
    begun, may_end = Event(), Event()

    def slow(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        begun.set()
        may_end.wait(WAIT_SECONDS)
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]

    server = Server(("127.0.0.1", 0), slow, log=None, spawn=Pool(50))
    server.start()
    with connect(server) as idle, connect(server) as busy:
        busy.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert begun.wait(WAIT_SECONDS)
        while len(server.handlers) < 2:
            gevent.sleep(0.001)  # until the idle one was accepted
        server.close()
        assert idle.recv(1) == b""
        may_end.set()
        heard = _all(busy)
    assert heard.startswith(b"HTTP/1.1 200 OK")
    assert b"\r\nConnection: close\r\n" in heard
    assert heard.endswith(b"done")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.address[1]))
