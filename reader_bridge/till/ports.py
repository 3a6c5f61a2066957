"""What the till needs from others: somebody who takes cards, and a stream of events."""

from __future__ import annotations

from typing import Protocol

from reader_bridge.acceptance.order import Order
from reader_bridge.readers.event_values import Event
from reader_bridge.readers.port import CardChannel
from reader_bridge.receipt import Receipt
from reader_bridge.till.post import Post


class Acceptor(Protocol):
    """The joined terminal. What happens to a sale is always a Receipt.

    Every method may also raise TerminalFault, Unreachable and Refused where no sale hangs on it.
    """

    def tap(self, order: Order, channel: CardChannel, reader_name: str) -> Receipt:
        """Raises ReaderFault (nothing happened, or `debit_unknown`: the same card) and SamFault."""

    def code(self, order: Order, payload: bytes) -> Receipt:
        """An order paid by what a scanner read."""

    def ask_again(self, register_reference: str) -> Receipt:
        """How the sale stands. Raises TerminalFault(sale_unknown)."""

    def post(self) -> Post:
        """What kind of place this is now; answers at once. A standing one re-arms itself."""

    def refund(
        self,
        register_reference: str,
        amount_fen: int,
        *,
        refund_reference: str,
        reason: str = "refund",
    ) -> Receipt:
        """Money of a sale back; a known refund reference is not refunded twice."""

    def reverse(self, register_reference: str) -> Receipt:
        """The whole sale taken back."""


class Events(Protocol):
    """`reader_bridge.readers.events.ReaderSet`, as far as the till uses it."""

    def next_event(self, timeout_seconds: float) -> Event | None:
        """The next event within the time, or None."""
