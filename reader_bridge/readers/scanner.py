"""Scanners behind one port: keyboard wedge, serial line, camera picture; judge no code.

A payload comes out cleaned (`code_kind.clean`) and once, however long the code is held there.
"""

from __future__ import annotations

import importlib
import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from card_protocol import pay_code
from card_protocol.errors import MalformedBytes
from reader_bridge.codes import decode_picture_bytes
from reader_bridge.faults import CodeFault, ReaderFault
from reader_bridge.readers.code_kind import CodeKind, classify, clean
from reader_bridge.readers.framing import Framer

CHUNK_BYTES: Final = 4096
IDLE_SECONDS: Final = 0.05  # at 9600 baud a byte takes 1 ms: fifty are missing, so it is over
REPEAT_SECONDS: Final = 2.0  # the same code again within this is the same showing
SHOWINGS_MAX: Final = 256  # kept; a scanner that floods is not filtered
PICTURE_SECONDS: Final = 0.03  # at least, between two pictures
BAUD: Final = 9600

Clock = Callable[[], float]


class ScannerStream(Protocol):
    """What a keyboard wedge types into: standard input, a pipe, a terminal."""

    def fileno(self) -> int:
        """Its file descriptor; nobody else reads there."""


class _Showings:
    """Tells a code that is still being shown from one that is shown again."""

    def __init__(self, elapsed: Clock, repeat_seconds: float) -> None:
        self._elapsed, self._repeat_seconds = elapsed, repeat_seconds
        self._seen_at: dict[object, float] = {}

    def is_new(self, what: object) -> bool:
        """False within the time after it was last seen, also when something else was in between."""
        now = self._elapsed()
        self._seen_at = {
            one: at for one, at in self._seen_at.items() if now - at < self._repeat_seconds
        }
        is_known = what in self._seen_at
        if is_known or len(self._seen_at) < SHOWINGS_MAX:
            self._seen_at[what] = now
        return not is_known


class FramedScanner:
    """What reads a stream of bytes: frames, cleaning, repeats."""

    def __init__(self, name: str, framer: Framer, elapsed: Clock) -> None:
        self.name = name
        self._framer, self._elapsed = framer, elapsed
        self._showings = _Showings(elapsed, REPEAT_SECONDS)

    def read(self, timeout_seconds: float) -> bytes | None:
        """The next payload within the time, or None.

        Raises CodeFault(code_too_long), ReaderFault(scanner_failed, driver_missing).
        """
        deadline = self._elapsed() + timeout_seconds
        while True:
            while (frame := self._framer.next()) is not None:
                payload = clean(frame)
                if payload and self._showings.is_new(payload):
                    return payload
            left_seconds = deadline - self._elapsed()
            if left_seconds <= 0:
                return None
            self._receive(left_seconds)

    def _receive(self, timeout_seconds: float) -> None:
        """Waits for bytes and feeds them."""
        raise NotImplementedError


class LineScanner(FramedScanner):
    """A scanner that types like a keyboard, each code ended by Enter.

    A keyboard writes text: a ride code arrives here as ISO-8859-1 text, if at all.
    """

    def __init__(
        self, stream: ScannerStream, *, name: str = "keyboard", elapsed: Clock = time.monotonic
    ) -> None:
        super().__init__(name, Framer(has_rides=False), elapsed)
        self._stream = stream

    def close(self) -> None:
        """The stream is its owner's."""

    def _receive(self, timeout_seconds: float) -> None:
        try:
            number = self._stream.fileno()
            if not select.select([number], [], [], timeout_seconds)[0]:
                return
            chunk = os.read(number, CHUNK_BYTES)
        except (OSError, ValueError) as error:  # ValueError: closed
            raise ReaderFault("scanner_failed", reason=str(error)) from None
        if not chunk:
            raise ReaderFault("scanner_failed", reason="end of input")
        self._framer.feed(chunk)


