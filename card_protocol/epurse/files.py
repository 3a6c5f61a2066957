"""The purse's files as values (JT/T 978; design B.1.3): 15, 16, 17, the log 18 and the journeys 1E.

Where each field stands is written down once, in the `LAYOUT` of its file. Every `decode`, and every
value at birth, raises `MalformedBytes` "purse_file_malformed". What a reader does not need to
understand is kept as bytes, so that any card can be read and shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from card_protocol import tlv
from card_protocol.checks import U8_MAX, require, require_bytes, require_whole
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
class Part:
    """One field of a file: bytes as they are, or a big-endian number."""

    name: str
    size: int
    is_number: bool = False

    def require(self, value: object) -> None:
        """Raises `MalformedBytes` for a value that does not fit."""
        if self.is_number:
            require_whole(value, 0, (1 << 8 * self.size) - 1, CODE, self.name)
        else:
            require_bytes(value, self.size, CODE, self.name)


class Layout:
    """The fields of one file or record, in order and without gaps."""

    __slots__ = ("_slices", "parts", "size")

    def __init__(self, *parts: Part) -> None:
        self.parts = parts
        self.size = sum(part.size for part in parts)
        self._slices: dict[str, slice] = {}
        at = 0
        for part in parts:
            self._slices[part.name] = slice(at, at + part.size)
            at += part.size

    def slice_of(self, name: str) -> slice:
        """Where the field stands. Raises KeyError for a name it has not."""
        return self._slices[name]

    def values_in(self, body: bytes) -> Iterator[tuple[str, bytes | int]]:
        """(name, value) of each field; `body` has the size."""
        for part in self.parts:
            value = body[self._slices[part.name]]
            yield part.name, int.from_bytes(value) if part.is_number else value


class FileValue:
    """What all files share: checked at birth, written and read by their layout."""

    __slots__ = ()
    LAYOUT: ClassVar[Layout]

    def __post_init__(self) -> None:
        for part in self.LAYOUT.parts:
            part.require(getattr(self, part.name))

    def encode(self) -> bytes:
        return b"".join(
            getattr(self, part.name).to_bytes(part.size)
            if part.is_number
            else getattr(self, part.name)
            for part in self.LAYOUT.parts
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Of exactly the layout's size."""
        require_bytes(body, cls.LAYOUT.size, CODE, cls.__name__)
        make: Callable[..., Self] = cls
        return make(**dict(cls.LAYOUT.values_in(body)))


def _number(name: str, size: int = 1) -> Part:
    return Part(name, size, is_number=True)


@dataclass(frozen=True, slots=True)
class PublicData(FileValue):
    """SFI 15, and tag 9F0C of the FCI."""

    LAYOUT: ClassVar[Layout] = Layout(
        Part("issuer", 8),
        _number("application_type"),
        _number("application_version"),
        Part("serial", 10),
        Part("start", 4),
        Part("expiry", 4),
        Part("custom", 2),
    )
    issuer: bytes
    application_type: int
    application_version: int
    serial: bytes
    start: bytes  # CCYYMMDD in BCD
    expiry: bytes
    custom: bytes = bytes(2)

    @property
    def key_factor(self) -> bytes:
        """What the card's own keys are diversified with: the serial's last 8 bytes."""
        return self.serial[-8:]


def key_factors(public: PublicData, levels: int) -> tuple[bytes, ...]:
    """The factors of the card's keys under masters of this many levels, outermost first.

    One level: the card. Two: issuer, then card. UNSURE which comes first at two; SAMs seen in
    the field do it so. Raises `MalformedBytes`.
    """
    require(levels in {1, 2}, CODE, "keys have one or two levels")
    issuer_factor = public.issuer[:4] + b"\xff" * 4
    return (public.key_factor,) if levels == 1 else (issuer_factor, public.key_factor)


@dataclass(frozen=True, slots=True)
class HolderData(FileValue):
    """SFI 16: free to read, so it carries no name and no identity number (design A.1)."""

    LAYOUT: ClassVar[Layout] = Layout(
        _number("holder_type"),
        _number("staff"),
        Part("name", 20),
        Part("identity_number", 32),  # 16 in files of 39 bytes
        _number("identity_type"),
    )
    holder_type: int = 0
    staff: int = 0
    name: bytes = bytes(20)  # GBK; other people's cards fill it
    identity_number: bytes = bytes(32)
    identity_type: int = 0


@dataclass(frozen=True, slots=True)
class ManagementData(FileValue):
    """SFI 17 of T-Union. 11 of its 60 bytes have a meaning."""

    LAYOUT: ClassVar[Layout] = Layout(
        Part("country", 4),
        Part("province", 2),
        Part("city", 2),
        Part("interoperability", 2),
        _number("card_type"),
        Part("reserved", 49),
    )
    country: bytes  # 00000156
    province: bytes
    city: bytes  # UnionPay's region code
    interoperability: bytes
    card_type: int  # 1 ordinary, 2 student, 3 senior, 4 test, 5 military
    reserved: bytes = bytes(49)


@dataclass(frozen=True, slots=True)
class LogRecord(FileValue):
    """One of the ten records of SFI 18; a record of zero bytes was never written."""

    LAYOUT: ClassVar[Layout] = Layout(
        _number("sequence", 2),
        _number("overdraft_fen", 3),
        _number("amount_fen", 4),
        _number("kind"),
        Part("terminal", TERMINAL_BYTES),
        Part("moment", MOMENT_BYTES),
    )
    sequence: int
    overdraft_fen: int
    amount_fen: int
    kind: int  # TTI; a number, for other cities' cards have kinds of their own
    terminal: bytes
    moment: bytes


@dataclass(frozen=True, slots=True)
class JourneyRecord(FileValue):
    """One of the thirty records of SFI 1E (T-Union)."""

    LAYOUT: ClassVar[Layout] = Layout(
        _number("kind"),
        Part("terminal", 8),
        _number("vehicle"),
        Part("line", 2),
        Part("station", 2),
        Part("operator", 2),
        _number("line_reserved"),
        _number("amount_fen", 4),
        _number("balance_fen", 4),
        Part("moment", MOMENT_BYTES),
        Part("city", 2),
        Part("acquirer", 8),
        Part("reserved", 6),
    )
    kind: int  # 02 single, 03 entry, 04 exit, 06 single
    terminal: bytes  # two zero bytes and the terminal's six
    vehicle: int  # UNSURE meaning: 01 metro and 02 bus to most readers
    line: bytes
    station: bytes
    operator: bytes
    line_reserved: int
    amount_fen: int
    balance_fen: int
    moment: bytes
    city: bytes
    acquirer: bytes
    reserved: bytes = bytes(6)


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
