"""The ports through which a terminal sees cards and codes; knows no driver and no money."""

from __future__ import annotations

from typing import Protocol

from reader_bridge.faults import CardFault, CodeFault, ReaderFault

__all__ = ["CardChannel", "CardFault", "CodeFault", "Plugs", "Reader", "ReaderFault", "Scanner"]


class CardChannel(Protocol):
    """A card in the field. Every method raises ReaderFault when the card or the reader is lost.

    Used by one thread at a time.
    """

    def transmit(self, command: bytes) -> bytes:
        """One command APDU to the card; its answer with the status word at the end.

        Ends in bounded time. Raises CardFault for a card that breaks the rules of the link.
        """

    def is_present(self) -> bool:
        """True while the same card is still held to the reader and the channel is open."""

    def wait_for_removal(self, timeout_seconds: float) -> bool:
        """True as soon as the card has left; False when it still lies there after the time.

        May also be asked after `close`.
        """

    def close(self) -> None:
        """Let the card go. May be called again."""


class Reader(Protocol):
    """One place to which a card can be held."""

    @property
    def name(self) -> str:
        """What a fitter would call it."""

    def wait_for_card(self, timeout_seconds: float) -> CardChannel | None:
        """The card shown within the time, or None.

        Raises ReaderFault: no reader; `several_cards`; or a card that cannot be spoken to.
        """

    def close(self) -> None:
        """Let the reader go. May be called again."""


class Scanner(Protocol):
    """One source of codes."""

    @property
    def name(self) -> str:
        """What a fitter would call it."""

    def read(self, timeout_seconds: float) -> bytes | None:
        """The next payload within the time, or None.

        Raises CodeFault for what can be no code; ReaderFault(scanner_failed), also at its end.
        """

    def close(self) -> None:
        """Let the scanner go. May be called again."""


class Plugs(Protocol):
    """A service at which readers come and go; see `PcscPlugs`."""

    @property
    def name(self) -> str:
        """The service."""

    def wait_for_change(self, known: tuple[str, ...], timeout_seconds: float) -> tuple[str, ...]:
        """Names that differ from `known`, or the same after the time. Raises ReaderFault."""

    def open(self, name: str) -> Reader:
        """The reader of that name."""

    def close(self) -> None:
        """Let the service go. May be called again."""
