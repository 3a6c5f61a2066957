"""Where a phone is held to: the virtual reader inside pcscd, or a reader in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from hce.card import Card
from hce.transports.loopback import Loopback
from hce.transports.vpcd import VpcdPlug
from reader_bridge import ReaderFault, Receipt, Terminal
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.readers.pcsc import PcscReader
from reader_bridge.readers.port import Reader
from tools import pcscd

Kind = Literal["pcsc", "loopback"]
Wish = Literal["auto", "pcsc", "loopback"]

READER_NAME = "Virtual PCD 00 00"
CARD_SECONDS = 10.0
LOCK_SECONDS = 120.0
HOLDS_MAX = 3  # a card that left too soon is held to the reader again, as a person would


class Till(Protocol):
    """A place to tap at."""

    @property
    def kind(self) -> Kind: ...

    def held(self, card: Card) -> AbstractContextManager[Reader]:
        """The card is in the field for the length of the `with`."""


@dataclass(frozen=True, slots=True)
class PcscTill:
    """pcscd, vsmartcard's driver, pyscard: what a shop's terminal has, but for the radio."""

    port: int
    kind: Kind = "pcsc"

    @contextmanager
    def held(self, card: Card) -> Iterator[Reader]:
        reader = PcscReader(READER_NAME)
        try:
            with VpcdPlug(card, port=self.port):
                yield reader
        finally:
            reader.close()


@dataclass(frozen=True, slots=True)
class LoopbackTill:
    """The same bytes without a reader."""

    kind: Kind = "loopback"

    @contextmanager
    def held(self, card: Card) -> Iterator[Reader]:
        field = Loopback(card)
        field.insert()
        reader = LoopbackReader(field.transmit)
        try:
            yield reader
        finally:
            reader.close()
            field.remove()


def open_till(wish: Wish, exits: ExitStack) -> tuple[Till, str | None]:
    """The till, and why it is not PC/SC where `auto` could not have that.

    Raises PcscdUnavailable when PC/SC is insisted on.
    """
    if wish == "loopback":
        return LoopbackTill(), None
    try:
        daemon = exits.enter_context(pcscd.ensure_running(LOCK_SECONDS))
    except pcscd.PcscdUnavailable as reason:
        if wish == "pcsc":
            raise
        return LoopbackTill(), str(reason)
    return PcscTill(daemon.vpcd_port), None


def tap(till: Till, card: Card, terminal: Terminal, amount_fen: int, reference: str) -> Receipt:
    """Hold the phone to the till until the terminal has judged the card.

    Raises what Terminal.sell raises; ReaderFault only after HOLDS_MAX tries.
    """
    with till.held(card) as reader:
        for hold in range(1, HOLDS_MAX + 1):
            try:
                return terminal.sell(
                    amount_fen,
                    register_reference=reference,
                    reader=reader,
                    card_seconds=CARD_SECONDS,
                )
            except ReaderFault:  # nothing happened: the same reference may be used again
                if hold == HOLDS_MAX:
                    raise
    raise AssertionError("unreachable")
