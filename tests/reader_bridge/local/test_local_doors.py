"""Who gets in: token, one-time link, cookie; and who does not: other pages, other names."""

from __future__ import annotations

import queue
import socket
import stat
import threading

import httpx
import pytest

from reader_bridge import TerminalFault
from reader_bridge.clock import Clock
from reader_bridge.local import LocalServer, LocalSettings, load_or_make_token, serve
from reader_bridge.local.pages import FILES, PAGE
from reader_bridge.local.server import bind
from reader_bridge.local.token import COOKIE_SECONDS, LINK_SECONDS, LINKS_MAX, Doors
from tests.reader_bridge.local.conftest import TOKEN

SALE = {"reference": "R1", "amount_fen": 1250}


OUTSIDE = [
    ({"Authorization": ""}, 401, "token_missing"),
    ({"Authorization": "Bearer " + "x" * 43}, 401, "token_invalid"),
    ({"Authorization": "Basic abc"}, 401, "token_missing"),
    ({"Authorization": "", "Cookie": "till=1.a.b"}, 401, "token_invalid"),
    ({"Host": "evil.example"}, 421, "host_refused"),
    ({"Host": "127.0.0.1"}, 421, "host_refused"),
    ({"Origin": "http://evil.example"}, 403, "origin_refused"),
    ({"Origin": "null"}, 403, "origin_refused"),
    ({"Sec-Fetch-Site": "cross-site"}, 403, "origin_refused"),
    ({"Sec-Fetch-Site": "same-site"}, 403, "origin_refused"),
]


@pytest.mark.parametrize(("headers", "status", "code"), OUTSIDE)
def test_who_stays_outside(shop, headers, status, code):
    with shop.client(**headers) as client:
        answers = [client.post("/v1/sales", json=SALE), client.get("/v1/screen")]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert shop.till.screen().order is None


def test_no_preflight_is_answered(shop):
    with shop.client(Origin="http://evil.example") as client:
        answer = client.options("/v1/sales")
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_a_body_that_is_no_json_by_its_type(http):
    """Goal: what a form of another page can send is refused by its type alone."""
    answer = http.post(
        "/v1/sales",
        content=b'{"reference":"R1","amount_fen":1}',
        headers={"Content-Type": "text/plain"},
    )
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type_unsupported")
    assert http.get("/v1/screen").json()["stage"] == "idle"


def page_client(shop) -> httpx.Client:
    return httpx.Client(base_url=shop.server.url, timeout=10, trust_env=False)


def test_the_link_opens_once_and_the_cookie_stays(shop, http):
    path = http.post("/v1/page-links").json()["path"]
    with page_client(shop) as browser:
        assert browser.get("/").status_code == 401
        opened = browser.get(path, headers={"Sec-Fetch-Site": "cross-site"})
        assert (opened.status_code, opened.headers["location"]) == (303, "/")
        cookie = opened.headers["set-cookie"]
        assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/"))
        shown = browser.get("/")
        assert shown.status_code == 200
        assert "script-src 'self'" in shown.headers["content-security-policy"]
        assert browser.get("/v1/screen").status_code == 200
        no_origin = browser.post("/v1/sales", json=SALE)
        assert (no_origin.status_code, no_origin.json()["code"]) == (403, "origin_refused")
        ours = {"Origin": shop.server.url}
        assert browser.post("/v1/sales", json=SALE, headers=ours).status_code == 201
        no_link = browser.post("/v1/page-links", headers=ours)
        assert no_link.json()["code"] == "token_missing"
    with page_client(shop) as second:
        again = second.get(path)
        assert (again.status_code, again.json()["code"]) == (401, "link_spent")


def test_links_and_cookies_end(test_time):
    doors = Doors(TOKEN, test_time.clock())
    links = [doors.new_link() for _ in range(LINKS_MAX + 1)]
    assert doors.open_link(links[0]) is None  # forgotten for the newest
    cookie = doors.open_link(links[1])
    assert doors.is_cookie(cookie)
    assert not doors.is_cookie(cookie[:-1] + ("0" if cookie[-1] != "0" else "1"))
    later = f"{int(cookie.split('.')[0]) + 1}." + cookie.split(".", 1)[1]
    assert not doors.is_cookie(later)
    assert not Doors("u" * 43, test_time.clock()).is_cookie(cookie)
    test_time.forward(LINK_SECONDS)
    assert doors.open_link(links[2]) is None
    test_time.forward(COOKIE_SECONDS)
    assert not doors.is_cookie(cookie)


def test_the_token_is_made_once_and_is_private(tmp_path):
    token = load_or_make_token(tmp_path)
    path = tmp_path / "local_token"
    assert load_or_make_token(tmp_path) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["local_token"]
    path.chmod(0o640)
    with pytest.raises(TerminalFault, match="key_exposed"):
        load_or_make_token(tmp_path)
    path.chmod(0o600)
    path.write_text("short")
    with pytest.raises(TerminalFault, match="state_damaged"):
        load_or_make_token(tmp_path)


def test_the_settings_do_not_tell_the_token():
    assert TOKEN not in repr(LocalSettings(port=1, token=TOKEN, clock=Clock()))
    with pytest.raises(ValueError, match="32"):
        LocalSettings(port=1, token="short")


def test_it_listens_on_the_loopback_alone(shop):
    assert shop.server._listener.getsockname()[0] == "127.0.0.1"
    with pytest.raises(TerminalFault, match="state_unusable"):
        bind(shop.server.port)
    with (
        pytest.raises(ConnectionRefusedError),
        socket.create_connection(("127.0.0.2", shop.server.port), 1),
    ):
        pass


def test_every_file_of_the_page_is_served(shop, http):
    on_disk = {file.name for file in PAGE.iterdir() if file.is_file()}
    assert on_disk == {*FILES, "index.html", "shut.html"}
    for name in FILES:
        assert http.get(f"/page/{name}").status_code == 200
    assert http.get("/page/index.html").status_code == 404
    assert http.get("/page/..%2Ftoken.py").status_code == 404


def test_it_serves_until_it_is_stopped(shop):
    """Goal: what the command line calls: a page link before the first request, and an end."""
    ready: queue.Queue[LocalServer] = queue.Queue()
    thread = threading.Thread(
        target=serve, args=(shop.till, TOKEN), kwargs={"port": 0, "on_ready": ready.put}
    )
    thread.start()
    server = ready.get(timeout=10)
    with httpx.Client(timeout=10, trust_env=False) as browser:
        assert browser.get(server.page_url(), follow_redirects=True).status_code == 200
    server.stop()
    thread.join(10)
    assert not thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), 1)


def test_a_slow_body_is_given_up(shop, monkeypatch):
    monkeypatch.setattr("reader_bridge.local.guard.BODY_SECONDS", 0.05)
    head = f"POST /v1/sales HTTP/1.1\r\nHost: 127.0.0.1:{shop.server.port}\r\nContent-Length: 9\r\n"
    with socket.create_connection(("127.0.0.1", shop.server.port), 10) as slow:
        slow.sendall(head.encode() + b"\r\n{")
        assert b"body_too_slow" in b"".join(iter(lambda: slow.recv(4096), b""))
