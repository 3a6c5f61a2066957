"""The pages of a month and of a receipt in a browser: on a phone, and printed on A4."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from statement_world import Books, Move, utc
from werkzeug.serving import make_server

from backend.config import load_config
from backend.db import Databases, OutboxWorker, Units, open_databases
from backend.kernel import ManualClock
from backend.portal import Portal
from backend.portal import api as portal_api
from backend.wallet import Ledger, Limits, Proof
from backend.wallet.bank import SandboxBank
from backend.web.services import provide
from tests.backend.portal.test_portal_browser import PHONE, SCREENS, Watch
from tests.backend.wallet.statements.conftest import Headers
from tests.support.databases import sqlite_urls

pytestmark = pytest.mark.browser

SHOPS = ("湾区便利店", "澄江公交 12 路", "Chengjiangwan Metro, a very long name of a station hall")
A4 = {"width": 680, "height": 1009}
"""What is left of A4 within the margins, at 96 pixels an inch."""

WIDTH = "document.documentElement.scrollWidth"
FONT = "parseFloat(getComputedStyle(document.body).fontSize)"


@pytest.fixture
def databases(sqlite_template: Path, tmp_path: Path) -> Iterator[Databases]:
    """SQLite only: a browser sees no difference between the engines."""
    folder = tmp_path / "databases"
    shutil.copytree(sqlite_template, folder)
    opened = open_databases(sqlite_urls(folder))
    yield opened
    opened.close()


@pytest.fixture
def address(app: Flask, units: Units, clock: ManualClock, tmp_path: Path) -> Iterator[str]:
    """The public network on the loopback, with the city's colours."""
    bank = SandboxBank(tmp_path / "bank.db", clock, lambda data: b"m" * 32)
    portal = Portal(
        city=load_config({}).city,
        story_path=tmp_path / "story.json",
        public_url="",
        internal_url="",
        units=units,
        worker=OutboxWorker(units, {}),
        proof=Proof(units, Ledger(Limits([])), bank),
    )
    provide(app, portal)
    app.register_blueprint(portal_api.blueprint)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.fixture
def filled(books: Books, wallet_id: str) -> str:
    """A month of thirty lines, with amounts short and long."""
    begin = utc("2026-10-01T08:00:00+08:00")
    books.post(
        Move(wallet_id, 123_456_789, begin, memo="····4560"),
        *(
            Move(wallet_id, -(7 ** (number % 7)) * 10, begin + timedelta(hours=23 * number),
                 memo=SHOPS[number % 3], operation_id=f"pay_01h455vb4pex5vsknk084sn{number:03d}")
            for number in range(1, 30)
        ),
        Move(wallet_id, 70, utc("2026-10-31T09:00:00+08:00"), "reversal", SHOPS[0],
             "pay_01h455vb4pex5vsknk084sn001/reversal", "pay_01h455vb4pex5vsknk084sn001"),
    )  # fmt: skip
    return wallet_id


@pytest.fixture
def visit(
    browser: Any, address: str, filled: str, person_id: str, headers: Headers
) -> Iterator[Callable[..., Any]]:
    """Opens a page of the wallet as its holder's app would; nothing may go wrong in any."""
    contexts, watch = [], Watch()

    def open_page(path: str, **manner: Any) -> Any:
        context = browser.new_context(
            viewport=PHONE, device_scale_factor=2, extra_http_headers=headers(person_id), **manner
        )
        contexts.append(context)
        page = context.new_page()
        watch.over(page, address + "/")
        page.goto(f"{address}/v1/me/wallets/{filled}/{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert watch.wrong == []


def keep(page: Any, name: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / f"{name}.png", full_page=True)


def print_a4(page: Any, name: str) -> bytes:
    """The page as its PDF; kept, with a picture of it, for whoever wants to look."""
    page.set_viewport_size(A4)
    keep(page, name)
    made: bytes = page.pdf(prefer_css_page_size=True, path=SCREENS / f"{name}.pdf")
    return made


@pytest.mark.parametrize(("language", "scheme"), [("zh", "light"), ("en", "light"), ("zh", "dark")])
def test_a_month_on_a_phone(visit: Callable[..., Any], language: str, scheme: str) -> None:
    page = visit(f"statements/2026-10.html?lang={language}", color_scheme=scheme)
    keep(page, f"statement-{language}-{scheme}")
    assert page.text_content("h1") == {"zh": "账单", "en": "Statement"}[language]
    assert page.locator("tbody tr").count() == 31
    assert page.evaluate(WIDTH) <= PHONE["width"]
    assert page.evaluate(FONT) >= 18
    what, amount = (page.locator(f"tbody tr:nth-child(4) .{name}") for name in ("what", "amount"))
    assert abs(what.bounding_box()["y"] - amount.bounding_box()["y"]) < 20  # side by side


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_receipt_on_a_phone(visit: Callable[..., Any], language: str) -> None:
    page = visit(f"lines/31/receipt.html?lang={language}")
    keep(page, f"receipt-{language}")
    assert page.text_content(".sum") == f"+0.70 {'元' if language == 'zh' else 'yuan'}"
    assert page.evaluate(WIDTH) <= PHONE["width"]
    assert page.locator(".facts dt").count() == 9


@pytest.mark.parametrize(
    "path", ["statements/2026-10.html?lang=zh", "lines/31/receipt.html?lang=zh"]
)
def test_printed_it_is_black_on_white(visit: Callable[..., Any], path: str) -> None:
    page = visit(path, color_scheme="dark")
    page.emulate_media(media="print")
    for element in ("body", "h1", "dt", "dd"):
        style = f"getComputedStyle(document.querySelector('{element}'))"
        assert page.evaluate(f"{style}.color") == "rgb(0, 0, 0)", element
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    name = f"printed-{'receipt' if 'receipt' in path else 'statement'}"
    printed = print_a4(page, name)
    assert page.evaluate(WIDTH) <= A4["width"]
    assert re.findall(rb"/MediaBox \[0 0 (594|595)", printed)  # 210 mm in points
    assert re.findall(rb"/Count (\d+)", printed) == [b"1" if "receipt" in path else b"2"]
