"""Cards through PC/SC (pcscd): the only module that knows pyscard."""

from __future__ import annotations

import time
from typing import Any, Final

from reader_bridge.faults import ReaderFault

try:
    from smartcard import scard
except ImportError:  # said to the user as driver_missing, at first use
    scard = None

_TICK_SECONDS: Final = 0.5  # how long one question to the service may block a Ctrl-C
READERS_MAX: Final = 16


def _driver() -> Any:
    if scard is None:
        raise ReaderFault("driver_missing")
    return scard


def _fault(result: int) -> ReaderFault:
    """A PC/SC result as what the holder or the fitter can do about it."""
    pcsc = _driver()
    code = {
        pcsc.SCARD_E_NO_SERVICE: "service_missing",
        pcsc.SCARD_E_SERVICE_STOPPED: "service_missing",
        pcsc.SCARD_W_REMOVED_CARD: "card_removed",
        pcsc.SCARD_W_RESET_CARD: "card_removed",
        pcsc.SCARD_E_NO_SMARTCARD: "card_removed",
        pcsc.SCARD_E_COMM_DATA_LOST: "card_removed",
        pcsc.SCARD_E_NOT_TRANSACTED: "card_removed",
        pcsc.SCARD_W_UNRESPONSIVE_CARD: "card_mute",
        pcsc.SCARD_W_UNPOWERED_CARD: "card_mute",
        pcsc.SCARD_E_TIMEOUT: "card_mute",
    }.get(result)
    if code is not None:
        return ReaderFault(code)
    if result in {pcsc.SCARD_E_NO_READERS_AVAILABLE, pcsc.SCARD_E_UNKNOWN_READER}:
        return ReaderFault("reader_missing", name="")
    return ReaderFault("reader_failed", reason=str(pcsc.SCardGetErrorMessage(result)).strip(". "))


def _require(result: int) -> None:
    if result != _driver().SCARD_S_SUCCESS:
        raise _fault(result)


class PcscChannel:
    """A connected card; one transaction keeps other programs away until `close`."""

    def __init__(self, context: Any, reader_name: str) -> None:
        pcsc = _driver()
        protocols = pcsc.SCARD_PROTOCOL_T0 | pcsc.SCARD_PROTOCOL_T1
        result, handle, protocol = pcsc.SCardConnect(
            context, reader_name, pcsc.SCARD_SHARE_SHARED, protocols
        )
        _require(result)
        self._context, self._reader_name = context, reader_name
        self._handle: Any = handle
        self._pci = pcsc.SCARD_PCI_T0 if protocol == pcsc.SCARD_PROTOCOL_T0 else pcsc.SCARD_PCI_T1
        try:
            _require(pcsc.SCardBeginTransaction(handle))
        except ReaderFault:
            self.close()
            raise

    def transmit(self, command: bytes) -> bytes:
        if self._handle is None:
            raise ReaderFault("card_removed")
        result, answer = _driver().SCardTransmit(self._handle, self._pci, list(command))
        _require(result)
        return bytes(answer)

    def is_present(self) -> bool:
        if self._handle is None:
            return False
        pcsc = _driver()
        # a card that left, or came anew, makes this handle stale (SCARD_W_REMOVED_CARD, …RESET…)
        result, *_ = pcsc.SCardStatus(self._handle)
        return bool(result == pcsc.SCARD_S_SUCCESS)

    def wait_for_removal(self, timeout_seconds: float) -> bool:
        pcsc = _driver()
        return _wait(
            self._context, self._reader_name, pcsc.SCARD_STATE_PRESENT, False, timeout_seconds
        )

    def close(self) -> None:
        if self._handle is None:
            return
        pcsc, handle, self._handle = _driver(), self._handle, None
        # Results are of no use here: a card that has gone is let go all the same.
        pcsc.SCardEndTransaction(handle, pcsc.SCARD_LEAVE_CARD)
        pcsc.SCardDisconnect(handle, pcsc.SCARD_RESET_CARD)


class PcscReader:
    """One PC/SC reader; with no name the first one that the service lists."""

    def __init__(self, name: str | None = None) -> None:
        self._wanted = name
        self._context: Any = None

    @property
    def name(self) -> str:
        return self._wanted or "pcsc"

    def wait_for_card(self, timeout_seconds: float) -> PcscChannel | None:
        pcsc = _driver()
        try:
            reader_name = self._find_reader()
            if not _wait(
                self._context, reader_name, pcsc.SCARD_STATE_PRESENT, True, timeout_seconds
            ):
                return None
            return PcscChannel(self._context, reader_name)
        except ReaderFault:
            self.close()  # a context of a service that was restarted is dead: begin anew
            raise

    def list_names(self) -> tuple[str, ...]:
        """Every reader the service knows. Raises ReaderFault(driver_missing, service_missing)."""
        pcsc = _driver()
        if self._context is None:
            result, context = pcsc.SCardEstablishContext(pcsc.SCARD_SCOPE_USER)
            _require(result)
            self._context = context
        result, names = pcsc.SCardListReaders(self._context, [])
        if result == pcsc.SCARD_E_NO_READERS_AVAILABLE:
            return ()
        if result != pcsc.SCARD_S_SUCCESS:
            self.close()
            raise _fault(result)
        return tuple(names[:READERS_MAX])

    def close(self) -> None:
        if self._context is not None:
            context, self._context = self._context, None
            _driver().SCardReleaseContext(context)

    def _find_reader(self) -> str:
        names = self.list_names()
        for name in names:
            if self._wanted is None or self._wanted in name:
                return name
        raise ReaderFault("reader_missing", name=f": {self._wanted}" if self._wanted else "")


def _wait(
    context: Any, reader_name: str, flag: int, expected: bool, timeout_seconds: float
) -> bool:
    """True once the reader's state has (or has no longer) the flag; False when time is over."""
    pcsc = _driver()
    deadline = time.monotonic() + timeout_seconds
    known = pcsc.SCARD_STATE_UNAWARE
    while True:
        left_seconds = max(0.0, deadline - time.monotonic())
        milliseconds = int(min(left_seconds, _TICK_SECONDS) * 1000)
        result, states = pcsc.SCardGetStatusChange(context, milliseconds, [(reader_name, known)])
        if result not in {pcsc.SCARD_S_SUCCESS, pcsc.SCARD_E_TIMEOUT}:
            raise _fault(result)
        _name, state, _atr = states[0]
        if bool(state & flag) is expected:
            return True
        if left_seconds == 0.0:
            return False
        known = state & ~pcsc.SCARD_STATE_CHANGED
