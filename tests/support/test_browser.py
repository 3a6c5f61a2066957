"""Chromium through playwright: a page with Chinese text, from the loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

PAGE = '<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>市民卡</title><h1>余额</h1>'


class OnePage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the test says what matters."""


@pytest.fixture
def page_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), OnePage) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join(10)


@pytest.mark.browser
def test_a_page_of_ours_is_shown(browser: Any, page_url: str) -> None:
    page = browser.new_page()
    page.goto(page_url)
    assert page.title() == "市民卡"
    assert page.text_content("h1") == "余额"
    assert len(page.screenshot()) > 1000
