"""Cards through PC/SC (pcscd): the only module that knows pyscard.

The service keeps a lock for each of its contexts while it answers, so there are two: one to ask
for states, one for the card. A card that never answers then holds up neither the watch over the
reader nor, thanks to `DriverThread`, who asked.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from reader_bridge.faults import ReaderFault
from reader_bridge.readers.bounded import DriverThread

try:
    from smartcard import scard
except ImportError:  # said to the user as driver_missing, at first use
    scard = None

_TICK_SECONDS: Final = 0.5  # how long one question to the service may block a Ctrl-C
READERS_MAX: Final = 16
ANSWER_SECONDS: Final = 5.0  # the longest frame waiting time of ISO/IEC 14443-4 is 4.95 s
CONNECT_SECONDS: Final = 5.0
# How makers name the slot of a secure access module: "ACS ACR1252 Dual Reader SAM 0".
SAM_SLOT: Final = re.compile(r"\bSAM\b")
# IGNORE, UNKNOWN, UNAVAILABLE of PC/SC part 5: states of a reader that is not there any more.
_GONE_STATES: Final = 0x01 | 0x04 | 0x08
# A reader's name for "any reader comes or goes" (PC/SC part 5, SCardGetStatusChange).
PLUG_AND_PLAY: Final = "\\\\?PnP?\\Notification"


def _driver() -> Any:
    if scard is None:
        raise ReaderFault("driver_missing", driver="pyscard")
    return scard


def _fault(result: int) -> ReaderFault:
    """A PC/SC result as what the holder or the fitter can do about it."""
    pcsc = _driver()
    code = {
        pcsc.SCARD_E_NO_SERVICE: "service_missing",
        pcsc.SCARD_E_SERVICE_STOPPED: "service_missing",
        pcsc.SCARD_E_INVALID_HANDLE: "service_missing",  # of a service that was started anew
        pcsc.SCARD_F_COMM_ERROR: "service_missing",  # the line to the service broke
        pcsc.SCARD_W_REMOVED_CARD: "card_removed",
        pcsc.SCARD_W_RESET_CARD: "card_removed",
        pcsc.SCARD_E_NO_SMARTCARD: "card_removed",
        pcsc.SCARD_E_COMM_DATA_LOST: "card_removed",
        pcsc.SCARD_E_NOT_TRANSACTED: "card_removed",
        pcsc.SCARD_W_UNRESPONSIVE_CARD: "card_mute",
        pcsc.SCARD_W_UNPOWERED_CARD: "card_mute",
        pcsc.SCARD_E_PROTO_MISMATCH: "card_mute",
        pcsc.SCARD_E_TIMEOUT: "card_mute",
    }.get(result)
    if code is not None:
        return ReaderFault(code)
    if result in {
        pcsc.SCARD_E_NO_READERS_AVAILABLE,
        pcsc.SCARD_E_UNKNOWN_READER,
        pcsc.SCARD_E_READER_UNAVAILABLE,
    }:
        return ReaderFault("reader_missing", name="")
    return ReaderFault("reader_failed", reason=str(pcsc.SCardGetErrorMessage(result)).strip(". "))


def _require(result: int) -> None:
    if result != _driver().SCARD_S_SUCCESS:
        raise _fault(result)


def _context() -> Any:
    pcsc = _driver()
    result, context = pcsc.SCardEstablishContext(pcsc.SCARD_SCOPE_USER)
    _require(result)
    return context


class PcscChannel:
    """A connected card; one transaction keeps other programs away until `close`."""

    def __init__(
        self, status_context: Any, reader_name: str, thread: DriverThread | None = None
    ) -> None:
        self._context, self._reader_name = status_context, reader_name
        self._thread = thread or DriverThread(f"pcsc {reader_name}")
        self._card_context: Any = None
        self._handle: Any = None
        self._pci: Any = None
        self._is_lost = False  # the driver never came back
        self._count = _count_of(_state_of(status_context, reader_name))
        self._call(self._connect, CONNECT_SECONDS)

    def transmit(self, command: bytes) -> bytes:
        handle = self._handle
        if handle is None or self._is_lost:
            raise ReaderFault("card_removed")
        body = list(command)
        result, answer = self._call(
            lambda: _driver().SCardTransmit(handle, self._pci, body), ANSWER_SECONDS
        )
        _require(result)
        return bytes(answer)

    def is_present(self) -> bool:
        handle = self._handle
        if handle is None or self._is_lost:
            return False
        pcsc = _driver()
        # a card that left, or came anew, makes this handle stale (SCARD_W_REMOVED_CARD, …RESET…)
        result, *_ = self._call(lambda: pcsc.SCardStatus(handle), ANSWER_SECONDS)
        return bool(result == pcsc.SCARD_S_SUCCESS)

    def wait_for_removal(self, timeout_seconds: float) -> bool:
        pcsc = _driver()

        def has_left(state: int) -> bool:
            # another card may have come between two looks: the service counts comings and goings
            return not state & pcsc.SCARD_STATE_PRESENT or _count_of(state) != self._count

        return _wait_until(self._context, self._reader_name, has_left, timeout_seconds)

    def close(self) -> None:
        if self._card_context is not None and not self._is_lost:
            with suppress(ReaderFault):  # the driver hangs: it lets go by itself
                self._call(self._leave, ANSWER_SECONDS)

    def _connect(self) -> None:
        """In the driver's thread."""
        pcsc = _driver()
        self._card_context = _context()
        protocols = pcsc.SCARD_PROTOCOL_T0 | pcsc.SCARD_PROTOCOL_T1
        try:
            result, handle, protocol = pcsc.SCardConnect(
                self._card_context, self._reader_name, pcsc.SCARD_SHARE_SHARED, protocols
            )
            _require(result)
            self._handle = handle
            is_t0 = protocol == pcsc.SCARD_PROTOCOL_T0
            self._pci = pcsc.SCARD_PCI_T0 if is_t0 else pcsc.SCARD_PCI_T1
            _require(pcsc.SCardBeginTransaction(handle))
        except ReaderFault:
            self._leave()
            raise

    def _call(self, act: Callable[[], Any], timeout_seconds: float) -> Any:
        """In the driver's thread; a call that is late is followed there by leaving the card.

        Nothing else may be asked of that context: it would wait too, and pyscard with it.
        """
        try:
            return self._thread.call(act, timeout_seconds, "card_mute", self._leave)
        except ReaderFault:
            self._is_lost = True  # what comes late is nobody's answer
            raise

    def _leave(self) -> None:
        """In the driver's thread, once: lets card and context go."""
        handle, context = self._handle, self._card_context
        self._handle = self._card_context = None
        pcsc = _driver()
        # Results are of no use here: a card that has gone is let go all the same.
        if handle is not None:
            pcsc.SCardEndTransaction(handle, pcsc.SCARD_LEAVE_CARD)
            pcsc.SCardDisconnect(handle, pcsc.SCARD_RESET_CARD)
        if context is not None:
            pcsc.SCardReleaseContext(context)


