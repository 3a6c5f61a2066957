"""The portal in a browser at phone width: nothing from elsewhere, nothing wrong in the console."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server

from backend.db import Databases, Which, open_databases
from tests.backend.portal.conftest import STORY

SCREENS = Path(__file__).resolve().parents[3] / "var" / "screens"
PHONE = {"width": 390, "height": 844}
TITLES = {"zh": "澄湾通", "en": "Chengwan Card"}
TOUCH_MIN_PIXELS = 24
"""WCAG 2.2, success criterion 2.5.8."""

pytestmark = pytest.mark.browser

Visit = Callable[..., Any]


@pytest.fixture
def databases(sqlite_template: Path, tmp_path: Path) -> Iterator[Databases]:
    """SQLite only: a browser sees no difference between the engines."""
    folder = tmp_path / "databases"
    shutil.copytree(sqlite_template, folder)
    opened = open_databases({which: f"sqlite:///{folder / which.value}.db" for which in Which})
    yield opened
    opened.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Flask], str]]:
    """Serves an application on the loopback; its address."""
    running = []

    def start(app: Flask) -> str:
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.fixture
def portal_url(public_app: Flask, serve: Callable[[Flask], str]) -> str:
    return serve(public_app)


@dataclass  # no slots: playwright hangs its own names on whoever listens
class Watch:
    """Writes down what goes wrong in pages of one origin."""

    wrong: list[str] = field(default_factory=list)

    def over(self, page: Any, origin: str) -> None:
        page.on("console", self.console)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("requestfailed", lambda asked: self.wrong.append(f"failed: {asked.url}"))
        page.on("request", lambda asked: self.request(asked, origin))
        page.on("response", self.response)

    def console(self, said: Any) -> None:
        if said.type in ("error", "warning"):
            self.wrong.append(said.text)

    def request(self, asked: Any, origin: str) -> None:
        if not asked.url.startswith((origin, "data:")):
            self.wrong.append(f"another origin: {asked.url}")

    def response(self, told: Any) -> None:
        if told.status >= 400:
            self.wrong.append(f"{told.status}: {told.url}")


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """Opens a page; at the end nothing may have gone wrong in any, or have left their origin."""
    contexts, watch = [], Watch()

    def open_page(address: str, **manner: Any) -> Any:
        context = browser.new_context(viewport=PHONE, device_scale_factor=2, **manner)
        contexts.append(context)
        page = context.new_page()
        watch.over(page, "/".join(address.split("/")[:3]) + "/")
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert watch.wrong == []


def keep_screen(page: Any, name: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / f"{name}.png", full_page=True)


def assert_fits(page: Any) -> None:
    """No sideways scrolling, and what is touched is large enough."""
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for link in page.locator("nav a, .links a, .phone").all():
        assert link.bounding_box()["height"] >= TOUCH_MIN_PIXELS


@pytest.mark.parametrize(("language", "scheme"), [("zh", "light"), ("en", "light"), ("zh", "dark")])
def test_the_portal_on_a_phone(
    portal_url: str, visit: Visit, write_story: Any, language: str, scheme: str
) -> None:
    write_story()
    page = visit(f"{portal_url}/?lang={language}", color_scheme=scheme)
    assert page.text_content("h1") == TITLES[language]
    assert page.locator(".step").count() == 3
    keep_screen(page, f"portal-{language}-{scheme}")
    assert_fits(page)


def test_the_story_grows_on_the_open_page(portal_url: str, visit: Visit, write_story: Any) -> None:
    """Goal: whoever watches needs no hand on the page, from before the first step to the end."""
    write_story(finished_at=None, ok=None, steps=[], total_milliseconds=None)
    page = visit(f"{portal_url}/?lang=zh")
    page.locator("#story .verdict-running").wait_for()
    keep_screen(page, "portal-running")
    write_story(finished_at=None, ok=None, steps=STORY["steps"][:2], total_milliseconds=None)
    page.locator(".step").nth(1).wait_for()
    write_story()
    page.locator("#story .verdict-passed").wait_for()
    assert page.locator(".step").count() == 3
    assert page.locator("#ledger .verdict-passed").count() == 2


def test_a_page_without_script_still_shows_the_story(
    portal_url: str, visit: Visit, write_story: Any
) -> None:
    write_story(finished_at=None, steps=STORY["steps"][:1])
    page = visit(portal_url + "/", java_script_enabled=False)
    assert page.locator(".step").count() == 1
    write_story()
    page.locator("#story .verdict-passed").wait_for(timeout=15_000)


def test_the_keyboard_reaches_the_content_first(portal_url: str, visit: Visit) -> None:
    page = visit(portal_url + "/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) != "none"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_internal_page_on_a_phone(
    language: str, internal_app: Flask, serve: Any, visit: Visit
) -> None:
    page = visit(f"{serve(internal_app)}/?lang={language}")
    keep_screen(page, f"internal-{language}")
    assert_fits(page)


def test_the_error_codes_on_a_phone(portal_url: str, visit: Visit) -> None:
    page = visit(portal_url + "/docs/errors#amount_invalid")
    assert page.locator("#amount_invalid").is_visible()
    keep_screen(page, "errors")
    assert_fits(page)


def test_the_api_document_opens(portal_url: str, visit: Visit) -> None:
    page = visit(portal_url + "/docs")
    page.locator("#swagger-ui .info").wait_for()
    keep_screen(page, "docs")