class SerialScanner(FramedScanner):
    """A scanner at a serial line or a USB line that looks like one; opened again when it broke.

    Takes binary codes as they are if the scanner is set to send bytes unchanged.
    """

    def __init__(
        self,
        port: str,
        *,
        baud: int = BAUD,
        idle_seconds: float = IDLE_SECONDS,
        elapsed: Clock = time.monotonic,
    ) -> None:
        super().__init__(port, Framer(has_rides=True), elapsed)
        self._baud, self._idle_seconds = baud, idle_seconds
        self._line: Any = None

    def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _receive(self, timeout_seconds: float) -> None:
        try:
            line = self._opened()
            is_inside = self._framer.is_inside_frame
            line.timeout = min(timeout_seconds, self._idle_seconds if is_inside else 1e9)
            chunk = line.read(1)
            if chunk:
                chunk += line.read(min(line.in_waiting, CHUNK_BYTES))
        except OSError as error:  # also pyserial's own
            self.close()
            self._framer.idle()
            raise ReaderFault("scanner_failed", reason=error.strerror or str(error)) from None
        if chunk:
            self._framer.feed(chunk)
        elif is_inside:
            self._framer.idle()

    def _opened(self) -> Any:
        if self._line is None:
            try:
                serial = importlib.import_module("serial")
            except ImportError:
                raise ReaderFault("driver_missing", driver="pyserial") from None
            self._line = serial.Serial(self.name, self._baud, timeout=0, exclusive=True)
        return self._line


class CameraScanner:
    """A camera: `take_picture` gives a PNG or JPEG within a time, or None.

    Of several codes in one picture those of other schemes do not matter; two of ours are nobody's.
    """

    def __init__(
        self,
        take_picture: Callable[[float], bytes | None],
        *,
        name: str = "camera",
        elapsed: Clock = time.monotonic,
    ) -> None:
        self.name = name
        self._take_picture, self._elapsed = take_picture, elapsed
        self._showings = _Showings(elapsed, REPEAT_SECONDS)
        self._closed = threading.Event()

    def read(self, timeout_seconds: float) -> bytes | None:
        """The next payload within the time, or None.

        Raises CodeFault(code_ambiguous, picture_…), once as long as it stays so;
        ReaderFault(scanner_failed).
        """
        deadline = self._elapsed() + timeout_seconds
        while not self._closed.is_set():
            left_seconds = deadline - self._elapsed()
            if left_seconds <= 0:
                break
            payload = self._look(left_seconds)
            if payload is not None:
                return payload
            self._closed.wait(PICTURE_SECONDS)
        return None

    def close(self) -> None:
        self._closed.set()

    def _look(self, timeout_seconds: float) -> bytes | None:
        try:
            picture = self._take_picture(timeout_seconds)
        except OSError as error:
            raise ReaderFault("scanner_failed", reason=error.strerror or str(error)) from None
        if picture is None:
            return None
        try:
            payload = pick(decode_payloads(picture))
        except CodeFault as fault:
            if self._showings.is_new(fault.code):
                raise
            return None
        is_shown = payload is not None and self._showings.is_new(payload)
        return payload if is_shown else None


def decode_payloads(picture: bytes) -> tuple[bytes, ...]:
    """The bytes of every QR and Code 128 in a picture of bounded size.

    Raises CodeFault, ReaderFault(driver_missing).
    """
    return tuple(clean(payload) for payload in decode_picture_bytes(picture))


def pick(payloads: tuple[bytes, ...]) -> bytes | None:
    """The one code that is meant, or None for no code. Raises CodeFault(code_ambiguous)."""
    own: dict[object, bytes] = {}
    for payload in payloads:
        if classify(payload) is not CodeKind.FOREIGN:
            own.setdefault(_meaning(payload), payload)
    if len(own) > 1:
        raise CodeFault("code_ambiguous")
    return next(iter(own.values()), payloads[0] if payloads else None)


def _meaning(payload: bytes) -> object:
    """A pay code is shown twice: its digits as Code 128, and as a consumer-presented QR code."""
    if classify(payload) is CodeKind.PAY:
        with suppress(MalformedBytes):
            return pay_code.read(payload.decode("ascii"))
    return payload
