"""One order at a time at a terminal: starts, cancels, times out, shows; knows no HTTP."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from typeid import TypeID

from reader_bridge.acceptance.order import Order, OrderKind
from reader_bridge.amounts import require_amount
from reader_bridge.clock import Clock
from reader_bridge.faults import TerminalFault
from reader_bridge.loads.values import TO_TELL, Funding
from reader_bridge.receipt import Receipt
from reader_bridge.till.desk import Desk, Timings, left_code
from reader_bridge.till.faults import MESSAGES, TillFault
from reader_bridge.till.model import TORN, Result, ResultState, Screen, result_of
from reader_bridge.till.orders import Active, is_final, require_same
from reader_bridge.till.ports import Acceptor, Events
from reader_bridge.till.post import Post
from reader_bridge.till.worker import Worker

__all__ = ["Standing", "Till", "Timings"]

CLOSE_SECONDS: Final = 90.0  # longer than a tap and its wait for the backend
WAIT_SECONDS_MAX: Final = 60.0
STANDING_PREFIX: Final = "tap"
PIN_WANTED: Final = frozenset({"load_pin_wanted", "load_pin_wrong"})
_REFERENCE = re.compile(r"[!-~\u0080-\uffff]{1,64}")


@dataclass(frozen=True, slots=True)
class Standing:
    """A validator: every card pays, and nobody presses a key.

    `next_reference` gives a new reference each time, never one used before. `amount_fen` None is
    the flat fare of the terminal's profile.
    """

    amount_fen: int | None
    next_reference: Callable[[], str]
    full_fare_fen: int | None = None


class Till:
    """Serves orders from one stream of events; use as a context, or `close` it.

    All methods may be called from any thread. Faults: TerminalFault (with TillFault), and from
    refund, reverse and last_result what the acceptor raises. The reader set and the acceptor stay
    their owner's to close, after the till.
    """

    def __init__(
        self,
        acceptor: Acceptor,
        reader_set: Events,
        clock: Clock,
        *,
        timings: Timings | None = None,
        standing: Standing | None = None,
    ) -> None:
        self._acceptor, self._clock, self._timings = acceptor, clock, timings or Timings()
        self._standing = standing
        self._starting = threading.Lock()  # one start at a time: it may ask the journal
        self._moving = threading.Lock()  # one refund or reversal at a time
        self._desk = Desk(clock.elapsed, self._timings)
        self._worker = Worker(self._desk, acceptor, reader_set, self._timings, self._stand)
        self._worker.start()

    def __enter__(self) -> Till:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancels what can be cancelled and waits for the tap under way.

        Raises RuntimeError when the acceptor does not come back.
        """
        with self._desk.changed:
            self._desk.is_closed = True
            self._desk.changed.notify_all()
            active = self._desk.active
        if active is not None:
            with suppress(TerminalFault):
                self.cancel(active.order.reference)
        self._worker.stop(CLOSE_SECONDS)

    def start_sale(
        self, reference: str, amount_fen: int, *, full_fare_fen: int | None = None
    ) -> Result:
        """Waits for a card from now on. A reference that is known gives its first result.

        An order that was cancelled, timed out or failed charged nothing: it is started again.
        Raises TillFault(till_busy), TerminalFault(reference_used_differently, …).
        """
        order = Order(OrderKind.SALE, require_reference(reference), require_amount(amount_fen))
        return self._start(order, full_fare_fen)

    def balance(self, reference: str | None = None) -> Result:
        """Reads a card's balance; without a reference one is made here."""
        chosen = reference or str(TypeID(prefix="bal"))
        return self._start(Order(OrderKind.BALANCE, require_reference(chosen)), None)

    def start_load(self, reference: str, amount_fen: int, funding: Funding) -> Result:
        """Money onto the next purse: `wallet` first waits for who pays. Faults as `start_sale`."""
        amount_fen = require_amount(amount_fen)
        order = Order(OrderKind.LOAD, require_reference(reference), amount_fen, funding=funding)
        return self._start(order, None)

    def give_pin(self, reference: str, pin: bytes) -> Result:
        """The card's PIN (BCD) for the next tap of this load; kept in memory until then only.

        Raises TillFault(pin_not_wanted), TerminalFault(sale_unknown).
        """
        desk = self._desk
        with desk.changed:
            active = desk.active
            if active is None or active.order.reference != reference:
                if desk.results.find(reference) is None:
                    raise TerminalFault("sale_unknown", reference=reference)
                raise TillFault("pin_not_wanted", reference=reference)
            if desk.screen.code not in PIN_WANTED or active.is_served:
                raise TillFault("pin_not_wanted", reference=reference)
            active.pin = pin
            active.deadline = desk.now() + self._timings.again_seconds
            desk.tell("pin_taken", MESSAGES["pin_taken"])
            return active.open_result("pin_taken", MESSAGES["pin_taken"])

    def cancel(self, reference: str) -> Result:
        """Ends an order. Asked again, it is the same answer.

        The card wins once INITIALIZE, DEBIT or GET PROCESSING OPTIONS may have left, and a code
        wins once it was read: TillFault(cancel_too_late). A torn order with no card there is set
        aside: its result is `unknown`, not `cancelled`, and goes on when the card comes back.
        Raises TerminalFault(sale_unknown).
        """
        desk = self._desk
        with desk.changed:
            active = desk.active
            if active is None or active.order.reference != reference:
                return _require_cancelled(reference, desk.results.find(reference))
            if active.is_torn and not active.is_served:
                return desk.end(active, ResultState.UNKNOWN, left_code(active))
            if active.is_torn or (active.is_served and not active.gate.cancel()):
                raise TillFault("cancel_too_late", reference=reference)
            return desk.end(active, ResultState.CANCELLED, "cancelled")

    def refund(
        self, reference: str, amount_fen: int, *, refund_reference: str, reason: str = "refund"
    ) -> Receipt:
        """Money of a sale back, with the refund's own reference; needs the network."""
        with self._moving:
            return self._acceptor.refund(
                reference, amount_fen, refund_reference=refund_reference, reason=reason
            )

    def reverse(self, reference: str) -> Result:
        """The whole sale back. Raises TillFault(till_busy) while it is being made."""
        with self._desk.changed:
            active = self._desk.active
            if active is not None and active.order.reference == reference:
                raise TillFault("till_busy", reference=reference)
        with self._moving:
            receipt = self._acceptor.reverse(reference)
        return self._keep(_sale_of(reference, receipt), receipt)

    def last_result(self, reference: str) -> Result:
        """How the order stands now. Raises TerminalFault(sale_unknown)."""
        known = self._find(reference)
        if known is not None and not _may_have_changed(known):
            return known
        try:
            receipt = self._acceptor.ask_again(reference)
        except TerminalFault as fault:
            if known is None or fault.code != "sale_unknown":
                raise
            return known  # ended at the terminal: nothing was stored
        return self._keep(_sale_of(reference, receipt), receipt)

    def wait_result(self, reference: str, timeout_seconds: float) -> Result:
        """As `last_result`, but an open order is waited for."""
        deadline = time.monotonic() + min(timeout_seconds, WAIT_SECONDS_MAX)
        with self._desk.changed:
            while self._is_open(reference) and (left := deadline - time.monotonic()) > 0:
                self._desk.changed.wait(left)
        return self.last_result(reference)

    def last_results(self, limit: int) -> tuple[Result, ...]:
        """The newest first, of this run of the terminal (at most 200)."""
        with self._desk.changed:
            return self._desk.results.newest(limit)

    def readers(self) -> dict[str, bool]:
        """Reader names and whether each works."""
        with self._desk.changed:
            return dict(self._desk.readers)

    @property
    def is_closed(self) -> bool:
        return self._desk.is_closed

    def post(self) -> Post:
        """What kind of place this is."""
        return self._acceptor.post()

    def screen(self) -> Screen:
        with self._desk.changed:
            return self._desk.screen

    def wait_screen(self, after_version: int, timeout_seconds: float) -> Screen | None:
        """The screen as soon as its version is another one; None when it is not within the time."""
        deadline = time.monotonic() + min(timeout_seconds, WAIT_SECONDS_MAX)
        with self._desk.changed:
            while self._desk.screen.version == after_version and not self._desk.is_closed:
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._desk.changed.wait(left)
            screen = self._desk.screen
            return None if screen.version == after_version else screen

    def _start(self, order: Order, full_fare_fen: int | None) -> Result:
        if full_fare_fen is not None and full_fare_fen < (order.amount_fen or 0):
            raise TillFault("full_fare_malformed")
        with self._starting:
            known = self._find(order.reference)
            if known is not None and is_final(known):
                require_same(known.order, order)
                return known
            is_torn = False
            if order.kind is not OrderKind.BALANCE and (earlier := self._ask(order)) is not None:
                is_torn = earlier.outcome.value == TORN
                if earlier.outcome.value not in _UNFINISHED:
                    return self._keep(order, earlier)
            with self._desk.changed:
                return self._serve(order, full_fare_fen, is_torn)

    def _serve(self, order: Order, full_fare_fen: int | None, is_torn: bool) -> Result:
        """With the lock held."""
        if self._desk.is_closed:
            raise TillFault("till_closed")
        if self._desk.active is not None and not self._desk.withdraw():
            raise TillFault("till_busy", reference=self._desk.active.order.reference)
        wait = self._timings.again_seconds if is_torn else self._timings.show_card_seconds
        return self._desk.start(Active(order, full_fare_fen, self._clock.elapsed() + wait, is_torn))

    def _stand(self) -> Active | None:
        """The standing order's next, for the worker; with the lock held."""
        if self._desk.is_closed:
            return None
        if self._standing is None:
            post = self._acceptor.post()
            if not post.is_standing:
                return None
            order = Order(OrderKind.SALE, str(TypeID(prefix=STANDING_PREFIX)))
            return Active(order, None, None, post=post)
        standing = self._standing
        order = Order(OrderKind.SALE, standing.next_reference(), standing.amount_fen)
        return Active(order, standing.full_fare_fen, None)

    def _ask(self, order: Order) -> Receipt | None:
        try:
            receipt = self._acceptor.ask_again(order.reference)
        except TerminalFault as fault:
            if fault.code != "sale_unknown":
                raise
            return None
        require_same(_sale_of(order.reference, receipt), order)
        return receipt

    def _find(self, reference: str) -> Result | None:
        with self._desk.changed:
            active = self._desk.active
            if active is not None and active.order.reference == reference:
                return active.open_result(self._desk.screen.code, self._desk.screen.message)
            return self._desk.results.find(reference)

    def _is_open(self, reference: str) -> bool:
        active = self._desk.active
        return active is not None and active.order.reference == reference

    def _keep(self, order: Order, receipt: Receipt) -> Result:
        with self._desk.changed:
            before = self._desk.results.find(order.reference)
            full_fare_fen = before.full_fare_fen if before else None
            result = result_of(order, receipt, MESSAGES, full_fare_fen)
            self._desk.results.keep(result)
            return result


