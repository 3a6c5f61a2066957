"""The real city for phones in tests: backend, SQLite, demo data; its clock moves when told.

In this process without a socket, or served on loopback for phones in processes of their own.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from flask import Flask
from sqlalchemy import text
from werkzeug.serving import WSGIRequestHandler, make_server

from backend.app import Parts, create_public_app, open_parts
from backend.config import load_config
from backend.db import Which
from backend.demo import load_demo
from backend.kernel.clock import Clock, ManualClock
from sdk_mobile import Storage, Wallet
from tests.docs.city import BANK_CARD, CITIZEN

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
URL = "http://127.0.0.1"
SETTLE_ROUNDS_MAX = 20
LINES_PAGE = "200"


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Requests are no concern of the console."""


@dataclass(frozen=True, slots=True)
class RealCity:
    parts: Parts = field(repr=False)
    app: Flask = field(repr=False)
    shop_code: str  # 收款码 of a shop, static

    def last_code(self, phone: str) -> str:
        """The digits of the newest SMS."""
        self.parts.worker.deliver_due()
        (newest, *_) = self.parts.sms.messages(phone)
        found = re.search(r"\b\d{6}\b", newest.text)
        assert found, newest.text
        return found[0]

    def log_in(self, wallet: Wallet) -> None:
        phone = CITIZEN[0]
        wallet.request_login_code(phone)
        wallet.log_in(phone, self.last_code(phone))

    def set_up(self, wallet: Wallet, amount_fen: int, pass_time: Callable[[], object]) -> None:
        """Registered, a wallet with money, a card. `pass_time`: until the bank has settled."""
        self.log_in(wallet)
        wallet.register(*CITIZEN[1:])
        wallet.open_wallet()
        wallet.enrol_device("phone")
        wallet.provision_card()
        top_up = wallet.top_up(amount_fen, BANK_CARD)
        self.settle(wallet, (top_up.topup_id,), pass_time)

    def settle(
        self, wallet: Wallet, topup_ids: tuple[str, ...], pass_time: Callable[[], object]
    ) -> None:
        """Lets the bank do its work until each of these has succeeded."""
        for topup_id in topup_ids:
            for _ in range(SETTLE_ROUNDS_MAX):
                self.parts.worker.deliver_due()
                if wallet.top_up_status(topup_id).is_settled:
                    break
                pass_time()
            assert wallet.top_up_status(topup_id).state == "succeeded"

    def lines(self, wallet: Wallet) -> list[tuple[str, int]]:
        """Every line of the wallet as the ledger has it: operation, signed amount."""
        wallet_id = wallet.open_wallet().wallet_id
        found: list[tuple[str, int]] = []
        after: tuple[tuple[str, str], ...] = ()
        while True:
            path = f"/v1/me/wallets/{wallet_id}/lines"
            page = wallet._sessions.get(path, ("limit", LINES_PAGE), *after)
            data = page["data"]
            assert isinstance(data, list)
            found += [(line["reference"], line["amount_fen"]) for line in data]
            if page["next"] is None:
                return found
            after = (("after", str(page["next"])),)


@contextmanager
def real_city(folder: Path, clock: Clock | None = None) -> Iterator[RealCity]:
    """As `make run` makes it, without the story."""
    config = load_config({"CITY_VAR": str(folder)})
    parts = open_parts(config, make=True, clock=clock)
    try:
        parts.wallets.open_house()
        load_demo(config, parts)
        shop_id = _some_shop(parts)
        code = parts.merchant_codes.make_for_shop(shop_id).content
        yield RealCity(parts, create_public_app(parts), code)
    finally:
        parts.databases.close()


def phone_of(
    city: RealCity,
    storage: Storage,
    clock: ManualClock,
    *,
    around: Callable[[httpx.BaseTransport], httpx.BaseTransport] = lambda inner: inner,
    ahead_seconds: Callable[[], float] = lambda: 0.0,
) -> Wallet:
    """A phone that talks to the application without a socket; its sleep moves the city's clock.

    `around` puts a network between them; `ahead_seconds` is how wrong the phone's clock is.
    """

    def phone_seconds() -> float:
        return clock.now().timestamp() + ahead_seconds()

    dated = DatedTransport(httpx.WSGITransport(city.app, raise_app_exceptions=False), clock)
    return Wallet(
        URL,
        storage,
        language="en",
        http=httpx.Client(transport=around(dated), trust_env=False),
        clock=phone_seconds,
        sleep=lambda seconds: clock.advance(timedelta(seconds=seconds)),
    )


class DatedTransport(httpx.BaseTransport):
    """What a web server adds: the Date of each answer, here by the city's clock."""

    def __init__(self, inner: httpx.BaseTransport, clock: Clock) -> None:
        self._inner, self._clock = inner, clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        now = self._clock.now()
        response.headers["Date"] = f"{now:%a, %d %b %Y %H:%M:%S} GMT"
        return response

    def close(self) -> None:
        self._inner.close()


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """The application on a free loopback port for as long as the block runs."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def _some_shop(parts: Parts) -> str:
    question = text("SELECT shop_id FROM shop ORDER BY shop_id LIMIT 1")
    (row,) = parts.units.ask(Which.BUSINESS, question)
    return str(row.shop_id)
