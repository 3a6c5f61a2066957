"""The frames of ISO/IEC 14443-4 as values: RATS, ATS, PPS, blocks; knows no state and no radio.

A frame here is what lies between start and CRC: the two CRC bytes belong to the radio.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto, unique
from typing import Final

from card_protocol.checks import U8_MAX, require, require_bytes, require_whole
from card_protocol.errors import MalformedBytes

CODE: Final = "block_malformed"
# FSDI and FSCI as sizes (5.1, 5.2.3). Larger codes are reserved and read as the largest.
FRAME_SIZES: Final = (16, 24, 32, 40, 48, 64, 96, 128, 256)
CRC_BYTES: Final = 2
CID_MAX: Final = 14
FWI_MAX: Final = 14
WTXM_MAX: Final = 59
CARRIER_HERTZ: Final = 13_560_000
RATS_START: Final = 0xE0
PPS_START: Final = 0xD0
HISTORICAL_BYTES_MAX: Final = 15


def frame_size(code: int) -> int:
    """FSDI or FSCI as bytes, CRC included."""
    return FRAME_SIZES[min(code, len(FRAME_SIZES) - 1)]


def waiting_seconds(fwi: int) -> float:
    """FWT = 256 · 16 / fc · 2^FWI (7.2)."""
    return (4096 << fwi) / CARRIER_HERTZ


@dataclass(frozen=True, slots=True)
class Rats:
    """Request for answer to select: E0, then the reader's frame size and the card's name (5.1)."""

    fsdi: int  # 0..15
    cid: int  # 0..14

    def __post_init__(self) -> None:
        require_whole(self.fsdi, 0, 15, CODE, "fsdi")
        require_whole(self.cid, 0, CID_MAX, CODE, "cid")

    @classmethod
    def decode(cls, frame: bytes) -> Rats:
        """Raises `MalformedBytes` "block_malformed"."""
        require(len(frame) == 2 and frame[0] == RATS_START, CODE, "not a RATS")
        return cls(frame[1] >> 4, frame[1] & 0x0F)


@dataclass(frozen=True, slots=True)
class Ats:
    """Answer to select: TL T0 TA TB TC ‖ historical bytes, all of them always there (5.2).

    nfcpy's reader reads TB at its place without asking T0, so none is left out. TA says 106 kbit/s
    both ways and nothing else; no NAD.
    """

    fsci: int = 8  # what the card takes in one frame: 256 bytes
    fwi: int = 7  # 38.7 ms; a slow command asks for more by S(WTX) rather than by a larger FWI
    sfgi: int = 0  # the card is ready at once
    is_cid_supported: bool = True
    historical: bytes = b""

    TA = 0x80

    def __post_init__(self) -> None:
        require_whole(self.fsci, 0, len(FRAME_SIZES) - 1, CODE, "fsci")
        require_whole(self.fwi, 0, FWI_MAX, CODE, "fwi")
        require_whole(self.sfgi, 0, FWI_MAX, CODE, "sfgi")
        require(len(self.historical) <= HISTORICAL_BYTES_MAX, CODE, "too many historical bytes")

    def encode(self) -> bytes:
        body = bytes((0x70 | self.fsci, self.TA, self.fwi << 4 | self.sfgi))
        body += bytes((self.is_cid_supported << 1,)) + self.historical
        return bytes((len(body) + 1,)) + body

    @property
    def frame_bytes_max(self) -> int:
        """The longest block without its CRC."""
        return frame_size(self.fsci) - CRC_BYTES

    @property
    def waiting_seconds(self) -> float:
        return waiting_seconds(self.fwi)


@dataclass(frozen=True, slots=True)
class Pps:
    """Protocol and parameter selection: D0 | CID, PPS0, and the rates if they change (5.3)."""

    cid: int
    rates: int  # PPS1: DSI and DRI; 0 is 106 kbit/s both ways

    def __post_init__(self) -> None:
        require_whole(self.cid, 0, CID_MAX, CODE, "cid")
        require_whole(self.rates, 0, 15, CODE, "rates")

    @classmethod
    def decode(cls, frame: bytes) -> Pps:
        """Raises `MalformedBytes` "block_malformed"."""
        require(2 <= len(frame) <= 3 and frame[0] & 0xF0 == PPS_START, CODE, "not a PPS")
        has_rates = frame[1] == 0x11
        is_whole = frame[1] in {0x01, 0x11} and len(frame) == 2 + has_rates
        require(is_whole, CODE, "PPS0 and the length do not agree")
        return cls(frame[0] & 0x0F, frame[2] if has_rates else 0)

    def answer(self) -> bytes:
        return bytes((PPS_START | self.cid,))


@unique
class Kind(Enum):
    """What a block is (7.1.1): information, receive ready, or supervision."""

    INFORMATION = auto()
    ACK = auto()
    NAK = auto()
    DESELECT = auto()
    WTX = auto()


_NUMBERED = frozenset({Kind.INFORMATION, Kind.ACK, Kind.NAK})
_FIRST_BYTES = {
    Kind.INFORMATION: 0x02,
    Kind.ACK: 0xA2,
    Kind.NAK: 0xB2,
    Kind.DESELECT: 0xC2,
    Kind.WTX: 0xF2,
}
_CHAINED, _HAS_CID, _HAS_NAD = 0x10, 0x08, 0x04


@dataclass(frozen=True, slots=True)
class Block:
    """One block without its CRC. Raises `MalformedBytes` "block_malformed"."""

    kind: Kind
    number: int = 0  # 0 or 1; supervision has none
    inf: bytes = b""  # WTX: the multiplier, one byte; information: any
    is_chained: bool = False  # information: more follows
    cid: int | None = None
    nad: int | None = None

    def __post_init__(self) -> None:
        require_whole(self.number, 0, int(self.kind in _NUMBERED), CODE, "number")
        if self.cid is not None:
            require_whole(self.cid, 0, CID_MAX, CODE, "cid")
        if self.kind is Kind.WTX:
            require_bytes(self.inf, 1, CODE, "WTXM")
            require_whole(self.inf[0], 1, WTXM_MAX, CODE, "WTXM")
        if self.kind is Kind.INFORMATION:
            if self.nad is not None:
                require_whole(self.nad, 0, U8_MAX, CODE, "nad")
            return
        require(self.nad is None and not self.is_chained, CODE, "only information has these")
        require(self.kind is Kind.WTX or not self.inf, CODE, "no information field here")

    def encode(self) -> bytes:
        first = _FIRST_BYTES[self.kind] | self.number
        first |= _CHAINED * self.is_chained
        first |= _HAS_CID * (self.cid is not None) | _HAS_NAD * (self.nad is not None)
        head = bytes(one for one in (first, self.cid, self.nad) if one is not None)
        return head + self.inf

    @classmethod
    def decode(cls, frame: bytes) -> Block:
        if not frame:
            raise MalformedBytes(CODE, "an empty frame")
        first, at = frame[0], 1
        kind = _kind(first)
        cid = nad = None
        if first & _HAS_CID:
            # b8 and b7 tell a power level and mean nothing from a reader; b6 and b5 are zero
            require(len(frame) > at and not frame[at] & 0x30, CODE, "no CID where one is told")
            cid, at = frame[at] & 0x0F, at + 1
        if kind is Kind.INFORMATION and first & _HAS_NAD:
            require(len(frame) > at, CODE, "no NAD where one is told")
            nad, at = frame[at], at + 1
        inf = frame[at:]
        if kind is Kind.WTX:
            inf = bytes(one & 0x3F for one in inf)  # b8 and b7 tell a power level
        is_chained = kind is Kind.INFORMATION and bool(first & _CHAINED)
        number = first & 1 if kind in _NUMBERED else 0
        return cls(kind, number, bytes(inf), is_chained, cid, nad)


def is_information(frame: bytes) -> bool:
    """Whether a frame begins as an I-block does."""
    return bool(frame) and frame[0] & 0xE2 == 0x02


def _kind(first: int) -> Kind:
    """The fixed bits of a PCB (7.1.1.1); whatever they do not fit is no block."""
    if first & 0xE2 == 0x02:
        return Kind.INFORMATION
    if first & 0xE6 == 0xA2:
        return Kind.NAK if first & 0x10 else Kind.ACK
    if first & 0xF7 == 0xC2:
        return Kind.DESELECT
    if first & 0xF7 == 0xF2:
        return Kind.WTX
    raise MalformedBytes(CODE, "not the first byte of a block")
