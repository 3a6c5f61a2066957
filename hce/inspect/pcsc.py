"""A card in a PC/SC reader, held for one inspection; the only file of this package with pyscard."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from hce.errors import CardAbsent, ReaderUnreachable

try:
    from smartcard import scard
except ImportError:  # pyscard is optional: said when a reader is asked for
    scard = None

TICK_SECONDS: Final = 0.5
POWER_TRIES: Final = 5
POWER_SECONDS: Final = 0.2


class PcscCard:
    """`transmit` and `atr`; raises CardAbsent once the card has left."""

    def __init__(self, handle: Any, pci: Any, reader: str, atr: bytes) -> None:
        self._handle, self._pci, self.reader, self.atr = handle, pci, reader, atr

    def transmit(self, command: bytes) -> bytes:
        result, answer = scard.SCardTransmit(self._handle, self._pci, list(command))
        if result != scard.SCARD_S_SUCCESS:
            raise CardAbsent(f"the card left the reader ({_reason(result)})")
        return bytes(answer)


@contextmanager
def card_in_reader(name: str | None, wait_seconds: float) -> Iterator[PcscCard]:
    """The card in the first reader whose name has `name` in it, for the length of a `with`.

    Other programs wait. Raises ReaderUnreachable (no pyscard, no pcscd, no such reader) and
    CardAbsent (none came in time, or it does not power up).
    """
    if scard is None:
        raise ReaderUnreachable("pyscard is not installed (requirements-pcsc.txt)")
    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    if result != scard.SCARD_S_SUCCESS:
        raise ReaderUnreachable(f"pcscd does not answer ({_reason(result)})")
    try:
        reader = _find_reader(context, name)
        atr = _await_card(context, reader, wait_seconds)
        handle, protocol = _connect(context, reader)
        try:
            result = scard.SCardBeginTransaction(handle)
            if result != scard.SCARD_S_SUCCESS:
                raise CardAbsent(f"{reader}: the card left the reader ({_reason(result)})")
            is_t0 = protocol == scard.SCARD_PROTOCOL_T0
            pci = scard.SCARD_PCI_T0 if is_t0 else scard.SCARD_PCI_T1
            yield PcscCard(handle, pci, reader, atr)
        finally:
            scard.SCardEndTransaction(handle, scard.SCARD_LEAVE_CARD)
            scard.SCardDisconnect(handle, scard.SCARD_RESET_CARD)
    finally:
        scard.SCardReleaseContext(context)


def _find_reader(context: Any, name: str | None) -> str:
    result, names = scard.SCardListReaders(context, [])
    known = list(names) if result == scard.SCARD_S_SUCCESS else []
    for one in known:
        if name is None or name.lower() in one.lower():
            return str(one)
    told = ", ".join(known) or "none"
    raise ReaderUnreachable(f"no such reader: {name or 'any'}; there is: {told}")


def _await_card(context: Any, reader: str, wait_seconds: float) -> bytes:
    """Its ATR. Asks again at every tick, so that Ctrl-C is heard."""
    deadline, known = time.monotonic() + wait_seconds, scard.SCARD_STATE_UNAWARE
    while True:
        left = max(0.0, deadline - time.monotonic())
        tick_milliseconds = int(min(left, TICK_SECONDS) * 1000)
        result, states = scard.SCardGetStatusChange(context, tick_milliseconds, [(reader, known)])
        if result not in {scard.SCARD_S_SUCCESS, scard.SCARD_E_TIMEOUT}:
            raise ReaderUnreachable(f"{reader}: {_reason(result)}")
        _, state, atr = states[0]
        if state & scard.SCARD_STATE_PRESENT:
            return bytes(atr)
        if not left:
            raise CardAbsent(f"{reader}: no card came in {wait_seconds:.0f} s")
        known = state & ~scard.SCARD_STATE_CHANGED


def _connect(context: Any, reader: str) -> tuple[Any, int]:
    """A card just laid down may need a moment to power up."""
    protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
    for tries_left in reversed(range(POWER_TRIES)):
        result, handle, protocol = scard.SCardConnect(
            context, reader, scard.SCARD_SHARE_SHARED, protocols
        )
        if result == scard.SCARD_S_SUCCESS:
            return handle, protocol
        if tries_left:
            time.sleep(POWER_SECONDS)
    raise CardAbsent(f"{reader}: the card does not answer ({_reason(result)})")


def _reason(result: int) -> str:
    return str(scard.SCardGetErrorMessage(result)).strip(". ")
