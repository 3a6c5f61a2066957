"""Cards through nfcpy: the only module of the terminal that knows nfcpy, and only once it is used.

Paths as nfcpy writes them: `usb`, `usb:072f:2200`, `tty:USB0:pn532`, `udp:127.0.0.1:54321`.
nfcpy reaches its radio only through `GuardedRadio`, which has the bounds that nfcpy lacks.
"""

from __future__ import annotations

import importlib
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any, Final

from reader_bridge.faults import CardFault, ReaderFault
from reader_bridge.readers.nfc_guard import Clock, GuardedRadio

LOOK_SECONDS: Final = 0.1  # between two looks into the field; radio off in between
ACTIVATIONS_MAX: Final = 3  # tries to wake a card that is seen
PRESENCE_ASKED_MAX: Final = 3  # one lost frame is no card that left
PRESENCE_SECONDS: Final = 1.0  # all of them together
# Broken, but there: a card that lies there and misbehaves is refused once, not ever again.
ANSWERS_BADLY: Final = frozenset({"card_never_done", "card_link_broken"})
# What nfcpy's drivers raise when a card's frame is shorter than they read, or no frame at all.
MISREAD: Final = (LookupError, ValueError, struct.error)
TECHNOLOGIES: Final = ("106A", "106B")
_ISO_DEP_A: Final = 0x20  # in SEL_RES (ISO/IEC 14443-3, 6.5.3)
_ISO_DEP_B: Final = 0x01  # protocol type in SENSB_RES (ISO/IEC 14443-3, 7.9.4)


def _driver() -> ModuleType:
    """nfcpy with all that is needed here. Raises ReaderFault(driver_missing)."""
    try:
        importlib.import_module("nfc.clf")
        importlib.import_module("nfc.tag.tt4")
        return importlib.import_module("nfc")
    except ImportError:
        raise ReaderFault("driver_missing", driver="nfcpy") from None


class _Channel:
    """What a card in the field and one that cannot be spoken to have in common."""

    def __init__(self, reader: NfcReader) -> None:
        self._reader = reader
        self._is_closed = False
        self._idle = threading.Event()  # never set: waits between two looks

    def is_present(self) -> bool:
        return not self._is_closed and not self._has_left()

    def wait_for_removal(self, timeout_seconds: float) -> bool:
        deadline = self._reader.elapsed() + timeout_seconds
        while not self._has_left():
            left_seconds = deadline - self._reader.elapsed()
            if left_seconds <= 0:
                return False
            self._idle.wait(min(left_seconds, LOOK_SECONDS))
        return True

    def close(self) -> None:
        """The card stays activated, so that its leaving is seen."""
        self._is_closed = True

    def _has_left(self) -> bool:
        if not self._reader.holds(self):
            return True
        if self._answers():
            return False
        self._reader.let_go(self)
        return True

    def _answers(self) -> bool:
        raise NotImplementedError


class NfcChannel(_Channel):
    """An activated ISO-DEP card."""

    def __init__(self, reader: NfcReader, tag: Any, guard: GuardedRadio) -> None:
        super().__init__(reader)
        self._tag, self._guard = tag, guard
        self._is_lost = False

    def transmit(self, command: bytes) -> bytes:
        """Raises ReaderFault(card_removed, card_mute, reader_failed), CardFault."""
        if self._is_closed or self._is_lost:
            raise ReaderFault("card_removed")
        nfc = _driver()
        self._guard.begin()
        try:
            return bytes(self._tag.transceive(command))
        except nfc.tag.tt4.Type4TagCommandError as error:
            self._is_lost = True
            raise self._fault_of(error.errno, nfc) from None
        except nfc.clf.CommunicationError:
            self._is_lost = True
            raise ReaderFault("card_removed") from None
        except OSError as error:
            self._is_lost = True
            raise self._reader.broken(error) from None
        except MISREAD:
            self._is_lost = True
            raise CardFault("card_link_broken") from None
        except (ReaderFault, CardFault):
            self._is_lost = True  # nfcpy's block numbers cannot be trusted any more
            raise

    def _fault_of(self, number: int, nfc: Any) -> ReaderFault | CardFault:
        """What nfcpy gave up for, after its own tries (five at the usual waiting time)."""
        if number == nfc.tag.PROTOCOL_ERROR:
            return CardFault("card_link_broken")
        if number == nfc.tag.TIMEOUT_ERROR and not self._has_left():
            return ReaderFault("card_mute")  # it is there, and says nothing
        return ReaderFault("card_removed")

    def _answers(self) -> bool:
        """Asks with R(NAK) (ISO/IEC 14443-4, 7.5.4)."""
        self._guard.begin(PRESENCE_SECONDS)
        for _ in range(PRESENCE_ASKED_MAX):
            try:
                with suppress(_driver().clf.CommunicationError):
                    self._tag._dep.exchange(None)
                    return True
            except CardFault as fault:
                return fault.code in ANSWERS_BADLY
            except MISREAD:
                return True
            except (OSError, ReaderFault):
                return False
        return False


