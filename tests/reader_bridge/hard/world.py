"""A real city with a clock that is handed in: its backend over HTTP, phones, purses, terminals."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from flask import Flask
from sqlalchemy import func, select, text
from werkzeug.serving import make_server

from backend.app import Parts, create_public_app, open_parts
from backend.cards import ChangePurse, PurseEvent, RegisterPurse
from backend.config import load_config
from backend.db import METADATA, Which
from backend.demo import load_demo
from backend.kernel import ManualClock, new_id
from backend.keys import KeyRef, TacMac
from backend.merchants import AddTerminal, ChooseProfile
from backend.virtual_card import ChangeCard
from backend.wallet.ledger import reading
from card_protocol.epurse.commands import Debit
from reader_bridge import Order, OrderKind, Receipt, Terminal
from reader_bridge.clock import Clock
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.sam.port import Sam
from sdk_mobile import MemoryStorage, Wallet
from tests.docs.city import BANK_CARD, STOP_SECONDS, _Quiet
from tests.hce.epurse_bench import purse
from tests.reader_bridge.acceptance.rides_world import sam_of
from tests.reader_bridge.acceptance.world import PurseCard
from tests.reader_bridge.epurse.examples import dated
from tests.simulation.money_world import operation
from tools.story.instance import ROOT

START = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
NOWHERE = "http://127.0.0.1:9"
PURSE_ISSUER = "01011000ffffffff"
DAY_SECONDS = 86_400
CITIZENS = (
    ("13800000001", "林晓岚", "999901198804120243"),
    ("13800000002", "周致远", "999901197509231317"),
    ("13800000003", "苏念安", "99990119991130208X"),
)
# A bus for a week (profile three days, deny list two, then two more for purses and ride codes), and
# one that may take more than a ride code allows.
LINE = """
[[terminal_profiles]]
code = "line"
mode = "bus"
fare = {{ kind = "flat", amount_fen = 200 }}
purse_issuers = ["{issuer}"]
valid_seconds = 259200
deny_list_age_max_seconds = 172800
offline = {{ sale_max_fen = 500, card_sum_max_fen = 3000, card_count_max = 12, sum_max_fen = 10000, count_max = 40, age_max_seconds = 259200 }}
when_expired = {{ accepts = ["epurse", "ride_code"], sale_max_fen = 200, grace_seconds = 172800 }}

[[terminal_profiles]]
code = "dear"
mode = "bus"
fare = {{ kind = "flat", amount_fen = 2000 }}
offline = {{ sale_max_fen = 5000, card_sum_max_fen = 50000, card_count_max = 50, sum_max_fen = 100000, count_max = 400, age_max_seconds = 86400 }}

[[terminal_profiles]]
code = "dearer"
mode = "bus"
fare = {{ kind = "flat", amount_fen = 2001 }}
offline = {{ sale_max_fen = 5000, card_sum_max_fen = 50000, card_count_max = 50, sum_max_fen = 100000, count_max = 400, age_max_seconds = 86400 }}
"""  # noqa: E501 - a line of TOML is a line
CHANGES = {
    'issuer_id = "01010000FFFFFFFF"': f'issuer_id = "{PURSE_ISSUER}"',
    "\noffline_sale_max_fen = 3000": "\noffline_sale_max_fen = 5000",
    "\noffline_sum_max_fen = 6000": "\noffline_sum_max_fen = 1000000",
    "\nuses_max = 20": "\nuses_max = 10000",
    "card_sum_max_fen = 10000, card_count_max = 5": "card_sum_max_fen = 1000000, card_count_max = 1000",  # noqa: E501
}
COMPOUND_P1 = 0x03  # of INITIALIZE
Transmit = Callable[[bytes], bytes]
references = count(1)


def city_words() -> str:
    """The demo's city.toml: cards that may pay offline, shops and buses that take purses."""
    words = (ROOT / "city.toml").read_text(encoding="utf-8")
    for data in ("data/demo/persons.csv", "data/demo/merchants.toml"):
        words = words.replace(data, str(ROOT / data))
    for before, after in CHANGES.items():
        assert before in words, before
        words = words.replace(before, after)
    head = "# --- phone cards ---"
    assert head in words
    return words.replace(head, LINE.format(issuer=PURSE_ISSUER) + head)


