"""The files of a transit purse as values, read leniently (Part B.1.3): a foreign card is no error.

Decoders return None for what is too short or empty; a field that cannot be is None. Sources
disagree on some fields of old cards, so a value here is what readers in the field show.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

PUBLIC_BYTES, HOLDER_BYTES, MANAGEMENT_BYTES = 30, 55, 60
COMPOUND_HEAD_BYTES: Final = 5  # at most: identifier (1 or 2), length, flags
LOG_BYTES, JOURNEY_BYTES, RAIL_BYTES = 23, 48, 128
MANAGEMENT_BYTES_MIN: Final = 11  # readers are content with these
T_UNION_ISSUER, CITY_UNION_ISSUER = b"\x01\x01", b"\x84\x75"
RAIL_IDENTIFIER: Final = b"\x27\x12"
TOP_UP_KINDS: Final = frozenset({0x01, 0x02})
_NO_NAME: Final = b"\x00\xff "


@dataclass(frozen=True, slots=True)
class PublicData:
    """File 0x15, also tag 9F0C of the FCI."""

    issuer: bytes  # 8
    serial: bytes  # 10
    start: date | None
    expiry: date | None

    @property
    def is_t_union(self) -> bool:
        return self.issuer[:2] == T_UNION_ISSUER

    @property
    def is_city_union(self) -> bool:
        return self.issuer[:2] == CITY_UNION_ISSUER

    @property
    def region(self) -> str:
        """Four digits: UnionPay's region code, or the postal code's beginning."""
        return self.issuer[2:4].hex().upper()

    @property
    def number(self) -> str:
        """What is printed on the card: 19 digits, or the last 8 bytes on a City Union card."""
        if self.is_city_union:
            return self.serial[2:].hex().upper()
        text = self.serial.hex().upper()
        return text[1:] if self.is_t_union else text


@dataclass(frozen=True, slots=True)
class HolderData:
    """File 0x16. All of it is personal."""

    name: str
    identity_number: str

    @property
    def is_empty(self) -> bool:
        return not self.name and not self.identity_number


@dataclass(frozen=True, slots=True)
class ManagementData:
    """File 0x17 of a T-Union card."""

    country: str
    province: str
    city: str
    card_kind: int


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of file 0x18."""

    sequence: int
    amount_fen: int
    kind: int  # TTI, 1.6
    terminal: str
    at: datetime | None

    @property
    def is_top_up(self) -> bool:
        return self.kind in TOP_UP_KINDS


@dataclass(frozen=True, slots=True)
class JourneyRecord:
    """One record of file 0x1E."""

    kind: int  # 3 entry, 4 exit, 2 and 6 single
    terminal: str
    vehicle: int
    line: str
    station: str
    amount_fen: int
    balance_fen: int
    at: datetime | None
    city: str


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
    if len(body) < PUBLIC_BYTES:
        return None
    return PublicData(body[:8], body[10:20], _date(body[20:24]), _date(body[24:28]))


def holder_data(body: bytes) -> HolderData | None:
    """Name in GB 18030 at 2, then the number; the last byte is the number's kind."""
    if len(body) < 24:
        return None
    name = body[2:22].strip(_NO_NAME).decode("gb18030", "replace")
    number = body[22:-1].strip(_NO_NAME).decode("ascii", "replace")
    return HolderData(_printable(name), _printable(number))


def management_data(body: bytes) -> ManagementData | None:
    if len(body) < MANAGEMENT_BYTES_MIN or not any(body):
        return None
    country, province, city = body[:4].hex(), body[4:6].hex(), body[6:8].hex()
    return ManagementData(country, province, city, body[10])


def log_record(body: bytes) -> LogRecord | None:
    if len(body) < LOG_BYTES or is_blank(body):
        return None
    return LogRecord(
        sequence=int.from_bytes(body[0:2]),
        amount_fen=int.from_bytes(body[5:9]),
        kind=body[9],
        terminal=body[10:16].hex().upper(),
        at=_moment(body[16:23]),
    )


def journey_record(body: bytes) -> JourneyRecord | None:
    if len(body) < JOURNEY_BYTES or is_blank(body):
        return None
    return JourneyRecord(
        kind=body[0],
        terminal=body[3:9].hex().upper(),
        vehicle=body[9],
        line=body[10:12].hex().upper(),
        station=body[12:14].hex().upper(),
        amount_fen=int.from_bytes(body[17:21]),
        balance_fen=int.from_bytes(body[21:25]),
        at=_moment(body[25:32]),
        city=body[32:34].hex().upper(),
    )


def compound_record(body: bytes) -> CompoundRecord | None:
    """None also for a record that has its head and was never written."""
    if len(body) < 2 or is_blank(body[COMPOUND_HEAD_BYTES:]):
        return None
    if body[:2] == RAIL_IDENTIFIER:
        rail = _rail_state(body) if len(body) >= RAIL_BYTES else None
        return CompoundRecord(body[:2].hex(), len(body), rail)
    return CompoundRecord(body[:1].hex().upper(), len(body))


def _rail_state(body: bytes) -> RailState:
    return RailState(
        is_inside=body[122] == 0x55,
        entry_station=body[35:43].hex().upper(),
        exit_station=body[43:51].hex().upper(),
        entry_at=_moment(body[67:74]),
        exit_at=_moment(body[74:81]),
    )


def balance_fen(body: bytes) -> int | None:
    """4 bytes; readers leave bit 31 out (1.9)."""
    return int.from_bytes(body) & 0x7FFF_FFFF if len(body) == 4 else None


def is_blank(body: bytes) -> bool:
    """Never written: all 00, or all FF."""
    return not any(body) or all(byte == 0xFF for byte in body)


def _date(body: bytes) -> date | None:
    try:
        return datetime.strptime(body.hex(), "%Y%m%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        return None


def _moment(body: bytes) -> datetime | None:
    """The terminal's local time, as it wrote it."""
    try:
        return datetime.strptime(body.hex(), "%Y%m%d%H%M%S")  # noqa: DTZ007 - wall clock
    except ValueError:
        return None


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)
