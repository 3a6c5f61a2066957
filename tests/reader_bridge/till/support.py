"""An acceptor around the real terminal and a fake backend, with scripted accidents."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from reader_bridge import Receipt, TerminalFault
from reader_bridge.acceptance.order import Order, OrderKind
from reader_bridge.clock import Clock
from reader_bridge.faults import ReaderFault
from reader_bridge.loads import LoadPause, LoadStage, LoadTold
from reader_bridge.readers.event_values import CardArrived, Event
from reader_bridge.readers.events import Pace
from reader_bridge.readers.port import CardChannel
from reader_bridge.receipt import Heading, Outcome
from reader_bridge.terminal import Terminal
from reader_bridge.till import Post, Screen, Stage, Till

PACE = Pace(look_seconds=0.02, held_look_seconds=0.02, pause_seconds=0.01)
SOON_SECONDS = 10.0
HEADING = Heading("老街面馆", "一号店", "00010001", "zh-CN")


@dataclass
class HeldReader:
    """A reader at which the card already lies: what the terminal of today wants."""

    channel: CardChannel
    name: str

    def wait_for_card(self, timeout_seconds: float) -> CardChannel:
        return self.channel

    def close(self) -> None:
        self.channel.close()


Accident = Callable[[Order, CardChannel], Receipt | None]


@dataclass
class TerminalAcceptor:
    """`accidents` happen to the next taps, one each; afterwards everything is well."""

    terminal: Terminal
    accidents: list[Accident] = field(default_factory=list)
    code_accidents: list[Callable[[Order], Receipt | None]] = field(default_factory=list)
    taps: int = 0
    stands_at: Post | None = None  # in place of what the profile says

    def tap(self, order: Order, channel: CardChannel, reader_name: str) -> Receipt:
        self.taps += 1
        if self.accidents and (receipt := self.accidents.pop(0)(order, channel)) is not None:
            return receipt
        if order.kind is not OrderKind.SALE or order.amount_fen is None:
            raise TerminalFault("profile_missing")
        return self.terminal.sell(
            order.amount_fen,
            register_reference=order.reference,
            reader=HeldReader(channel, reader_name),
        )

    def code(self, order: Order, payload: bytes) -> Receipt:
        if self.code_accidents and (receipt := self.code_accidents.pop(0)(order)) is not None:
            return receipt
        assert order.amount_fen is not None
        return self.terminal.sell(
            order.amount_fen, register_reference=order.reference, pay_code=payload.decode()
        )

    def post(self) -> Post:
        return self.stands_at or self.terminal.post()

    def ask_again(self, register_reference: str) -> Receipt:
        return self.terminal.ask_again(register_reference)

    def refund(
        self,
        register_reference: str,
        amount_fen: int,
        *,
        refund_reference: str,
        reason: str = "refund",
    ) -> Receipt:
        return self.terminal.refund(
            register_reference, amount_fen, refund_reference=refund_reference, reason=reason
        )

    def reverse(self, register_reference: str) -> Receipt:
        return self.terminal.reverse(register_reference)


def torn(order: Order, channel: CardChannel) -> None:
    """The card leaves after INITIALIZE and before the answer to DEBIT."""
    channel.transmit(bytes.fromhex("805001020B0100000001010203040506 0F".replace(" ", "")))
    channel.close()
    raise ReaderFault("debit_unknown")


def load_receipt(order: Order, stage: LoadStage) -> Receipt:
    """What the terminal says of a load of a card with 12.50 yuan on it."""
    assert order.amount_fen is not None
    assert order.funding is not None
    outcome = {LoadStage.CONFIRMED: Outcome.LOADED, LoadStage.RETURNED: Outcome.RETURNED}[stage]
    after_fen = 1_250 + order.amount_fen if outcome is Outcome.LOADED else 1_250
    return Receipt(
        HEADING,
        outcome,
        order.amount_fen,
        order.reference,
        method="purse",
        application="MOT_T_EP",
        balance_fen=after_fen,
        load=LoadTold("lod_1", order.funding, stage, 1_250),
        steps=(("select_application", 1.2), ("credit", 18.4), ("confirm", 41.0)),
    )


def loaded(order: Order, channel: CardChannel) -> Receipt:
    return load_receipt(order, LoadStage.CONFIRMED)


def given_back(order: Order, channel: CardChannel) -> Receipt:
    return load_receipt(order, LoadStage.RETURNED)


def torn_load(order: Order, channel: CardChannel) -> None:
    """The card leaves between CREDIT and its answer."""
    channel.transmit(bytes.fromhex("8050000200"))
    raise ReaderFault("credit_unknown")


def wants(code: str) -> Accident:
    """The load asks for something more."""

    def asking(order: Order, channel: CardChannel) -> None:
        raise LoadPause(code)

    return asking


def passed(amount_fen: int, balance_fen: int | None = None) -> Accident:
    """A ride of this fare."""

    def riding(order: Order, channel: CardChannel) -> Receipt:
        return Receipt(
            HEADING,
            Outcome.ACCEPTED,
            amount_fen,
            order.reference,
            method="purse",
            application="MOT_T_EP",
            balance_fen=balance_fen,
        )

    return riding


def left_early(order: Order, channel: CardChannel) -> None:
    raise ReaderFault("card_removed")


@dataclass
class Pause:
    """Holds the acceptor at one place until the test lets it go on."""

    before: Callable[[CardChannel], None] = lambda channel: None
    after: Callable[[CardChannel], None] = lambda channel: None
    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def __call__(self, order: Order, channel: CardChannel) -> None:
        self.before(channel)
        self.reached.set()
        assert self.go_on.wait(SOON_SECONDS)
        self.after(channel)


@dataclass
class Slot:
    """A channel handed straight to the till, without a reader."""

    answers: Callable[[bytes], bytes]
    is_there: bool = True
    is_closed: bool = False

    def transmit(self, command: bytes) -> bytes:
        try:
            return self.answers(command)
        except ConnectionError:  # as at the loopback reader: torn away
            raise ReaderFault("card_removed") from None

    def is_present(self) -> bool:
        return self.is_there

    def wait_for_removal(self, timeout_seconds: float) -> bool:
        return not self.is_there

    def close(self) -> None:
        self.is_closed = True


class Hand:
    """Plays the reader set: events are what the test puts."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._changed = threading.Condition()

    def put(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def present(self, answers: Callable[[bytes], bytes]) -> Slot:
        slot = Slot(answers)
        self.put(CardArrived("counter", slot))
        return slot

    def next_event(self, timeout_seconds: float) -> Event | None:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._events), timeout_seconds)
            return self._events.pop(0) if self._events else None


def wait_for(till: Till, is_right: Callable[[Screen], bool]) -> Screen:
    """The first screen that is right; bounded by the number of changes and by time."""
    screen = till.screen()
    for _ in range(100):
        if is_right(screen):
            return screen
        newer = till.wait_screen(screen.version, SOON_SECONDS)
        assert newer is not None, f"it stayed {screen.stage} {screen.code}"
        screen = newer
    raise AssertionError("too many changes")


def wait_for_stage(till: Till, stage: Stage) -> Screen:
    return wait_for(till, lambda screen: screen.stage is stage)


def deny(command: bytes) -> bytes:
    """A card that knows no application."""
    return b"\x6a\x82"


def moving_clock() -> Clock:
    return Clock()