_UNFINISHED: Final = frozenset({TORN, "dropped"})  # the journal's: the card may come again


def require_reference(reference: str) -> str:
    """Raises TerminalFault(reference_malformed)."""
    if not _REFERENCE.fullmatch(reference):
        raise TerminalFault("reference_malformed")
    return reference


def _may_have_changed(result: Result) -> bool:
    """Whether the journal may know more: an outcome not known, a sale accepted offline, a load
    whose word was on its way."""
    if result.state is ResultState.UNKNOWN:
        return True
    receipt = result.receipt
    if receipt is not None and receipt.load is not None:
        return receipt.load.stage in TO_TELL
    return receipt is not None and receipt.outcome.value == "accepted"


def _sale_of(reference: str, receipt: Receipt) -> Order:
    if receipt.load is not None:
        return Order(OrderKind.LOAD, reference, receipt.amount_fen, funding=receipt.load.funding)
    return Order(OrderKind.SALE, reference, receipt.amount_fen)


def _require_cancelled(reference: str, result: Result | None) -> Result:
    if result is None:
        raise TerminalFault("sale_unknown", reference=reference)
    if result.state in {ResultState.CANCELLED, ResultState.TIMED_OUT, ResultState.FAILED}:
        return result
    raise TillFault("cancel_too_late", reference=reference)