class PcscReader:
    """One PC/SC reader; with no name the first one that is no SAM's slot.

    `excluded_names`: parts of names that are never taken, such as the SAM's own reader.
    """

    def __init__(self, name: str | None = None, excluded_names: Iterable[str] = ()) -> None:
        self._wanted = name
        self._excluded = tuple(excluded_names)
        self._context: Any = None
        self._thread = DriverThread(f"pcsc {name or ''}".strip())

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
            return PcscChannel(self._context, reader_name, self._thread)
        except ReaderFault:
            self.close()  # a context of a service that was restarted is dead: begin anew
            raise

    def list_names(self) -> tuple[str, ...]:
        """Every reader the service knows. Raises ReaderFault(driver_missing, service_missing)."""
        pcsc = _driver()
        if self._context is None:
            self._context = _context()
        result, names = pcsc.SCardListReaders(self._context, [])
        if result == pcsc.SCARD_E_NO_READERS_AVAILABLE:
            return ()
        if result != pcsc.SCARD_S_SUCCESS:
            self.close()
            raise _fault(result)
        return tuple(names[:READERS_MAX])

    def close(self) -> None:
        self._thread.close()
        if self._context is not None:
            context, self._context = self._context, None
            _driver().SCardReleaseContext(context)

    def _find_reader(self) -> str:
        names = self.list_names()
        if self._wanted in names and not is_excluded(self._wanted or "", self._excluded):
            return str(self._wanted)  # "Reader 1" is also a part of "Reader 10"
        for name in names:
            if is_excluded(name, self._excluded):
                continue
            if self._wanted in name if self._wanted else not SAM_SLOT.search(name):
                return name
        raise ReaderFault("reader_missing", name=f": {self._wanted}" if self._wanted else "")


