"""What a terminal's SAM says and computes (design B.1.10): commands, session, tally; keeps no key.

The order of a purchase: 80 70 gives MAC1, the card debits, 80 72 checks its MAC2. Terminal and SAM
share these bytes, whichever side is in software. Every value at birth and every `decode` raises
`MalformedBytes` "sam_malformed".
"""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from card_protocol.apdu import CommandApdu
from card_protocol.checks import U8_MAX, U16_MAX, U32_MAX, require, require_bytes, require_whole
from card_protocol.epurse.suites import (
    ALGORITHMS,
    FACTOR_BYTES,
    KEY_BYTES,
    MAC_BYTES,
    PurseSuite,
    diversify_levels,
    get_suite,
    mac_is,
)
from card_protocol.epurse.transactions import (
    COUNTER_MAX,
    MOMENT_BYTES,
    RANDOM_BYTES,
    TERMINAL_BYTES,
    TERMINAL_SERIAL_BYTES,
    Purchase,
    TransactionKind,
    purchase_session_key,
)

CODE = "sam_malformed"
FOLDER: Final = 0x8011  # MOT; other SAMs of the field have 1001 (MOHURD) or DF01 (ETC)
CLA: Final = 0x80
INS_BEGIN, INS_FINISH = 0x70, 0x72
SFI_TERMINAL, SFI_KEY_INDEX = 0x16, 0x17
ISSUER_BYTES: Final = 8
SERIAL_MAX: Final = U32_MAX
MISMATCHES_MAX: Final = U16_MAX
LEVELS: Final = frozenset({0, 1, 2})
PURCHASE_KINDS: Final = frozenset({TransactionKind.PURCHASE, TransactionKind.COMPOUND_PURCHASE})


@dataclass(frozen=True, slots=True)
class SamRequest:
    """80 70 00 00: what the card said to INITIALIZE, and what the terminal wants. 28 or 36 bytes.

    `issuer` is sent where the SAM's masters are the nation's, which derives keys in two levels.
    """

    DATA_BYTES: ClassVar[int] = 28
    SIZES: ClassVar[frozenset[int]] = frozenset({DATA_BYTES, DATA_BYTES + ISSUER_BYTES})
    random: bytes  # 4, the card's
    offline_atc: int
    amount_fen: int
    kind: TransactionKind
    moment: bytes  # 7
    key_version: int
    algorithm: int
    card_factor: bytes  # 8, the end of the purse's serial
    issuer: bytes | None = None  # 8

    def __post_init__(self) -> None:
        require_bytes(self.random, RANDOM_BYTES, CODE, "random")
        require_whole(self.offline_atc, 0, COUNTER_MAX, CODE, "offline_atc")
        require_whole(self.amount_fen, 0, U32_MAX, CODE, "amount_fen")
        require(self.kind in PURCHASE_KINDS, CODE, "a SAM vouches for purchases")
        require_bytes(self.moment, MOMENT_BYTES, CODE, "moment")
        require_whole(self.key_version, 0, U8_MAX, CODE, "key_version")
        require_whole(self.algorithm, 0, U8_MAX, CODE, "algorithm")
        require_bytes(self.card_factor, FACTOR_BYTES, CODE, "card_factor")
        if self.issuer is not None:
            require_bytes(self.issuer, ISSUER_BYTES, CODE, "issuer")

    def encode(self) -> bytes:
        money = self.amount_fen.to_bytes(4) + bytes((self.kind,)) + self.moment
        key = bytes((self.key_version, self.algorithm)) + self.card_factor
        return self.random + self.offline_atc.to_bytes(2) + money + key + (self.issuer or b"")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        require(isinstance(data, bytes) and len(data) in cls.SIZES, CODE, "28 or 36 bytes")
        require(data[10] in PURCHASE_KINDS, CODE, "a SAM vouches for purchases")
        counted = data[:4], int.from_bytes(data[4:6]), int.from_bytes(data[6:10])
        key = data[18], data[19], data[20:28]
        return cls(*counted, TransactionKind(data[10]), data[11:18], *key, data[28:] or None)

    def to_apdu(self) -> CommandApdu:
        return CommandApdu(CLA, INS_BEGIN, 0, 0, self.encode(), SamOffer.DATA_BYTES)


@dataclass(frozen=True, slots=True)
class SamOffer:
    """What DEBIT carries from the SAM: its own count of purchases, and MAC1."""

    DATA_BYTES: ClassVar[int] = 8
    terminal_serial: bytes  # 4
    mac1: bytes  # 4

    def __post_init__(self) -> None:
        require_bytes(self.terminal_serial, TERMINAL_SERIAL_BYTES, CODE, "terminal_serial")
        require_bytes(self.mac1, MAC_BYTES, CODE, "mac1")

    def encode(self) -> bytes:
        return self.terminal_serial + self.mac1

    @classmethod
    def decode(cls, data: bytes) -> Self:
        require_bytes(data, cls.DATA_BYTES, CODE, "data")
        return cls(data[:4], data[4:])


def select_folder(folder: int = FOLDER) -> CommandApdu:
    """00 A4 00 00 02 8011."""
    require_whole(folder, 1, 0xFFFE, CODE, "folder")
    return CommandApdu(0x00, 0xA4, 0, 0, folder.to_bytes(2))


