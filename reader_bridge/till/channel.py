"""A card's channel with a gate: who comes first, the cancel key or the card; knows no till."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from reader_bridge.faults import ReaderFault
from reader_bridge.readers.port import CardChannel

# From these on money may move or a cryptogram may exist: INITIALIZE (80 50), CREDIT FOR LOAD
# (80 52), DEBIT FOR PURCHASE (80 54), GET PROCESSING OPTIONS (80 A8), UPDATE CAPP DATA CACHE
# (80 DC). INITIALIZE moves nothing by itself, but the journal's "intended" follows it.
COMMITTING: Final = frozenset({b"\x80\x50", b"\x80\x52", b"\x80\x54", b"\x80\xa8", b"\x80\xdc"})
SELECT_BY_NAME: Final = b"\x00\xa4\x04"
DIRECTORY: Final = b"2PAY.SYS.DDF01"  # PPSE: a list, not an application
DONE: Final = b"\x90\x00"


class _Side(Enum):
    OPEN = auto()
    CARD = auto()
    CANCEL = auto()


class Gate:
    """Exactly one side passes, and it stays so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._side = _Side.OPEN

    def commit(self) -> bool:
        """The card's side: False when the cancel came first."""
        return self._pass(_Side.CARD)

    def cancel(self) -> bool:
        """The cancel's side: False when money may have moved."""
        return self._pass(_Side.CANCEL)

    @property
    def is_committed(self) -> bool:
        return self._side is _Side.CARD

    @property
    def is_cancelled(self) -> bool:
        return self._side is _Side.CANCEL

    def _pass(self, side: _Side) -> bool:
        with self._lock:
            if self._side is _Side.OPEN:
                self._side = side
            return self._side is side


class WatchedChannel:
    """Passes every byte on unchanged; notes which application answered.

    `on_released` is called once, when the card is let go after a committing command and a good
    last exchange: what follows needs no card. Used by one thread.
    """

    def __init__(self, channel: CardChannel, gate: Gate, on_released: Callable[[], None]) -> None:
        self._channel, self._gate, self._on_released = channel, gate, on_released
        self._is_well, self._is_closed = True, False
        self.aid: bytes | None = None

    def transmit(self, command: bytes) -> bytes:
        """Raises ReaderFault(card_removed) from the moment the order was cancelled."""
        is_stopped = self._gate.is_cancelled
        if command[:2] in COMMITTING:
            is_stopped = not self._gate.commit()
        if is_stopped:
            raise ReaderFault("card_removed")
        self._is_well = False
        answer = self._channel.transmit(command)
        self._is_well = True
        if command[:3] == SELECT_BY_NAME and answer[-2:] == DONE:
            self._note(command)
        return answer

    def is_present(self) -> bool:
        return self._channel.is_present()

    def wait_for_removal(self, timeout_seconds: float) -> bool:
        return self._channel.wait_for_removal(timeout_seconds)

    def close(self) -> None:
        self._channel.close()
        if not self._is_closed and self._is_well and self._gate.is_committed:
            self._on_released()
        self._is_closed = True

    def _note(self, command: bytes) -> None:
        name = command[5 : 5 + command[4]] if len(command) > 5 else b""
        if name and name != DIRECTORY:
            self.aid = name
