"""A loading post at a real city: real purse in software, real backend, and a hand that can kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import text

from backend.cards import ChangePurse, PurseEvent, PurseMacs, RegisterPurse
from backend.db import Which
from backend.kernel import new_id
from backend.merchants import AddTerminal
from card_protocol.epurse.suites import DES3
from hce.applets.epurse.applet import EpurseApplet
from hce.applets.epurse.state import PurseState
from hce.card import Card
from hce.purse_profile import PLASTIC_MAIN, key_names, personalise
from hce.purse_store import MemoryPurseStore
from reader_bridge import Order, OrderKind, Receipt, Terminal
from reader_bridge.loads import Funding
from reader_bridge.readers.loopback import LoopbackReader
from tests.backend.payments.offline_world import TextbookKeys
from tests.docs.city import City
from tests.hce.epurse_bench import KEYS, MANAGEMENT, PIN, PUBLIC, counting_random
from tests.reader_bridge.sam.examples import memory_sam
from tests.simulation.money_world import operation

ISSUER_ID = "01011000ffffffff"
START_FEN = 5_000
_numbers = count(1)


class Killed(BaseException):
    """The process ends here: nothing after it happens, and nothing is tidied up."""


@dataclass
class Killer:
    """Ends everything at step `at`, counted from 1; `names` is what was passed."""

    at: int | None = None
    names: list[str] = field(default_factory=list)

    def step(self, name: str) -> None:
        self.names.append(name)
        if self.at == len(self.names):
            raise Killed(name)


@dataclass
class Plastic:
    """A card of its own number, registered and active at the city; it survives every kill."""

    state: PurseState
    number: str
    store: MemoryPurseStore = field(init=False)
    random_bytes: Callable[[int], bytes] = field(default_factory=counting_random)

    def __post_init__(self) -> None:
        self.store = MemoryPurseStore(self.state)

    @property
    def balance_fen(self) -> int:
        return self.store.view().balance_fen

    def shown(self, killer: Killer | None = None, *, tear: str | None = None) -> Any:
        """`tear`: the hand leaves "before" or "after" CREDIT has worked."""
        card = Card([EpurseApplet(self.store, random_bytes=self.random_bytes)])
        card.power_on()

        def transmit(command: bytes) -> bytes:
            is_credit = command[:2] == b"\x80\x52"
            if killer is not None:
                killer.step(f"before {command[:2].hex()}")
            if is_credit and tear == "before":
                raise ConnectionError
            answer = card.transmit(command)
            if is_credit and tear == "after":
                raise ConnectionError
            if killer is not None:
                killer.step(f"after {command[:2].hex()}")
            return answer

        return transmit


def make_plastic(city: City, **rules: Any) -> Plastic:
    """A new card with 50 yuan, known to the city as active."""
    number = f"0310517007{next(_numbers):010d}"
    public = replace(PUBLIC, serial=bytes.fromhex(number))
    profile = replace(PLASTIC_MAIN, keys=key_names(DES3.algorithm, 1))
    if rules:
        profile = replace(profile, rules=replace(profile.rules, **rules))
    state = personalise(
        profile, public, MANAGEMENT, derive=lambda name, _: KEYS[name.kind], pin=PIN
    )
    purses = city.parts.purses
    purses.register(RegisterPurse(number, ISSUER_ID, 0, 1, "main_card", "stf_1"), operation())
    purses.change(ChangePurse(number, PurseEvent.ACTIVATE, "handed out", "stf_1"), operation())
    return Plastic(replace(state, balance_fen=START_FEN), number)


def use_textbook_keys(city: City) -> None:
    """The city's issuer has the keys of the textbook's cards, and one agent takes cash."""
    macs = PurseMacs(TextbookKeys())  # type: ignore[arg-type]
    object.__setattr__(city.parts.loads, "macs", macs)
    rows = city.parts.units.ask(Which.BUSINESS, text("SELECT merchant_id FROM shop LIMIT 1"))
    object.__setattr__(city.parts.loads, "agents", frozenset(row[0] for row in rows))


def activate(city: City, folder: Path) -> None:
    ((shop_id,),) = city.parts.units.ask(Which.BUSINESS, text("SELECT shop_id FROM shop LIMIT 1"))
    terminal = AddTerminal(new_id("trm"), shop_id, "loads")
    ordered = city.parts.shops.add_terminal(terminal)
    Terminal.activate(folder, city.public, ordered.activation_code).close()
    with Terminal.open(folder) as opened:
        opened.refresh()


@contextmanager
def mortal(folder: Path, killer: Killer | None = None) -> Iterator[Terminal]:
    """The terminal as a process: it ends by `Killed` anywhere, and nothing is flushed then."""
    terminal = Terminal.open(folder, sam=memory_sam())
    if killer is not None:
        _watch(terminal, killer)
    try:
        yield terminal
    finally:
        terminal.close()  # SQLite has no state of ours in memory: what was not committed is gone


def _watch(terminal: Terminal, killer: Killer) -> None:
    send, database = terminal.client._send, terminal.journal.database
    once = database._once

    def watched_send(request: Any, deadline: float) -> Any:
        killer.step(f"before {request.method} {request.url.path.rpartition('/')[2][:8]}")
        answer = send(request, deadline)
        killer.step("after the answer")
        return answer

    def watched_once(act: Any) -> Any:
        killer.step("before a write")
        done = once(act)
        killer.step("after a write")
        return done

    terminal.client._send = watched_send  # type: ignore[method-assign]
    database._once = watched_once  # type: ignore[method-assign]


def load_order(
    reference: str, amount_fen: int, funding: Funding = Funding.CASH, **more: Any
) -> Order:
    return Order(OrderKind.LOAD, reference, amount_fen, funding, **more)


def tap(terminal: Terminal, order: Order, transmit: Any) -> Receipt:
    channel = LoopbackReader(transmit).wait_for_card(0)
    assert channel is not None
    return terminal.tap(order, channel, "counter")


@dataclass(frozen=True)
class Books:
    """What the city says of one card."""

    city: City
    number: str

    def states(self) -> dict[str, str]:
        """Load id -> state."""
        rows = self.city.parts.units.ask(
            Which.LEDGER,
            text("SELECT load_id, state FROM purse_load WHERE purse_number = :number").bindparams(
                number=self.number
            ),
        )
        return {row[0]: row[1] for row in rows}

    def in_transit_fen(self) -> int:
        return self.city.parts.purse_books.figures(self.number).in_transit_fen

    def float_fen(self) -> int:
        return self.city.parts.purse_books.figures(self.number).book_fen
