"""The files of a transit purse read leniently (Part B.1.3): a foreign card is no error.

Where a field stands is what `card_protocol.epurse` says; here is only what to do with too little,
too much, or nonsense. Readers return None for what is too short or was never written; a date that
cannot be is None. Sources disagree on some fields of old cards, so a value here is what readers in
the field show.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Final, TypeVar

from card_protocol.epurse.capp import INSIDE, RAIL_ID, RailRecord
from card_protocol.epurse.files import (
    FileValue,
    HolderData,
    JourneyRecord,
    Layout,
    LogRecord,
    ManagementData,
    Part,
    PublicData,
)
from card_protocol.epurse.transactions import TransactionKind

COMPOUND_HEAD_BYTES: Final = 5  # at most: identifier (1 or 2), length, flags
MANAGEMENT_BYTES_MIN: Final = 11  # readers are content with these
HOLDER_BYTES_MIN: Final = 24  # the name, and something of a number
T_UNION_ISSUER, CITY_UNION_ISSUER = b"\x01\x01", b"\x84\x75"
RAIL_LAYOUT: Final = Layout(
    Part("head", 3),
    *(Part(one.name, size) for one, size in zip(fields(RailRecord), RailRecord.SIZES, strict=True)),
    Part("checksum", 4),
)
_RAIL_IDENTIFIER: Final = RAIL_ID.to_bytes(2)
_TOP_UPS: Final = frozenset({TransactionKind.ED_LOAD, TransactionKind.LOAD})
_NO_NAME: Final = b"\x00\xff "

Value = TypeVar("Value", bound=FileValue)


@dataclass(frozen=True, slots=True)
class Holder:
    """What file 0x16 tells of a person. All of it is personal."""

    name: str
    identity_number: str

    @property
    def is_empty(self) -> bool:
        return not self.name and not self.identity_number


@dataclass(frozen=True, slots=True)
class CompoundRecord:
    """One record of files 0x19 and 0x1A: who wrote it is told by its identifier, no more."""

    identifier: str
    size: int
    rail: RailState | None = None


@dataclass(frozen=True, slots=True)
class RailState:
    """Record 2712 of file 0x1A."""

    is_inside: bool
    entry_station: str
    exit_station: str
    entry_at: datetime | None
    exit_at: datetime | None


def public_data(body: bytes) -> PublicData | None:
    """File 0x15, also tag 9F0C of the FCI."""
    return _read(PublicData, body)


def is_t_union(public: PublicData) -> bool:
    return public.issuer[:2] == T_UNION_ISSUER


def is_city_union(public: PublicData) -> bool:
    return public.issuer[:2] == CITY_UNION_ISSUER


def region_of(public: PublicData) -> str:
    """Four digits: UnionPay's region code, or the postal code's beginning."""
    return public.issuer[2:4].hex().upper()


def number_of(public: PublicData) -> str:
    """What is printed on the card: 19 digits, or the last 8 bytes on a City Union card."""
    if is_city_union(public):
        return public.key_factor.hex().upper()
    text = public.serial.hex().upper()
    return text[1:] if is_t_union(public) else text


def holder(body: bytes) -> Holder | None:
    """Files of 39 and 55 bytes: name in GB 18030, then the number up to the last byte, its kind."""
    if len(body) < HOLDER_BYTES_MIN:
        return None
    name_at, number_at = (HolderData.LAYOUT.slice_of(one) for one in ("name", "identity_number"))
    name = body[name_at].strip(_NO_NAME).decode("gb18030", "replace")
    number = body[number_at.start : -1].strip(_NO_NAME).decode("ascii", "replace")
    return Holder(_printable(name), _printable(number))


def management_data(body: bytes) -> ManagementData | None:
    return _read(ManagementData, body, MANAGEMENT_BYTES_MIN) if any(body) else None


def log_record(body: bytes) -> LogRecord | None:
    return None if is_blank(body) else _read(LogRecord, body)


def is_top_up(record: LogRecord) -> bool:
    return record.kind in _TOP_UPS


def journey_record(body: bytes) -> JourneyRecord | None:
    return None if is_blank(body) else _read(JourneyRecord, body)


def compound_record(body: bytes) -> CompoundRecord | None:
    """None also for a record that has its head and was never written."""
    if len(body) < 2 or is_blank(body[COMPOUND_HEAD_BYTES:]):
        return None
    if body[:2] == _RAIL_IDENTIFIER:
        rail = _rail_state(body) if len(body) >= RAIL_LAYOUT.size else None
        return CompoundRecord(body[:2].hex(), len(body), rail)
    return CompoundRecord(body[:1].hex().upper(), len(body))


def _rail_state(body: bytes) -> RailState:
    def part(name: str) -> bytes:
        return body[RAIL_LAYOUT.slice_of(name)]

    return RailState(
        is_inside=part("place")[0] == INSIDE,
        entry_station=part("entry_station").hex().upper(),
        exit_station=part("exit_station").hex().upper(),
        entry_at=moment_of(part("entry_moment")),
        exit_at=moment_of(part("exit_moment")),
    )


def balance_fen(body: bytes) -> int | None:
    """4 bytes; readers leave bit 31 out (1.9)."""
    return int.from_bytes(body) & 0x7FFF_FFFF if len(body) == 4 else None


def is_blank(body: bytes) -> bool:
    """Never written: all 00, or all FF."""
    return not any(body) or all(byte == 0xFF for byte in body)


def day_of(body: bytes) -> date | None:
    """CCYYMMDD in BCD."""
    try:
        return datetime.strptime(body.hex(), "%Y%m%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        return None


def moment_of(body: bytes) -> datetime | None:
    """CCYYMMDDHHMMSS in BCD: the terminal's local time, as it wrote it."""
    try:
        return datetime.strptime(body.hex(), "%Y%m%d%H%M%S")  # noqa: DTZ007 - wall clock
    except ValueError:
        return None


def _read(kind: type[Value], body: bytes, bytes_min: int | None = None) -> Value | None:
    """Longer files are cut; of one that is shorter and yet enough, the rest is nought."""
    size = kind.LAYOUT.size
    if len(body) < (size if bytes_min is None else bytes_min):
        return None
    return kind.decode(body[:size].ljust(size, b"\x00"))


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)
