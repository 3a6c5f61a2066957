"""nfcpy's frontend with one scripted card in its field, on a clock that only silence moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nfc.clf

from reader_bridge.readers.nfc import NfcReader


class Time:
    """Moves only when a card is silent."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


Answer = Callable[[bytes], bytes | None]


class Field:
    """nfcpy's frontend with one scripted card; `answer` gives a block, None for silence."""

    max_send_data_size = max_recv_data_size = 290

    def __init__(
        self, time: Time, answer: Answer, ats: bytes = b"\x05\x78\x80\x70\x02", **target: Any
    ) -> None:
        self.time, self.answer, self.ats = time, answer, ats
        self.targets: dict[str, Any] = {"106A": {"sens_res": b"\x04\x00", "sel_res": b"\x20"}}
        self.targets["106A"] |= {"sdd_res": bytearray(4)} | target
        self.frames: list[bytes] = []
        self.is_closed = False
        self.error: Exception | None = None

    def sense(self, *wanted: Any) -> Any:
        if self.error is not None:
            raise self.error
        self.time.now += 0.01
        for one in wanted:
            if one.brty in self.targets:
                return nfc.clf.RemoteTarget(one.brty, **self.targets[one.brty])
        return None

    def exchange(self, frame: bytes, timeout: float) -> bytearray | None:
        assert 0 < timeout <= 5.0
        if self.error is not None:
            raise self.error
        self.frames.append(bytes(frame))
        heard = self.ats if frame[0] in {0xE0, 0x1D} else self.answer(bytes(frame))
        if heard is None:
            self.time.now += timeout
            raise nfc.clf.TimeoutError("silence")
        self.time.now += 0.001
        return bytearray(heard)

    def close(self) -> None:
        self.is_closed = True


def reader_of(field: Field, **options: Any) -> NfcReader:
    return NfcReader("usb", elapsed=field.time, open_frontend=lambda _path: field, **options)


def good(frame: bytes) -> bytes:
    """A well-behaved card: 9000 to a command, R(ACK) to R(NAK)."""
    if frame[0] & 0xF6 == 0xB2:
        return bytes((0xA2 | frame[0] & 1,))
    return bytes((frame[0],)) + b"\x90\x00"