@dataclass
class Box:
    """A terminal and the hands at it. `url` may be changed: another network, or none."""

    terminal: Terminal
    folder: Path
    clock: Clock

    def tap(self, card: Transmit, fen: int | None = None, reference: str = "") -> Receipt:
        channel = LoopbackReader(card).wait_for_card(0)
        assert channel is not None
        return self.terminal.tap(self._order(fen, reference), channel, "loopback")

    def code(self, payload: bytes, fen: int | None = None, reference: str = "") -> Receipt:
        return self.terminal.code(self._order(fen, reference), payload)

    def wire(self, url: str) -> None:
        self.terminal.client._http.close()
        self.terminal.client._http = httpx.Client(base_url=url, trust_env=False)

    def waiting(self) -> list[str]:
        return [one.draft.entry_id for one in self.terminal.journal.to_upload(10_000)]

    def _order(self, fen: int | None, reference: str) -> Order:
        """A place with a fare of its own asks no amount of anybody."""
        has_fare = self.terminal.post().fare_fen is not None
        return Order(OrderKind.SALE, reference or f"T{next(references)}", None if has_fare else fen)


@dataclass
class Plastic:
    """A registered purse of this city; its TAC by the city's own key for this chip."""

    parts: Parts = field(repr=False)
    number: str
    card: PurseCard

    @property
    def balance_fen(self) -> int:
        return self.card.balance_fen

    def shown(self, tear: str | None = None) -> Transmit:
        transmit, told = self.card.shown(tear=tear), [b""]

        def transmitting(command: bytes) -> bytes:
            answer = transmit(command)
            if command[:2] == b"\x80\x50":
                kind = 9 if command[2] == COMPOUND_P1 else 6
                told[0] = command[6:10] + bytes((kind,)) + command[10:16]  # amount, SAM
            if command[:2] != b"\x80\x54" or len(answer) < 10:
                return answer
            debit = Debit.decode(command[5:20])
            proven = told[0] + debit.terminal_serial + debit.moment
            how = TacMac((bytes.fromhex(self.number)[-8:],))
            return self.parts.keys.derive_and_mac(KeyRef.TAC_3DES, how, proven, 1) + answer[4:]

        return transmitting


