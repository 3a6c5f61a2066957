"""The three kinds of file a purse has, as values; knows no access rule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from card_protocol.checks import require, require_whole
from card_protocol.epurse.capp import CappHead

CODE = "purse_files_malformed"
BINARY_BYTES_MAX: Final = 256
CYCLIC_RECORDS_MAX: Final = 30
VARIABLE_RECORDS_MAX: Final = 16
VARIABLE_BYTES_MAX: Final = 2_048
RECORD_BYTES_MAX: Final = 250


@dataclass(frozen=True, slots=True)
class BinaryFile:
    """Bytes of a size fixed at birth. Raises `MalformedBytes` "purse_files_malformed"."""

    sfi: int
    body: bytes

    def __post_init__(self) -> None:
        _require_sfi(self.sfi)
        require(0 < len(self.body) <= BINARY_BYTES_MAX, CODE, "a binary file is 1 to 256 bytes")

    def updated(self, offset: int, data: bytes) -> BinaryFile:
        """The caller has made sure that it fits."""
        end = offset + len(data)
        return replace(self, body=self.body[:offset] + data + self.body[end:])


@dataclass(frozen=True, slots=True)
class CyclicFile:
    """Records of one size, newest first; as many as at birth, the oldest falls out."""

    sfi: int
    records: tuple[bytes, ...]

    def __post_init__(self) -> None:
        _require_sfi(self.sfi)
        count = len(self.records)
        require(0 < count <= CYCLIC_RECORDS_MAX, CODE, "a cyclic file has 1 to 30 records")
        size = len(self.records[0])
        is_even = 0 < size <= RECORD_BYTES_MAX and {len(item) for item in self.records} == {size}
        require(is_even, CODE, "records of a cyclic file have one size")

    @classmethod
    def empty(cls, sfi: int, count: int, record_bytes: int) -> CyclicFile:
        return cls(sfi, (bytes(record_bytes),) * count)

    @property
    def record_bytes(self) -> int:
        return len(self.records[0])

    def appended(self, record: bytes) -> CyclicFile:
        return replace(self, records=(record, *self.records[:-1]))


@dataclass(frozen=True, slots=True)
class VariableFile:
    """Records with an id, each of a size of its own, numbered as they were appended."""

    sfi: int
    records: tuple[bytes, ...]
    room_bytes: int

    def __post_init__(self) -> None:
        _require_sfi(self.sfi)
        require_whole(self.room_bytes, 0, VARIABLE_BYTES_MAX, CODE, "room_bytes")
        require(len(self.records) <= VARIABLE_RECORDS_MAX, CODE, "more than 16 records")
        require(self.used_bytes <= self.room_bytes, CODE, "records beyond the room")
        ids = [CappHead.decode(record).last_id_byte for record in self.records]
        require(len(set(ids)) == len(ids), CODE, "two records that P1 cannot tell apart")

    @property
    def used_bytes(self) -> int:
        return sum(map(len, self.records))

    def find_number(self, last_id_byte: int) -> int | None:
        """The record (1 is the first) whose id ends with this byte."""
        for number, record in enumerate(self.records, start=1):
            if CappHead.decode(record).last_id_byte == last_id_byte:
                return number
        return None

    def has_room_for(self, record: bytes) -> bool:
        is_one_more = len(self.records) < VARIABLE_RECORDS_MAX
        return is_one_more and self.used_bytes + len(record) <= self.room_bytes

    def appended(self, record: bytes) -> VariableFile:
        return replace(self, records=(*self.records, record))

    def updated(self, number: int, record: bytes) -> VariableFile:
        """`number` from 1."""
        at = number - 1
        return replace(self, records=(*self.records[:at], record, *self.records[at + 1 :]))


PurseFile = BinaryFile | CyclicFile | VariableFile


def _require_sfi(sfi: int) -> None:
    require_whole(sfi, 1, 30, CODE, "sfi")
