"""A reader without radio: any function from bytes to bytes is the card."""

from __future__ import annotations

from collections.abc import Callable

from reader_bridge.faults import ReaderFault

Card = Callable[[bytes], bytes]


class LoopbackChannel:
    """A card in this process. A card that raises ConnectionError has been torn away."""

    def __init__(self, reader: LoopbackReader, card: Card) -> None:
        self._reader = reader
        self._card = card
        self._torn = False

    def transmit(self, command: bytes) -> bytes:
        if not self.is_present():
            raise ReaderFault("card_removed")
        try:
            return bytes(self._card(command))
        except ConnectionError:
            self._torn = True
            raise ReaderFault("card_removed") from None

    def is_present(self) -> bool:
        return not self._torn and self._reader.card is self._card

    def wait_for_removal(self, timeout_seconds: float) -> bool:
        del timeout_seconds  # nobody moves a card in this process while we wait
        return not self.is_present()

    def close(self) -> None:
        self._torn = True


class LoopbackReader:
    """`insert` and `remove` play the hand that holds the card."""

    name = "loopback"

    def __init__(self, card: Card | None = None) -> None:
        self.card = card

    def insert(self, card: Card) -> None:
        self.card = card

    def remove(self) -> None:
        self.card = None

    def wait_for_card(self, timeout_seconds: float) -> LoopbackChannel | None:
        del timeout_seconds
        return None if self.card is None else LoopbackChannel(self, self.card)

    def close(self) -> None:
        self.card = None
