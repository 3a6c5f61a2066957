"""Records of compound purchases, SFI 19 and 1A (design B.1.3, B.1.5); knows no fare rule."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields
from typing import ClassVar, Final, Self

from card_protocol.checks import U8_MAX, require, require_bytes, require_whole
from card_protocol.errors import MalformedBytes

CODE = "purse_capp_malformed"
RECORD_BYTES_MIN, RECORD_BYTES_MAX = 4, 250
RAIL_ID: Final = 0x2712
BUS_ID: Final = 0x01
INSIDE, OUTSIDE = 0x55, 0x66
_CRC_FROM, _CRC_TO = 6, 124


@dataclass(frozen=True, slots=True)
class CappHead:
    """How a variable record begins: id (1 or 2 bytes), the length of what follows it, a flag.

    Raises `MalformedBytes` "purse_capp_malformed".
    """

    record_id: int
    id_bytes: int  # 1 or 2
    flag: int

    @property
    def last_id_byte(self) -> int:
        """What P1 of UPDATE CAPP DATA CACHE names the record by."""
        return self.record_id & 0xFF

    @property
    def is_locked(self) -> bool:
        """9407 is answered to a purchase that writes it.

        UNSURE: behind an id of 1 byte the flag locks unless 00. Behind one of 2 bytes (rail) it is
        said to mean "valid", 01 in daily use: other values than 00 and 01 lock.
        """
        return self.flag != 0 if self.id_bytes == 1 else self.flag > 1

    @classmethod
    def decode(cls, record: bytes) -> Self:
        """Told by the length byte; an id of 1 byte where both would fit."""
        is_sized = isinstance(record, bytes) and RECORD_BYTES_MIN <= len(record) <= RECORD_BYTES_MAX
        require(is_sized, CODE, "a record is 4 to 250 bytes")
        for id_bytes in (1, 2):
            if record[id_bytes] == len(record) - id_bytes - 1:
                return cls(int.from_bytes(record[:id_bytes]), id_bytes, record[id_bytes + 1])
        raise MalformedBytes(CODE, "the length byte fits no record")


@dataclass(frozen=True, slots=True)
class RailRecord:
    """Record 2712 of SFI 1A: a rail journey under way (128 bytes, as used in Shanghai).

    Fields stand in the order they are written. Raises `MalformedBytes` "purse_capp_malformed".
    """

    RECORD_BYTES: ClassVar[int] = 128
    SIZES: ClassVar[tuple[int, ...]] = (
        *(1, 2, 8, 1),
        *(2, 2, 8, 8, 8, 8, 8, 8, 7, 7),
        *(4, 1, 1, 4, 4, 4, 7, 4, 3, 2, 5),
        *(1, 1, 1, 1),
    )
    valid: bytes
    head_reserved: bytes
    serial: bytes
    status: bytes  # 01 in, 02 out
    entry_city: bytes
    exit_city: bytes
    entry_line: bytes  # organisation and line
    exit_line: bytes
    entry_station: bytes
    exit_station: bytes
    entry_device: bytes
    exit_device: bytes
    entry_moment: bytes
    exit_moment: bytes
    fare_max: bytes
    entry_line_number: bytes
    exit_line_number: bytes
    entry_amount: bytes
    entry_balance: bytes
    real_amount: bytes
    last_moment: bytes
    last_terminal: bytes
    cumulative_amount: bytes
    cumulative_count: bytes
    transfer: bytes
    entry_flag: bytes
    exit_flag: bytes
    place: bytes  # 55 inside, 66 outside
    tail_reserved: bytes

    def __post_init__(self) -> None:
        for field, size in zip(fields(self), self.SIZES, strict=True):
            require_bytes(getattr(self, field.name), size, CODE, field.name)

    def encode(self) -> bytes:
        body = b"".join(getattr(self, field.name) for field in fields(self))
        record = RAIL_ID.to_bytes(2) + bytes((self.RECORD_BYTES - 3,)) + body
        return record + rail_checksum(record)

    @classmethod
    def decode(cls, record: bytes) -> Self:
        """Raises `MalformedBytes` also when the checksum does not fit."""
        require_bytes(record, cls.RECORD_BYTES, CODE, "a rail record")
        require(CappHead.decode(record).record_id == RAIL_ID, CODE, "not record 2712")
        require(rail_checksum(record) == record[_CRC_TO:], CODE, "the checksum does not fit")
        parts, at = [], 3
        for size in cls.SIZES:
            parts.append(record[at : at + size])
            at += size
        return cls(*parts)


def rail_checksum(record: bytes) -> bytes:
    """CRC-32 over bytes 6..123. UNSURE which: that of ISO 3309 and zlib, high byte first."""
    return zlib.crc32(record[_CRC_FROM:_CRC_TO]).to_bytes(4)


def capp_record(record_id: int, body: bytes, flag: int = 0, *, id_bytes: int = 1) -> bytes:
    """A variable record with its head. Raises `MalformedBytes` "purse_capp_malformed"."""
    require(id_bytes in {1, 2}, CODE, "an id is 1 or 2 bytes")
    require_whole(record_id, 0, (1 << 8 * id_bytes) - 1, CODE, "record_id")
    require_whole(flag, 0, U8_MAX, CODE, "flag")
    require(len(body) + id_bytes + 2 <= RECORD_BYTES_MAX, CODE, "the body is too long")
    record = record_id.to_bytes(id_bytes) + bytes((len(body) + 1, flag)) + body
    require(CappHead.decode(record).id_bytes == id_bytes, CODE, "the id reads as a length")
    return record
