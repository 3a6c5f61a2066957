"""A reader without radio: any function from bytes to bytes is the card."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from reader_bridge.faults import ReaderFault

Card = Callable[[bytes], bytes]


class LoopbackChannel:
    """A card in this process. A card that raises ConnectionError has been torn away."""

    def __init__(self, reader: LoopbackReader, card: Card) -> None:
        self._reader = reader
        self._card = card
        self._presentation = reader.presentation
        self._is_torn = self._is_closed = False

    def transmit(self, command: bytes) -> bytes:
        if not self.is_present():
            raise ReaderFault("card_removed")
        try:
            return bytes(self._card(command))
        except ConnectionError:
            self._is_torn = True
            raise ReaderFault("card_removed") from None

    def is_present(self) -> bool:
        return not self._is_closed and not self._has_left()

    def wait_for_removal(self, timeout_seconds: float) -> bool:
        return self._reader.wait_until(self._has_left, timeout_seconds)

    def close(self) -> None:
        self._is_closed = True

    def _has_left(self) -> bool:
        return self._is_torn or self._reader.presentation != self._presentation


class LoopbackReader:
    """`insert` and `remove` play the hand that holds the card.

    With `waits`, another thread is the hand, and waiting takes its time; else nobody moves a card
    while we wait, and the answer comes at once.
    """

    def __init__(
        self, card: Card | None = None, *, name: str = "loopback", waits: bool = False
    ) -> None:
        self.card = card
        self.name = name
        self.presentation = 0  # counts comings and goings
        self._others: tuple[Card, ...] = ()
        self._waits = waits
        self._moved = threading.Condition()

    def insert(self, card: Card, *others: Card) -> None:
        """Another card, or several at once."""
        self._move(card, others)

    def remove(self) -> None:
        self._move(None, ())

    def wait_for_card(self, timeout_seconds: float) -> LoopbackChannel | None:
        """Raises ReaderFault(several_cards)."""
        if not self.wait_until(lambda: self.card is not None, timeout_seconds):
            return None
        with self._moved:
            if self._others:
                raise ReaderFault("several_cards")
            return None if self.card is None else LoopbackChannel(self, self.card)

    def close(self) -> None:
        self._move(None, ())

    def wait_until(self, is_reached: Callable[[], bool], timeout_seconds: float) -> bool:
        """Whether it became true within the time."""
        deadline = time.monotonic() + (timeout_seconds if self._waits else 0.0)
        with self._moved:
            while not is_reached():
                left_seconds = deadline - time.monotonic()
                if left_seconds <= 0:
                    return False
                self._moved.wait(left_seconds)
            return True

    def _move(self, card: Card | None, others: tuple[Card, ...]) -> None:
        with self._moved:
            self.card, self._others = card, others
            self.presentation += 1
            self._moved.notify_all()
