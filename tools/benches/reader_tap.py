"""One offline tap of the joined terminal: presentation in, durable green light out.

Knows no pcscd and no watch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any, Final, cast

from typeid import TypeID

from card_protocol.deny_list import DenyList
from card_protocol.fares import MatrixFare
from card_protocol.place import Direction
from card_protocol.terminal_profile import Mode
from reader_bridge.acceptance import Acceptance, Order, OrderKind
from reader_bridge.acceptance.desk import Desk
from reader_bridge.acceptance.knowledge import Knowledge, Known
from reader_bridge.acceptance.line import Line
from reader_bridge.backend_client import BackendClient
from reader_bridge.clock import Clock
from reader_bridge.delivery import Delivery
from reader_bridge.journal import Journal
from reader_bridge.profile import SignedProfile
from reader_bridge.readers.port import CardChannel, Reader
from reader_bridge.receipt import Heading, Outcome
from reader_bridge.sam.port import Sam
from tools.benches.errors import BenchFailed
from tools.benches.reader_world import FARE_FEN

CARD_SECONDS: Final = 10.0
STATIONS: Final = ("0101", "0102")
METRO_FEN: Final = ((FARE_FEN, FARE_FEN), (FARE_FEN, FARE_FEN))


class _Nobody:
    """No backend: an offline tap that asks one is no offline tap."""

    def __getattr__(self, name: str) -> Any:
        raise BenchFailed(f"an offline tap wanted the backend: {name}")


@dataclass(frozen=True, slots=True)
class _Told:
    """As `Knowledge`: what the terminal knows, and it stays so."""

    now: Known


@dataclass(frozen=True, slots=True)
class Till:
    """What a terminal has when a card comes."""

    journal: Journal
    profile: SignedProfile
    deny_list: DenyList
    sam: Sam | None = None
    clock: Clock = field(default_factory=Clock)
    acceptance: Acceptance = field(init=False)

    def __post_init__(self) -> None:
        facts, clock = self.profile.facts, self.clock
        names = facts.merchant_name, facts.shop_name, facts.terminal_number
        delivery = Delivery(self.journal, cast("BackendClient", _Nobody()), clock)
        line = Line(clock.elapsed)
        desk = Desk(self.journal, delivery, clock, Heading(*names, "en"), line, lambda: None)
        told = cast("Knowledge", _Told(Known(self.profile, self.deny_list)))
        joined = Acceptance(desk, told, self.sam, lambda: facts, None)
        object.__setattr__(self, "acceptance", joined)


Tapping = Callable[[Till, Reader, Callable[[], None]], None]


def tap_once(till: Till, reader: Reader, show_green: Callable[[], None]) -> None:
    """The fare of the till's mode from the card in the field, as `Terminal.tap` takes it.

    `show_green` is called once, when it is durable. Raises BenchFailed, and what the bridge raises.
    """
    order = Order(OrderKind.SALE, str(TypeID(prefix="pay")))
    receipt = till.acceptance.tap(order, _channel(reader), reader.name)
    if receipt.outcome is not Outcome.ACCEPTED or receipt.is_repeated:
        why = receipt.outcome.value if receipt.refusal is None else receipt.refusal.code
        raise BenchFailed(f"an offline sale was not taken: {why}")
    show_green()


@dataclass(slots=True)
class MetroTaps:
    """A `Tapping`: one purse goes in and out of a metro, two records and the money each time."""

    _till: Till | None = None
    _gates: Iterator[Till] = field(default_factory=lambda: iter(()))

    def __call__(self, till: Till, reader: Reader, show_green: Callable[[], None]) -> None:
        if till is not self._till:
            self._till, self._gates = till, cycle(_gates_of(till))
        tap_once(next(self._gates), reader, show_green)


def _gates_of(till: Till) -> tuple[Till, Till]:
    profile = till.profile
    terms = replace(profile.terms, mode=Mode.GATE, fare=MatrixFare(STATIONS, METRO_FEN))
    ways = (Direction.IN, STATIONS[0]), (Direction.OUT, STATIONS[1])
    entry, leaving = (
        replace(profile, terms=terms, place=replace(profile.place, station=one, direction=way))
        for way, one in ways
    )
    return replace(till, profile=entry), replace(till, profile=leaving)


def _channel(reader: Reader) -> CardChannel:
    channel = reader.wait_for_card(CARD_SECONDS)
    if channel is None:
        raise BenchFailed("the reader shows no card")
    return channel
