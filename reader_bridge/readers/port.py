"""The one port through which kernels see a card; knows no reader, no command and no money."""

from __future__ import annotations

from typing import Protocol

from reader_bridge.faults import CardFault, ReaderFault

__all__ = ["CardChannel", "CardFault", "Reader", "ReaderFault"]


class CardChannel(Protocol):
    """A card in the field. Every method raises ReaderFault when the card or the reader is lost."""

    def transmit(self, command: bytes) -> bytes:
        """One command APDU to the card; its answer with the status word at the end."""

    def is_present(self) -> bool:
        """True while the same card is still held to the reader."""

    def wait_for_removal(self, timeout_seconds: float) -> bool:
        """True as soon as the card has left; False when it still lies there after the time."""

    def close(self) -> None:
        """Let the card go. May be called again."""


class Reader(Protocol):
    """One place to which a card can be held."""

    @property
    def name(self) -> str:
        """What a fitter would call it."""

    def wait_for_card(self, timeout_seconds: float) -> CardChannel | None:
        """The card shown within the time, or None. Raises ReaderFault if there is no reader."""

    def close(self) -> None:
        """Let the reader go. May be called again."""
