"""A whole demo city in this process: both networks on loopback, the outbox delivered, one phone."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from backend.app import Parts, create_internal_app, create_public_app, open_parts
from backend.config import load_config
from backend.demo import load_demo
from sdk_mobile import MemoryStorage, Wallet

STOP_SECONDS = 10.0
BANK_CARD = "6222002015111100004"
CITIZEN = ("13800000001", "林晓岚", "999901198804120243")


class _Quiet(WSGIRequestHandler):
    """Requests are no concern of the console."""

    def log(self, type: str, message: str, *args: object) -> None:
        """Says nothing."""


@dataclass(frozen=True, slots=True)
class City:
    """A running city with demo data."""

    parts: Parts = field(repr=False)
    public: str
    internal: str

    def message_to(self, phone: str) -> str:
        """The newest SMS, once everything due was delivered."""
        self.parts.worker.deliver_due()
        (newest, *_) = self.parts.sms.messages(phone)
        return newest.text

    def make_phone(self, amount_fen: int) -> Wallet:
        """The demo citizen's phone, with money."""
        return make_phone(
            self.public, amount_fen, read_sms=self.message_to, settle=self.parts.worker.deliver_due
        )


def make_phone(
    url: str, amount_fen: int, *, read_sms: Callable[[str], str], settle: Callable[[], object]
) -> Wallet:
    """The demo citizen's phone: registered, a card on it, money in the wallet."""
    phone, name, id_number = CITIZEN
    wallet = Wallet(url, MemoryStorage(), language="en")
    wallet.request_login_code(phone)
    found = re.search(r"\b\d{6}\b", read_sms(phone))
    assert found
    wallet.log_in(phone, found[0])
    wallet.register(name, id_number)
    wallet.open_wallet()
    wallet.enrol_device("phone")
    wallet.provision_card()
    top_up = wallet.top_up(amount_fen, BANK_CARD)
    settle()
    assert wallet.wait_for_top_up(top_up.topup_id, STOP_SECONDS).state == "succeeded"
    return wallet


@contextmanager
def running_city(folder: Path, city_file: Path | None = None) -> Iterator[City]:
    """The city on SQLite under `folder`, as `make run` makes it, without the story.

    `city_file`: another city.toml, with its data beside it.
    """
    named = {} if city_file is None else {"CITY_CONFIG": str(city_file)}
    config = load_config({"CITY_VAR": str(folder), **named})
    parts = open_parts(config, make=True)
    with ExitStack() as exits:
        exits.callback(parts.databases.close)
        parts.wallets.open_house()
        load_demo(config, parts)
        public = exits.enter_context(_served(create_public_app(parts)))
        internal = exits.enter_context(_served(create_internal_app(parts)))
        yield City(parts, public, internal)


@contextmanager
def _served(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(STOP_SECONDS)
        server.server_close()