def read_terminal_number() -> CommandApdu:
    """00 B0 96 00 06."""
    return CommandApdu(0x00, 0xB0, 0x80 | SFI_TERMINAL, 0, b"", TERMINAL_BYTES)


def read_key_index() -> CommandApdu:
    """00 B0 97 00 01."""
    return CommandApdu(0x00, 0xB0, 0x80 | SFI_KEY_INDEX, 0, b"", 1)


def finish(mac2: bytes) -> CommandApdu:
    """80 72 00 00 04 MAC2; 9302 when it is not the card's."""
    require_bytes(mac2, MAC_BYTES, CODE, "mac2")
    return CommandApdu(CLA, INS_FINISH, 0, 0, mac2)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SamKey:
    """A master of purchase keys. Never printed; compared in constant time.

    `levels`: 2 issuer then card, 1 card, 0 the card's own key as it is: published examples only.
    """

    version: int  # as INITIALIZE tells it
    algorithm: int
    levels: int
    value: bytes  # 16

    def __post_init__(self) -> None:
        require_whole(self.version, 0, U8_MAX, CODE, "version")
        require(self.algorithm in ALGORITHMS, CODE, "an algorithm no purse has")
        require(self.levels in LEVELS, CODE, "keys have two levels at most")
        require_bytes(self.value, KEY_BYTES, CODE, "value")

    def __repr__(self) -> str:
        return f"SamKey(version={self.version}, algorithm={self.algorithm}, value=<secret>)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SamKey):
            return NotImplemented
        return self._public() == other._public() and hmac.compare_digest(self.value, other.value)

    def __hash__(self) -> int:
        return hash(self._public())

    def _public(self) -> tuple[int, ...]:
        return (self.version, self.algorithm, self.levels)

    @property
    def suite(self) -> PurseSuite:
        return get_suite(self.algorithm)

    def card_key(self, request: SamRequest) -> bytes:
        """The purchase key of the card that asks. UNSURE: which factor comes first at two levels.

        Raises `MalformedBytes` when two levels are needed and no issuer is named.
        """
        factors: tuple[bytes, ...] = (request.card_factor,) if self.levels else ()
        if self.levels == 2:
            require(request.issuer is not None, CODE, "this master needs the issuer")
            assert request.issuer is not None
            factors = (request.issuer[:4] + b"\xff" * 4, *factors)
        return diversify_levels(self.suite, self.value, factors)


def find_key(keys: Iterable[SamKey], request: SamRequest) -> SamKey | None:
    """The master of the version and algorithm the card named."""
    wanted = (request.key_version, request.algorithm)
    return next((key for key in keys if (key.version, key.algorithm) == wanted), None)


@dataclass(frozen=True, slots=True, repr=False)
class SamSession:
    """One purchase between MAC1 and MAC2. Its MAC2 is as good as money: never printed."""

    terminal_serial: bytes
    expected_mac2: bytes

    def __repr__(self) -> str:
        return f"SamSession({self.terminal_serial.hex()}, <secret>)"

    def is_answered_by(self, mac2: bytes) -> bool:
        return mac_is(mac2, self.expected_mac2)


def open_session(
    key: SamKey, request: SamRequest, terminal: bytes, terminal_serial: bytes
) -> tuple[SamOffer, SamSession]:
    """MAC1, and what MAC2 has to be. The same arguments give the same purchase again."""
    purchase = Purchase(request.amount_fen, terminal, terminal_serial, request.moment, request.kind)
    session_key = purchase_session_key(
        key.suite, key.card_key(request), request.random, request.offline_atc, terminal_serial
    )
    offer = SamOffer(terminal_serial, purchase.mac1(key.suite, session_key))
    return offer, SamSession(terminal_serial, purchase.mac2(key.suite, session_key))


@dataclass(frozen=True, slots=True)
class SamTally:
    """What a SAM may never forget: the last serial given out, and false MACs in a row."""

    MAGIC: ClassVar[bytes] = b"CST1"
    RECORD_BYTES: ClassVar[int] = 28
    terminal: bytes  # 6: whose tally it is
    serial: int = 0
    mismatches: int = 0
    sequence: int = 0  # of the record itself: the higher one is newer

    def __post_init__(self) -> None:
        require_bytes(self.terminal, TERMINAL_BYTES, CODE, "terminal")
        require_whole(self.serial, 0, SERIAL_MAX, CODE, "serial")
        require_whole(self.mismatches, 0, MISMATCHES_MAX, CODE, "mismatches")
        require_whole(self.sequence, 0, (1 << 64) - 1, CODE, "sequence")

    def encode(self) -> bytes:
        numbers = self.serial.to_bytes(4) + self.mismatches.to_bytes(2)
        body = self.MAGIC + self.terminal + self.sequence.to_bytes(8) + numbers
        return body + zlib.crc32(body).to_bytes(4)

    @classmethod
    def decode(cls, record: bytes) -> Self:
        """Raises `MalformedBytes` also when the checksum tells of a torn write."""
        require_bytes(record, cls.RECORD_BYTES, CODE, "a tally")
        body, checksum = record[:24], record[24:]
        is_whole = body[:4] == cls.MAGIC and zlib.crc32(body).to_bytes(4) == checksum
        require(is_whole, CODE, "no tally, or a torn one")
        numbers = int.from_bytes(body[18:22]), int.from_bytes(body[22:24])
        return cls(body[4:10], *numbers, int.from_bytes(body[10:18]))