class ForeignChannel(_Channel):
    """A card without ISO-DEP (MIFARE Classic, Type 2): in the field, and none of ours."""

    def __init__(self, reader: NfcReader, find: Callable[[], Any]) -> None:
        super().__init__(reader)
        self._find = find

    def transmit(self, command: bytes) -> bytes:
        """Raises CardFault(card_foreign)."""
        del command
        raise ReaderFault("card_removed") if self._is_closed else CardFault("card_foreign")

    def _answers(self) -> bool:
        try:
            return self._find() is not None
        except OSError:
            return False


class NfcReader:
    """One contactless reader. Opened at the first wait, and again after it broke.

    `asks_for_others` looks for a second card of the other technology (106A beside 106B): another
    look into the field for every card, so it is a setting.
    """

    def __init__(
        self,
        path: str = "usb",
        *,
        asks_for_others: bool = False,
        elapsed: Clock = time.monotonic,
        open_frontend: Callable[[str], Any] | None = None,
    ) -> None:
        self.name = path
        self._asks_for_others = asks_for_others
        self.elapsed = elapsed
        self._open_frontend = open_frontend or _open
        self._frontend: Any = None
        self._held: _Channel | None = None
        self._idle = threading.Event()  # never set: waits between two looks

    def wait_for_card(self, timeout_seconds: float) -> NfcChannel | ForeignChannel | None:
        """Raises ReaderFault(driver_missing, reader_missing, reader_failed, several_cards,
        card_mute, card_removed)."""
        self._held = None
        frontend = self._opened()
        deadline = self.elapsed() + timeout_seconds
        try:
            while True:
                target = self._sense(frontend)
                if target is not None:
                    return self._activate(frontend, target)
                left_seconds = deadline - self.elapsed()
                if left_seconds <= 0:
                    return None
                self._idle.wait(min(left_seconds, LOOK_SECONDS))
        except OSError as error:
            raise self.broken(error) from None

    def close(self) -> None:
        frontend, self._frontend, self._held = self._frontend, None, None
        if frontend is not None:
            frontend.close()

    def holds(self, channel: _Channel) -> bool:
        """Whether this is the card that was activated last, and has not been let go."""
        return self._held is channel and self._frontend is not None

    def let_go(self, channel: _Channel) -> None:
        """The card has left."""
        if self._held is channel:
            self._held = None

    def broken(self, error: OSError) -> ReaderFault:
        """Closes the reader: the next wait opens it anew."""
        self.close()
        return ReaderFault("reader_failed", reason=error.strerror or str(error))

    def _opened(self) -> Any:
        _driver()
        if self._frontend is None:
            self._frontend = self._open_frontend(self.name)
        return self._frontend

    def _sense(self, frontend: Any) -> Any:
        """An ISO-DEP target of either technology. Raises ReaderFault(several_cards)."""
        found = self._first(frontend, TECHNOLOGIES)
        if found is None or not self._asks_for_others:
            return found
        others = tuple(one for one in TECHNOLOGIES if one != found.brty)
        if self._first(frontend, others) is not None:
            raise ReaderFault("several_cards")
        return self._first(frontend, (found.brty,))  # asking for others let it go

    def _first(self, frontend: Any, technologies: tuple[str, ...]) -> Any:
        clf = _driver().clf
        targets = [clf.RemoteTarget(technology) for technology in technologies]
        try:
            return frontend.sense(*targets)
        except clf.UnsupportedTargetError:
            return None  # this reader does not know that technology
        except (clf.CommunicationError, *MISREAD):
            return None  # noise, or a card that left meanwhile

    def _activate(self, frontend: Any, target: Any) -> NfcChannel | ForeignChannel:
        if not _is_iso_dep(target):
            foreign = ForeignChannel(self, lambda: self._first(frontend, (target.brty,)))
            self._held = foreign
            return foreign
        nfc = _driver()
        guard = GuardedRadio(frontend, nfc.clf.TransmissionError, self.elapsed)
        for _ in range(ACTIVATIONS_MAX):
            guard.begin()
            try:
                tag = nfc.tag.tt4.activate(guard, target)
            except (nfc.clf.CommunicationError, ReaderFault, CardFault, *MISREAD):
                target = self._first(frontend, (target.brty,))
                if target is None:
                    raise ReaderFault("card_removed") from None
                continue
            guard.fwt_seconds = tag._dep.fwt
            channel = NfcChannel(self, tag, guard)
            self._held = channel
            return channel
        raise ReaderFault("card_mute")


def _is_iso_dep(target: Any) -> bool:
    """Whether the card says that it speaks ISO/IEC 14443-4."""
    if target.brty.endswith("A"):
        return bool(target.sel_res and target.sel_res[0] & _ISO_DEP_A)
    return len(target.sensb_res or b"") >= 12 and bool(target.sensb_res[10] & _ISO_DEP_B)


def _open(path: str) -> Any:
    """Raises ReaderFault(driver_missing, reader_missing, reader_failed)."""
    frontend = _driver().ContactlessFrontend()
    try:
        is_open = frontend.open(path)
    except (TypeError, ValueError):
        raise ReaderFault("reader_missing", name=f": {path}") from None
    except OSError as error:
        raise ReaderFault("reader_failed", reason=error.strerror or str(error)) from None
    if not is_open:
        raise ReaderFault("reader_missing", name=f": {path}")
    return frontend
