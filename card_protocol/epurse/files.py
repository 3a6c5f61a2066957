"""The purse's files as values (JT/T 978; design B.1.3): 15, 16, 17, the log 18 and the journeys 1E.

Every `decode`, and every value at birth, raises `MalformedBytes` "purse_file_malformed". What a
reader does not need to understand is kept as bytes, so that any card can be read and shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from card_protocol import tlv
from card_protocol.checks import U8_MAX, U16_MAX, U32_MAX, require, require_bytes, require_whole
from card_protocol.epurse.transactions import MOMENT_BYTES, TERMINAL_BYTES
from card_protocol.fci import require_aid

CODE = "purse_file_malformed"
SFI_PUBLIC, SFI_HOLDER, SFI_MANAGEMENT, SFI_LOG = 0x15, 0x16, 0x17, 0x18
SFI_CAPP, SFI_TRANSIT, SFI_JOURNEYS = 0x19, 0x1A, 0x1E
LOG_RECORDS: Final = 10
JOURNEY_RECORDS: Final = 30
LABEL: Final = "MOT_T_EP"  # readers in the field insist on it
# The log's first field. UNSURE which the standard means: the counter after the transaction, the
# same number GET TRANSACTION PROVE asks for.
LOG_SEQUENCE_IS_AFTER: Final = True
TAG_FCI, TAG_NAME, TAG_PROPRIETARY, TAG_VERSION, TAG_PUBLIC = 0x6F, 0x84, 0xA5, 0x9F08, 0x9F0C


@dataclass(frozen=True, slots=True)
class PublicData:
    """SFI 15, and tag 9F0C of the FCI."""

    FILE_BYTES: ClassVar[int] = 30
    issuer: bytes  # 8
    application_type: int
    application_version: int
    serial: bytes  # 10
    start: bytes  # 4, CCYYMMDD in BCD
    expiry: bytes  # 4
    custom: bytes = bytes(2)

    def __post_init__(self) -> None:
        require_bytes(self.issuer, 8, CODE, "issuer")
        require_whole(self.application_type, 0, U8_MAX, CODE, "application_type")
        require_whole(self.application_version, 0, U8_MAX, CODE, "application_version")
        require_bytes(self.serial, 10, CODE, "serial")
        require_bytes(self.start, 4, CODE, "start")
        require_bytes(self.expiry, 4, CODE, "expiry")
        require_bytes(self.custom, 2, CODE, "custom")

    @property
    def key_factor(self) -> bytes:
        """What the card's own keys are diversified with: the serial's last 8 bytes."""
        return self.serial[-8:]

    def encode(self) -> bytes:
        kind = bytes((self.application_type, self.application_version))
        return self.issuer + kind + self.serial + self.start + self.expiry + self.custom

    @classmethod
    def decode(cls, body: bytes) -> Self:
        require_bytes(body, cls.FILE_BYTES, CODE, "SFI 15")
        dates = body[20:24], body[24:28]
        return cls(body[:8], body[8], body[9], body[10:20], *dates, body[28:])


def key_factors(public: PublicData, levels: int) -> tuple[bytes, ...]:
    """The factors of the card's keys under masters of this many levels, outermost first.

    One level: the card. Two: issuer, then card. UNSURE which comes first at two; SAMs seen in
    the field do it so. Raises `MalformedBytes`.
    """
    require(levels in {1, 2}, CODE, "keys have one or two levels")
    issuer_factor = public.issuer[:4] + b"\xff" * 4
    return (public.key_factor,) if levels == 1 else (issuer_factor, public.key_factor)


@dataclass(frozen=True, slots=True)
class HolderData:
    """SFI 16: free to read, so it carries no name and no identity number (design A.1)."""

    FILE_BYTES: ClassVar[int] = 55
    holder_type: int = 0
    staff: int = 0
    name: bytes = bytes(20)  # GBK; other people's cards fill it
    identity_number: bytes = bytes(32)
    identity_type: int = 0

    def __post_init__(self) -> None:
        require_whole(self.holder_type, 0, U8_MAX, CODE, "holder_type")
        require_whole(self.staff, 0, U8_MAX, CODE, "staff")
        require_bytes(self.name, 20, CODE, "name")
        require_bytes(self.identity_number, 32, CODE, "identity_number")
        require_whole(self.identity_type, 0, U8_MAX, CODE, "identity_type")

    def encode(self) -> bytes:
        kind = bytes((self.holder_type, self.staff))
        return kind + self.name + self.identity_number + bytes((self.identity_type,))

    @classmethod
    def decode(cls, body: bytes) -> Self:
        require_bytes(body, cls.FILE_BYTES, CODE, "SFI 16")
        return cls(body[0], body[1], body[2:22], body[22:54], body[54])


@dataclass(frozen=True, slots=True)
class ManagementData:
    """SFI 17 of T-Union. 11 of its 60 bytes have a meaning."""

    FILE_BYTES: ClassVar[int] = 60
    country: bytes  # 4: 00000156
    province: bytes  # 2
    city: bytes  # 2, UnionPay's region code
    interoperability: bytes  # 2
    card_type: int  # 1 ordinary, 2 student, 3 senior, 4 test, 5 military
    reserved: bytes = bytes(49)

    def __post_init__(self) -> None:
        require_bytes(self.country, 4, CODE, "country")
        require_bytes(self.province, 2, CODE, "province")
        require_bytes(self.city, 2, CODE, "city")
        require_bytes(self.interoperability, 2, CODE, "interoperability")
        require_whole(self.card_type, 0, U8_MAX, CODE, "card_type")
        require_bytes(self.reserved, 49, CODE, "reserved")

    def encode(self) -> bytes:
        place = self.country + self.province + self.city + self.interoperability
        return place + bytes((self.card_type,)) + self.reserved

    @classmethod
    def decode(cls, body: bytes) -> Self:
        require_bytes(body, cls.FILE_BYTES, CODE, "SFI 17")
        return cls(body[:4], body[4:6], body[6:8], body[8:10], body[10], body[11:])


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One of the ten records of SFI 18; a record of zero bytes was never written."""

    RECORD_BYTES: ClassVar[int] = 23
    sequence: int
    overdraft_fen: int  # u24
    amount_fen: int
    kind: int  # TTI; a number, for other cities' cards have kinds of their own
    terminal: bytes  # 6
    moment: bytes  # 7

    def __post_init__(self) -> None:
        require_whole(self.sequence, 0, U16_MAX, CODE, "sequence")
        require_whole(self.overdraft_fen, 0, 0xFF_FFFF, CODE, "overdraft_fen")
        require_whole(self.amount_fen, 0, U32_MAX, CODE, "amount_fen")
        require_whole(self.kind, 0, U8_MAX, CODE, "kind")
        require_bytes(self.terminal, TERMINAL_BYTES, CODE, "terminal")
        require_bytes(self.moment, MOMENT_BYTES, CODE, "moment")

    def encode(self) -> bytes:
        numbers = self.sequence.to_bytes(2) + self.overdraft_fen.to_bytes(3)
        amount = self.amount_fen.to_bytes(4) + bytes((self.kind,))
        return numbers + amount + self.terminal + self.moment

    @classmethod
    def decode(cls, body: bytes) -> Self:
        require_bytes(body, cls.RECORD_BYTES, CODE, "a record of SFI 18")
        sequence, overdraft_fen = int.from_bytes(body[:2]), int.from_bytes(body[2:5])
        amount_fen = int.from_bytes(body[5:9])
        return cls(sequence, overdraft_fen, amount_fen, body[9], body[10:16], body[16:])


