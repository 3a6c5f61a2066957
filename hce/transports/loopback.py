"""A card held to a reader inside this process: no radio, no socket; knows no command."""

from __future__ import annotations

from hce.card import Card
from hce.errors import CardAbsent


class Loopback:
    """`insert` and `remove` play the hand; a card out of the field raises CardAbsent.

    CardAbsent is a ConnectionError: what readers in process take for a card torn away.
    """

    def __init__(self, card: Card) -> None:
        self._card = card
        self._is_present = False

    def insert(self) -> bytes:
        """Holds the card to the reader; its ATR."""
        self._is_present = True
        return self._card.power_on()

    def remove(self) -> None:
        """Takes it away, also when it is not there."""
        self._is_present = False
        self._card.power_off()

    def is_present(self) -> bool:
        return self._is_present

    def transmit(self, command: bytes) -> bytes:
        if not self._is_present:
            raise CardAbsent("the card is not in the field")
        return self._card.transmit(command)
