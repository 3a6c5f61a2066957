"""A scanner that is a keyboard, taken from the kernel's input device; knows no window and no till.

The device is grabbed: what it types reaches this scanner and no other program. Keys are read as on
a US keyboard, which is what scanners are set to. `struct input_event` and the codes are those of
the kernel (linux/input.h, linux/input-event-codes.h).
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
import struct
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from reader_bridge.faults import ReaderFault
from reader_bridge.readers.framing import FRAME_BYTES_MAX, Framer
from reader_bridge.readers.scanner import Clock, FramedScanner

EVENT: Final = struct.Struct("@llHHi")  # seconds, microseconds, type, code, value
EVENTS_MAX: Final = 256  # taken at once
_GRAB: Final = 0x40044590  # EVIOCGRAB: _IOW('E', 0x90, int)
_EV_SYN, _EV_KEY, _SYN_DROPPED = 0, 1, 3
_DOWN, _UP = 1, 0
_SHIFTS: Final = frozenset({42, 54})  # KEY_LEFTSHIFT, KEY_RIGHTSHIFT
_CAPS_LOCK: Final = 58


def _keys() -> Mapping[int, tuple[str, str]]:
    """Key code -> what it types, and what with Shift."""
    rows = (
        (2, "1234567890-=", "!@#$%^&*()_+"),
        (16, "qwertyuiop[]\r", "QWERTYUIOP{}\r"),
        (30, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
        (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
        (71, "789-456+1230.", "789-456+1230."),  # the keypad, Num Lock on
    )
    keys = {
        first + at: (plain, shown[at]) for first, row, shown in rows for at, plain in enumerate(row)
    }
    keys |= {15: ("\t", "\t"), 55: ("*", "*"), 57: (" ", " "), 96: ("\r", "\r"), 98: ("/", "/")}
    return MappingProxyType(keys)


KEYS: Final = _keys()


class KeyboardScanner(FramedScanner):
    """One input device, for example /dev/input/by-id/usb-…-event-kbd; opened again when it broke.

    Enter ends a code. A keyboard types no bytes: a ride code (乘车码) does not come through it.
    """

    def __init__(self, path: str, *, elapsed: Clock = time.monotonic) -> None:
        super().__init__(path, Framer(has_rides=False), elapsed)
        self._file: int | None = None
        self._is_shifted = self._is_locked = False
        self._line = ""  # typed since the last Enter
        self._is_dropping = False  # the kernel lost events: up to the next Enter is no code

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _receive(self, timeout_seconds: float) -> None:
        try:
            file = self._opened()
            if not select.select([file], [], [], timeout_seconds)[0]:
                return
            chunk = os.read(file, EVENT.size * EVENTS_MAX)
        except (OSError, ValueError) as error:  # ENODEV: pulled out
            self._broken()
            reason = error.strerror if isinstance(error, OSError) else None
            raise ReaderFault("scanner_failed", reason=reason or str(error)) from None
        if not chunk or len(chunk) % EVENT.size:
            self._broken()
            raise ReaderFault("scanner_failed", reason="end of input")
        for event in _events(chunk):
            text = self._typed(event)  # may empty the line
            self._line += text
            if self._line.endswith("\r") or len(self._line) > FRAME_BYTES_MAX:
                self._framer.feed(self._line.encode("ascii"))
                self._line = ""

    def _typed(self, event: tuple[int, int, int]) -> str:
        kind, code, value = event
        if kind == _EV_SYN and code == _SYN_DROPPED:
            self._is_dropping, self._line = True, ""
            return ""
        if kind != _EV_KEY:
            return ""
        if code in _SHIFTS:
            self._is_shifted = value != _UP
            return ""
        if value != _DOWN:  # let go, or held so long that it repeats
            return ""
        if code == _CAPS_LOCK:
            self._is_locked = not self._is_locked
            return ""
        return self._text(code)

    def _text(self, code: int) -> str:
        plain, shown = KEYS.get(code, ("", ""))
        if self._is_dropping:
            self._is_dropping = plain != "\r"
            return ""
        is_upper = self._is_shifted ^ (self._is_locked and plain.isalpha())
        return shown if is_upper else plain

    def _opened(self) -> int:
        """Raises OSError."""
        if self._file is None:
            file = os.open(self.name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if stat.S_ISCHR(os.fstat(file).st_mode):  # a pipe has nobody else to type into
                    fcntl.ioctl(file, _GRAB, 1)
            except OSError:
                os.close(file)
                raise
            self._file = file
        return self._file

    def _broken(self) -> None:
        self.close()
        self._framer, self._line = Framer(has_rides=False), ""
        self._is_shifted = self._is_locked = self._is_dropping = False


def _events(chunk: bytes) -> list[tuple[int, int, int]]:
    return [(kind, code, value) for _, _, kind, code, value in EVENT.iter_unpack(chunk)]
