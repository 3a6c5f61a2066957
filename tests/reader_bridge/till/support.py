"""An acceptor around the real terminal and a fake backend, with scripted accidents."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from reader_bridge import Receipt, TerminalFault
from reader_bridge.acceptance.order import Order, OrderKind
from reader_bridge.clock import Clock
from reader_bridge.faults import ReaderFault
from reader_bridge.readers.event_values import CardArrived, Event
from reader_bridge.readers.events import Pace
from reader_bridge.readers.port import CardChannel
from reader_bridge.receipt import Heading
from reader_bridge.terminal import Terminal
from reader_bridge.till import Screen, Stage, Till

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
    taps: int = 0

    def tap(self, order: Order, channel: CardChannel, reader_name: str) -> Receipt:
        self.taps += 1
        if self.accidents and (receipt := self.accidents.pop(0)(order, channel)) is not None:
            return receipt
        if order.kind is OrderKind.BALANCE or order.amount_fen is None:
            raise TerminalFault("profile_missing")
        return self.terminal.sell(
            order.amount_fen,
            register_reference=order.reference,
            reader=HeldReader(channel, reader_name),
        )

    def code(self, order: Order, payload: bytes) -> Receipt:
        assert order.amount_fen is not None
        return self.terminal.sell(
            order.amount_fen, register_reference=order.reference, pay_code=payload.decode()
        )

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
