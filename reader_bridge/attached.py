"""What is attached beside PC/SC, as a fitter writes it on the command line; opens no device.

`keyboard:/dev/input/by-id/…`, `keyboard:-` (standard input), `serial:/dev/ttyACM0[@9600]`,
`camera:PICTURE-FILE`; of nfcpy `usb`, `usb:072f:2200`, `tty:USB0:pn532`, `udp:127.0.0.1:54321`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path
from typing import Final

from reader_bridge.readers.keyboard import KeyboardScanner
from reader_bridge.readers.nfc import NfcReader
from reader_bridge.readers.picture_file import PictureFile
from reader_bridge.readers.port import Plugs, Reader, Scanner
from reader_bridge.readers.scanner import BAUD, CameraScanner, LineScanner, SerialScanner

BAUDS: Final = frozenset({1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200})
ATTACHED_MAX: Final = 8
# UNSURE: nfcpy also takes `com:` and bare `usb:001:023`; both are the same pattern here.
_NFC: Final = re.compile(
    r"usb(:[0-9a-f]{3,4}(:[0-9a-f]{3,4})?)?|(tty|com)(:[A-Za-z0-9]+){1,2}|udp(:[A-Za-z0-9.-]+:[0-9]{1,5})?",
    re.ASCII,
)
STANDARD_INPUT: Final = "-"


@unique
class ScannerKind(Enum):
    """How a scanner is connected."""

    KEYBOARD = "keyboard"
    SERIAL = "serial"
    CAMERA = "camera"


@dataclass(frozen=True, slots=True)
class ScannerSpec:
    """One scanner; `baud` counts for serial ones."""

    kind: ScannerKind
    place: str
    baud: int = BAUD

    @property
    def device(self) -> Path | None:
        """What must be there and may be read; None for standard input."""
        return None if self.place == STANDARD_INPUT else Path(self.place)

    def open(self) -> Scanner:
        """Opens nothing yet: that happens at the first read, and again after a fault."""
        if self.kind is ScannerKind.SERIAL:
            return SerialScanner(self.place, baud=self.baud)
        if self.kind is ScannerKind.CAMERA:
            return CameraScanner(PictureFile(Path(self.place)).take, name=f"camera {self.place}")
        if self.place == STANDARD_INPUT:
            return LineScanner(sys.stdin)
        return KeyboardScanner(self.place)


@dataclass(frozen=True, slots=True)
class Attached:
    """What `serve` watches."""

    plugs: tuple[Plugs, ...] = ()
    readers: tuple[Reader, ...] = ()
    scanners: tuple[Scanner, ...] = ()


def scanner_of(text: str) -> ScannerSpec:
    """Raises ValueError."""
    word, colon, place = text.partition(":")
    if not colon or not place or word not in {kind.value for kind in ScannerKind}:
        raise ValueError(f"not keyboard:…, serial:… or camera:… : {text}")
    kind, baud = ScannerKind(word), BAUD
    if place == STANDARD_INPUT and kind is not ScannerKind.KEYBOARD:
        raise ValueError(f"only a keyboard may be standard input: {text}")
    if kind is ScannerKind.SERIAL:
        place, _, rate = place.partition("@")
        if rate and (not rate.isdecimal() or int(rate) not in BAUDS):
            raise ValueError(f"no usual baud rate: {text}")
        baud = int(rate or BAUD)
    return ScannerSpec(kind, place, baud)


def nfc_path_of(text: str) -> str:
    """A path that nfcpy understands. Raises ValueError."""
    if not _NFC.fullmatch(text):
        raise ValueError(f"not usb…, tty:… or udp:… : {text}")
    return text


def attached(
    plugs: Sequence[Plugs], scanners: Sequence[ScannerSpec], nfc: Sequence[str]
) -> Attached:
    """All of them, not opened yet. Raises ValueError for too many, or one named twice."""
    named = [*(spec.place for spec in scanners), *nfc]
    if len(set(named)) < len(named):
        raise ValueError("one device is named twice")
    if len(named) > ATTACHED_MAX:
        raise ValueError(f"at most {ATTACHED_MAX} scanners and readers of nfcpy")
    readers = tuple(NfcReader(path) for path in nfc)
    return Attached(tuple(plugs), readers, tuple(spec.open() for spec in scanners))
