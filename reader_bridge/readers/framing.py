"""Where one code ends and the next begins in a scanner's bytes; knows no port and no clock."""

from __future__ import annotations

from collections import deque
from typing import Final

from card_protocol import ride_code
from reader_bridge.faults import CodeFault
from reader_bridge.readers.code_kind import PAYLOAD_BYTES_MAX, SYMBOLOGY_MARK, is_ride

FRAME_BYTES_MAX: Final = PAYLOAD_BYTES_MAX + 64  # with marks and padding
_ENDS: Final = b"\r\n"
_OVERLONG: Final = None


class Framer:
    """Feed bytes, take frames. Never holds more than FRAME_BYTES_MAX of an unfinished one.

    A frame ends at CR or LF; a ride code (binary, may hold CR and LF) at the length it names, when
    the scanner sends it in byte mode; and, if the owner says `idle`, with the pause after it.
    """

    def __init__(self, *, has_rides: bool) -> None:
        self._has_rides = has_rides
        self._buffer = bytearray()
        self._is_skipping = False  # the rest of what was too long
        self._frames: deque[bytes | None] = deque()

    @property
    def is_inside_frame(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._buffer) or self._is_skipping

    def feed(self, chunk: bytes) -> None:
        """Bytes as they came."""
        self._buffer += chunk
        while self._buffer and self._take():
            continue

    def idle(self) -> None:
        """Nothing came for a while: what is there is a frame."""
        if not self._is_skipping:
            self._end_with(bytes(self._buffer))
        self._buffer.clear()
        self._is_skipping = False

    def next(self) -> bytes | None:
        """The oldest frame not yet taken, or None. Raises CodeFault(code_too_long) in its place."""
        if not self._frames:
            return None
        frame = self._frames.popleft()
        if frame is _OVERLONG:
            raise CodeFault("code_too_long")
        return frame

    def _take(self) -> bool:
        """One frame out of the buffer; False when more bytes are needed."""
        ride_size = self._ride_size()
        if ride_size is not None:
            if len(self._buffer) < ride_size:
                return False
            self._end_with(bytes(self._buffer[:ride_size]))
            del self._buffer[:ride_size]
            return True
        ends = [at for at in map(self._buffer.find, (b"\r", b"\n")) if at >= 0]
        if ends:
            line = bytes(self._buffer[: min(ends)])
            del self._buffer[: min(ends) + 1]
            if not self._is_skipping:
                self._end_with(line)
            self._is_skipping = False
            return True
        if len(self._buffer) > FRAME_BYTES_MAX:
            if not self._is_skipping:
                self._frames.append(_OVERLONG)
            self._is_skipping = True
            self._buffer.clear()
        return False

    def _ride_size(self) -> int | None:
        """How many bytes the ride code takes that the buffer begins with; None when it does not."""
        if not self._has_rides or self._is_skipping:
            return None
        mark = SYMBOLOGY_MARK.match(self._buffer)
        start = mark.end() if mark else 0
        head = bytes(self._buffer[start : start + ride_code.HEAD.size])
        if not head or not is_ride(head):
            return None
        if len(head) < ride_code.HEAD.size:
            return start + ride_code.RIDE_CODE_BYTES_MIN  # not known yet: more has to come
        size = int(ride_code.HEAD.size + ride_code.HEAD.unpack(head)[1])
        is_possible = ride_code.RIDE_CODE_BYTES_MIN <= size <= ride_code.RIDE_CODE_BYTES_MAX
        return start + size if is_possible else None

    def _end_with(self, frame: bytes) -> None:
        if len(frame) > FRAME_BYTES_MAX:
            self._frames.append(_OVERLONG)
        elif frame.strip(_ENDS):
            self._frames.append(frame)
