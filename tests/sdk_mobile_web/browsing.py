"""The wallet in Chromium: pages of one browser, and the server they come from."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.sdk_mobile.fake_server import ServedBackend, _Handler, _Server
from tests.sdk_mobile_web.driving import HERE, WEB, PageRefused

POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; worker-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SHELL = ("/app/", "/app/shell.js", "/app/commands.js")
WORKER = f"/service-worker.js?sdk=/sdk/&shell={','.join(SHELL)}&release=1"
TYPES = {".js": "text/javascript", ".html": "text/html; charset=utf-8"}
STOP_SECONDS = 5.0


def find_file(path: str) -> Path | None:
    """The file behind a path of the page's server."""
    named = {
        "/app/": HERE / "shell" / "index.html",
        "/app/shell.js": HERE / "shell" / "shell.js",
        "/app/commands.js": HERE / "commands.mjs",
        "/service-worker.js": WEB / "service-worker.js",
    }
    if path.startswith("/sdk/"):
        module = WEB / Path(path).name
        return module if module.exists() else None
    return named.get(path)


def headers_of(file: Path) -> dict[str, str]:
    kind = TYPES[".js" if file.suffix == ".mjs" else file.suffix]
    return {"Content-Type": kind, "Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}


class PageHandler(_Handler):
    """The page's files beside the fake backend's API, from one origin."""

    def do_GET(self) -> None:
        file = find_file(urlsplit(self.path).path)
        if file is None:
            self._serve()
            return
        body = file.read_bytes()
        self.send_response_only(200)
        for name, value in headers_of(file).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving_page(backend: ServedBackend) -> Iterator[str]:
    """URL of page and API on a free loopback port for as long as the block runs."""
    handler = type("Handler", (PageHandler,), {"backend": backend, "wbufsize": -1})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(STOP_SECONDS)


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab with the shell in it; its commands are those of `driving.Page`."""

    page: Any = field(repr=False)

    @classmethod
    def open(cls, context: Any, url: str) -> Tab:
        tab = cls(context.new_page())
        tab.page.goto(f"{url}/app/")
        tab.wait()
        return tab

    def wait(self) -> None:
        """Until the wallet is open."""
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def call(self, name: str, *given: object) -> Any:
        """The result; raises PageRefused."""
        self.begin(name, *given)
        return self.end()

    def begin(self, name: str, *given: object) -> None:
        """Starts a command and does not wait for it; `end` does."""
        asked = {"call": name, "given": list(given)}
        self.page.evaluate("(asked) => { globalThis.begun = run(asked); }", asked)

    def end(self) -> Any:
        told = self.page.evaluate("() => globalThis.begun")
        if refused := told.get("refused"):
            raise PageRefused(refused["name"], refused["code"], refused["data"])
        return told["result"]