@dataclass
class Town:
    """Everything of one city; time moves when a test moves it, and never back."""

    parts: Parts = field(repr=False)
    clock: ManualClock
    url: str
    _sams: dict[Path, Sam] = field(default_factory=dict, repr=False)
    _sam_numbers: Iterator[int] = field(default_factory=lambda: count(1), repr=False)
    _purses: Iterator[int] = field(default_factory=lambda: count(4_791_400))

    def now(self) -> float:
        return self.clock.now().timestamp()

    def forward(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    def clock_of(self, ahead: Callable[[], float] = lambda: 0.0) -> Clock:
        """A terminal's clock; `ahead`: how wrong its wall clock is now, in seconds."""
        return Clock(
            unix_now=lambda: self.now() + ahead(),
            elapsed=self.now,
            sleep=self.forward,
            jitter=lambda: 0.5,
            random_bytes=secrets.token_bytes,
        )

    @contextmanager
    def box(
        self, folder: Path, profile: str, ahead: Callable[[], float] = lambda: 0.0
    ) -> Iterator[Box]:
        """A fresh terminal that has just refreshed what it knows."""
        shop_id = self.parts.units.ask(Which.BUSINESS, text("SELECT shop_id FROM shop LIMIT 1"))
        command = AddTerminal(new_id("trm"), next(iter(shop_id))[0], "bus")
        ordered = self.parts.shops.add_terminal(command)
        clock = self.clock_of(ahead)
        Terminal.activate(folder, self.url, ordered.activation_code, clock=clock).close()
        chosen = ChooseProfile(command.terminal_id, profile)
        self.parts.terminal_profiles.choose(chosen, operation())
        self._sams[folder] = sam_of(next(self._sam_numbers))
        with self.opened(folder, clock) as box:
            box.terminal.refresh()
            yield box

    @contextmanager
    def opened(self, folder: Path, clock: Clock | None = None) -> Iterator[Box]:
        """A terminal of this folder, opened (once more). A copied folder has the newest SAM."""
        clock = clock or self.clock_of()
        sam = self._sams.get(folder) or list(self._sams.values())[-1]
        with Terminal.open(folder, clock=clock, sam=sam) as terminal:
            yield Box(terminal, folder, clock)

    def phone(self, citizen: int, fen: int) -> Wallet:
        """A citizen's new phone with a card on it; the wallet holds `fen` more than before."""
        number, name, id_number = CITIZENS[citizen]
        phone = Wallet(self.url, MemoryStorage(), language="en", clock=self.now, sleep=self.forward)
        self.forward(120)  # codes by SMS are not sent one after the other
        phone.request_login_code(number)
        self.parts.worker.deliver_due()
        (newest, *_) = self.parts.sms.messages(number)
        found = re.search(r"\b\d{6}\b", newest.text)
        assert found
        phone.log_in(number, found[0])
        phone.register(name, id_number)
        phone.open_wallet()
        phone.enrol_device("phone")
        phone.provision_card()
        top_up = phone.top_up(fen, BANK_CARD)
        self.forward(60)
        self.parts.worker.deliver_due()
        assert phone.wait_for_top_up(top_up.topup_id, STOP_SECONDS).state == "succeeded"
        return phone

    def plastic(self, balance_fen: int) -> Plastic:
        serial = bytes.fromhex(f"0310517007010{next(self._purses)}")
        number, staff = serial.hex(), "stf_1"
        self.parts.purses.register(
            RegisterPurse(number, PURSE_ISSUER, 0, 1, "main_card", staff), operation()
        )
        change = ChangePurse(number, PurseEvent.ACTIVATE, "handed out", staff)
        self.parts.purses.change(change, operation())
        state = dated(purse(balance_fen=balance_fen), serial=serial, start=b"\x20\x19\x07\x18")
        return Plastic(self.parts, number, PurseCard(state))

    def report_loss(self, phone: Wallet) -> None:
        """At the call centre: the phone is not asked."""
        command = ChangeCard(phone.person().person_id, phone.phone_card().token_id)
        self.parts.cards.report_loss(command, operation())

    def kinds(self) -> Mapping[str, int]:
        """What the city owes by kind of account, in fen; what it has is negative."""
        with self.parts.units.read(Which.LEDGER) as work:
            return dict(reading.totals(work).by_kind)

    def moved(self, before: Mapping[str, int], kind: str) -> int:
        """What a kind of account has more than `before`, in fen."""
        return self.kinds().get(kind, 0) - before.get(kind, 0)

    def paid_fen(self) -> int:
        """What all merchants have been paid so far."""
        return self.kinds().get("merchant_payable", 0)

    def postings(self) -> int:
        """How many lines the ledger has."""
        rows = METADATA[Which.LEDGER].tables["posting"]
        with self.parts.units.read(Which.LEDGER) as work:
            return int(work.execute(select(func.count()).select_from(rows)).scalar_one())


@contextmanager
def running_town(folder: Path) -> Iterator[Town]:
    """On SQLite under `folder`. Its answers carry the time of the handed-in clock."""
    (folder / "city.toml").write_text(city_words(), encoding="utf-8")
    settings = {"CITY_VAR": str(folder / "var"), "CITY_CONFIG": str(folder / "city.toml")}
    clock, config = ManualClock(START), load_config(settings)
    parts = open_parts(config, make=True, clock=clock)
    with ExitStack() as exits:
        exits.callback(parts.databases.close)
        parts.wallets.open_house()
        load_demo(config, parts)
        url = exits.enter_context(_served(create_public_app(parts), clock))
        yield Town(parts, clock, url)


@contextmanager
def _served(app: Flask, clock: ManualClock) -> Iterator[str]:
    class Dated(_Quiet):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(clock.now(), usegmt=True)

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Dated)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(STOP_SECONDS)
        server.server_close()


def card_of(phone: Wallet) -> Any:
    """The phone held to a reader; powered for one tap."""
    card = phone.card()
    card.power_on()
    return card.transmit