class PcscPlugs:
    """Which readers for customers' cards are plugged in; tells when that changes.

    `wanted` is a part of their names (None: every reader but SAM slots); `excluded_names` as for
    `PcscReader`. Used by one thread.
    """

    def __init__(self, wanted: str | None = None, excluded_names: Iterable[str] = ()) -> None:
        self._wanted, self._excluded = wanted, tuple(excluded_names)
        self._lister = PcscReader()

    @property
    def name(self) -> str:
        return "pcsc"

    def list_names(self) -> tuple[str, ...]:
        """Raises ReaderFault(driver_missing, service_missing)."""
        return tuple(
            name
            for name in self._lister.list_names()
            if not is_excluded(name, self._excluded)
            and (self._wanted in name if self._wanted else not SAM_SLOT.search(name))
        )

    def wait_for_change(self, known: tuple[str, ...], timeout_seconds: float) -> tuple[str, ...]:
        """The names once they differ from `known`, or the same ones after the time.

        What comes between two questions is found by the next listing. Raises as `list_names`.
        """
        names = self.list_names()
        if names != known:
            return names
        try:
            _wait_for_plug(self._lister._context, timeout_seconds)
            return self.list_names()
        except ReaderFault:
            self.close()
            raise

    def open(self, name: str) -> PcscReader:
        """The reader of that very name."""
        return PcscReader(name, self._excluded)

    def close(self) -> None:
        self._lister.close()


def is_excluded(name: str, excluded_names: Iterable[str]) -> bool:
    """True for a reader that was given to somebody else, such as the SAM."""
    return any(part in name for part in excluded_names)


def _count_of(state: int) -> int:
    """How many cards came and went, in the state's upper half (pcsc-lite)."""
    return state >> 16


def _wait_for_plug(context: Any, timeout_seconds: float) -> None:
    """Returns when a reader came or went, or after the time, whether the service tells or not."""
    pcsc = _driver()
    milliseconds = int(min(timeout_seconds, _TICK_SECONDS) * 1000)
    started = time.monotonic()
    question = [(PLUG_AND_PLAY, pcsc.SCARD_STATE_UNAWARE)]
    result, states = pcsc.SCardGetStatusChange(context, milliseconds, question)
    if result == pcsc.SCARD_S_SUCCESS and not states[0][1] & pcsc.SCARD_STATE_UNKNOWN:
        return
    if result not in {
        pcsc.SCARD_S_SUCCESS,
        pcsc.SCARD_E_TIMEOUT,
        pcsc.SCARD_E_UNKNOWN_READER,
    }:
        raise _fault(result)
    # a service without notification answers at once: the time is waited here
    time.sleep(max(0.0, milliseconds / 1000 - (time.monotonic() - started)))


def _state_of(context: Any, reader_name: str) -> int:
    """The reader's state at this moment."""
    pcsc = _driver()
    question = [(reader_name, pcsc.SCARD_STATE_UNAWARE)]
    result, states = pcsc.SCardGetStatusChange(context, 0, question)
    if result not in {pcsc.SCARD_S_SUCCESS, pcsc.SCARD_E_TIMEOUT}:
        raise _fault(result)
    return int(states[0][1])


def _wait(
    context: Any, reader_name: str, flag: int, expected: bool, timeout_seconds: float
) -> bool:
    """True once the reader's state has (or has no longer) the flag; False when time is over.

    Raises ReaderFault(reader_missing) when a flag is waited for at a reader that has gone.
    """

    def is_reached(state: int) -> bool:
        if expected and state & _GONE_STATES:
            raise ReaderFault("reader_missing", name=f": {reader_name}")
        return bool(state & flag) is expected

    return _wait_until(context, reader_name, is_reached, timeout_seconds)


def _wait_until(
    context: Any, reader_name: str, is_reached: Callable[[int], bool], timeout_seconds: float
) -> bool:
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
        if is_reached(state):
            return True
        if left_seconds == 0.0:
            return False
        known = state & ~pcsc.SCARD_STATE_CHANGED