@dataclass(frozen=True, slots=True)
class JourneyRecord:
    """One of the thirty records of SFI 1E (T-Union)."""

    RECORD_BYTES: ClassVar[int] = 48
    kind: int  # 02 single, 03 entry, 04 exit, 06 single
    terminal: bytes  # 8
    vehicle: int  # UNSURE meaning: 01 metro and 02 bus to most readers
    line: bytes  # 2
    station: bytes  # 2
    operator: bytes  # 2
    line_reserved: int
    amount_fen: int
    balance_fen: int
    moment: bytes  # 7
    city: bytes  # 2
    acquirer: bytes  # 8
    reserved: bytes = bytes(6)

    def __post_init__(self) -> None:
        for name in ("kind", "vehicle", "line_reserved"):
            require_whole(getattr(self, name), 0, U8_MAX, CODE, name)
        for name in ("amount_fen", "balance_fen"):
            require_whole(getattr(self, name), 0, U32_MAX, CODE, name)
        sizes = {"terminal": 8, "line": 2, "station": 2, "operator": 2, "moment": MOMENT_BYTES}
        for name, size in (sizes | {"city": 2, "acquirer": 8, "reserved": 6}).items():
            require_bytes(getattr(self, name), size, CODE, name)

    def encode(self) -> bytes:
        place = self.line + self.station + self.operator + bytes((self.line_reserved,))
        money = self.amount_fen.to_bytes(4) + self.balance_fen.to_bytes(4)
        head = bytes((self.kind,)) + self.terminal + bytes((self.vehicle,))
        return head + place + money + self.moment + self.city + self.acquirer + self.reserved

    @classmethod
    def decode(cls, body: bytes) -> Self:
        require_bytes(body, cls.RECORD_BYTES, CODE, "a record of SFI 1E")
        place = body[10:12], body[12:14], body[14:16], body[16]
        money = int.from_bytes(body[17:21]), int.from_bytes(body[21:25])
        rest = body[25:32], body[32:34], body[34:42], body[42:]
        return cls(body[0], body[1:9], body[9], *place, *money, *rest)


@dataclass(frozen=True, slots=True)
class PurseFci:
    """What SELECT answers: 6F{84 AID, A5{[9F08 version,] 9F0C SFI 15}}.

    T-Union has 9F08, City Union has not.
    """

    aid: bytes
    public: PublicData
    version: int | None = None

    def __post_init__(self) -> None:
        require_aid(self.aid, CODE)
        if self.version is not None:
            require_whole(self.version, 0, U8_MAX, CODE, "version")

    def encode(self) -> bytes:
        version = () if self.version is None else (tlv.Tlv(TAG_VERSION, bytes((self.version,))),)
        proprietary = tlv.encode((*version, tlv.Tlv(TAG_PUBLIC, self.public.encode())))
        objects = (tlv.Tlv(TAG_NAME, self.aid), tlv.Tlv(TAG_PROPRIETARY, proprietary))
        return tlv.Tlv(TAG_FCI, tlv.encode(objects)).encode()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        (template,) = tlv.values_in_order(body, (TAG_FCI,), CODE)
        aid, proprietary = tlv.values_in_order(template, (TAG_NAME, TAG_PROPRIETARY), CODE)
        items = {item.tag: item.value for item in tlv.parse(proprietary)}
        require(TAG_PUBLIC in items, CODE, "no 9F0C")
        version = items.get(TAG_VERSION)
        require(version is None or len(version) == 1, CODE, "9F08 is one byte")
        public = PublicData.decode(items[TAG_PUBLIC])
        return cls(aid, public, None if version is None else version[0])
