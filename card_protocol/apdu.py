"""Command and response APDUs as values (ISO/IEC 7816-3, 12.1); knows no command by name."""

from __future__ import annotations

from dataclasses import dataclass

from card_protocol.checks import U8_MAX, U16_MAX, require, require_whole
from card_protocol.errors import MalformedBytes

CODE = "apdu_malformed"
HEADER_BYTES = 4
SHORT_DATA_MAX = 255
SHORT_LE_MAX = 256
EXTENDED_DATA_MAX = 65_535
EXTENDED_LE_MAX = 65_536


@dataclass(frozen=True, slots=True)
class CommandApdu:
    """One command: header, data, and how many bytes the sender expects back.

    `le` is that count (ISO's Ne): 256 is the short byte 00, 65536 the extended 0000, None absent.
    `encode` writes the short form where it fits, so a needlessly extended body shortens.
    Raises `MalformedBytes` "apdu_malformed".
    """

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    le: int | None = None

    def __post_init__(self) -> None:
        for name in ("cla", "ins", "p1", "p2"):
            require_whole(getattr(self, name), 0, U8_MAX, CODE, name)
        require(isinstance(self.data, bytes), CODE, "data is bytes")
        require(len(self.data) <= EXTENDED_DATA_MAX, CODE, "data is longer than 65535 bytes")
        if self.le is not None:
            require_whole(self.le, 1, EXTENDED_LE_MAX, CODE, "le")

    @property
    def header(self) -> bytes:
        return bytes((self.cla, self.ins, self.p1, self.p2))

    def encode(self) -> bytes:
        """Cases 1, 2S, 3S, 4S where they fit, else 2E, 3E, 4E."""
        if len(self.data) <= SHORT_DATA_MAX and (self.le is None or self.le <= SHORT_LE_MAX):
            lc = bytes((len(self.data),)) if self.data else b""
            le = b"" if self.le is None else bytes((self.le % SHORT_LE_MAX,))
            return self.header + lc + self.data + le
        lc = len(self.data).to_bytes(2) if self.data else b""
        le = b"" if self.le is None else (self.le % EXTENDED_LE_MAX).to_bytes(2)
        return self.header + b"\x00" + lc + self.data + le

    @classmethod
    def decode(cls, body: bytes) -> CommandApdu:
        """All seven cases of ISO/IEC 7816-3; a length that fits none is refused."""
        if len(body) < HEADER_BYTES:
            raise MalformedBytes(CODE, "a command has a header of 4 bytes")
        header, rest = body[:HEADER_BYTES], body[HEADER_BYTES:]
        if len(rest) > 1 and rest[0] == 0:
            data, le = _extended(rest[1:])
        else:
            data, le = _short(rest)
        cla, ins, p1, p2 = header
        return cls(cla, ins, p1, p2, data, le)


def _short(rest: bytes) -> tuple[bytes, int | None]:
    if not rest:
        return b"", None
    if len(rest) == 1:
        return b"", rest[0] or SHORT_LE_MAX
    return _data_and_le(rest[0], rest[1:], le_bytes=1)


def _extended(rest: bytes) -> tuple[bytes, int | None]:
    if len(rest) == 2:
        return b"", int.from_bytes(rest) or EXTENDED_LE_MAX
    if len(rest) < 2 or rest[:2] == b"\x00\x00":
        raise MalformedBytes(CODE, "an extended length is two bytes and not zero")
    return _data_and_le(int.from_bytes(rest[:2]), rest[2:], le_bytes=2)


def _data_and_le(lc: int, rest: bytes, le_bytes: int) -> tuple[bytes, int | None]:
    data, tail = rest[:lc], rest[lc:]
    if len(data) != lc or len(tail) not in {0, le_bytes}:
        raise MalformedBytes(CODE, "the lengths do not fit the body")
    if not tail:
        return data, None
    return data, int.from_bytes(tail) or 1 << 8 * le_bytes


@dataclass(frozen=True, slots=True)
class ResponseApdu:
    """One answer: data and status word.

    SW1 is 61..6F or 90..9F (ISO/IEC 7816-3, 12.1.2). Raises `MalformedBytes` "apdu_malformed".
    """

    data: bytes
    sw: int

    def __post_init__(self) -> None:
        require(isinstance(self.data, bytes), CODE, "data is bytes")
        require(len(self.data) <= EXTENDED_LE_MAX, CODE, "data is longer than 65536 bytes")
        require_whole(self.sw, 0, U16_MAX, CODE, "sw")
        sw1 = self.sw >> 8
        require(0x61 <= sw1 <= 0x6F or 0x90 <= sw1 <= 0x9F, CODE, "SW1 is 61..6F or 90..9F")

    def encode(self) -> bytes:
        return self.data + self.sw.to_bytes(2)

    @classmethod
    def decode(cls, body: bytes) -> ResponseApdu:
        if len(body) < 2:
            raise MalformedBytes(CODE, "an answer ends with a status word of 2 bytes")
        return cls(body[:-2], int.from_bytes(body[-2:]))
