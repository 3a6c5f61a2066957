"""The purse's commands and answers as values (JR/T 0025; design B.1.4, B.1.5); decides nothing.

A command knows its data field (`encode`, `decode`) and its whole APDU (`to_apdu`); an answer its
data. Every `decode`, and every value at birth, raises `MalformedBytes` "purse_command_malformed".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, Self

from card_protocol.apdu import CommandApdu
from card_protocol.checks import U8_MAX, U16_MAX, U32_MAX, require, require_bytes, require_whole
from card_protocol.epurse.suites import MAC_BYTES
from card_protocol.epurse.transactions import (
    MOMENT_BYTES,
    RANDOM_BYTES,
    TERMINAL_BYTES,
    TERMINAL_SERIAL_BYTES,
    TransactionKind,
)

CODE = "purse_command_malformed"
CLA: Final = 0x80
INS_INITIALISE, INS_CREDIT, INS_DEBIT = 0x50, 0x52, 0x54
INS_PROVE, INS_BALANCE, INS_CHANGE_PIN, INS_UPDATE_CACHE = 0x5A, 0x5C, 0x5E, 0xDC
P1_LOAD, P1_PURCHASE, P1_COMPOUND = 0x00, 0x01, 0x03
P2_PURSE: Final = 0x02
PIN_BYTES_MIN, PIN_BYTES_MAX = 2, 6
PIN_SEPARATOR: Final = b"\xff"


@dataclass(frozen=True, slots=True)
class Initialise:
    """INITIALIZE FOR LOAD, PURCHASE or CAPP PURCHASE: 80 50 P1 02 0B."""

    DATA_BYTES: ClassVar[int] = 11
    KINDS: ClassVar[Mapping[int, TransactionKind]] = MappingProxyType(
        {
            P1_LOAD: TransactionKind.LOAD,
            P1_PURCHASE: TransactionKind.PURCHASE,
            P1_COMPOUND: TransactionKind.COMPOUND_PURCHASE,
        }
    )
    kind: TransactionKind
    key_index: int
    amount_fen: int
    terminal: bytes  # 6

    def __post_init__(self) -> None:
        require(self.kind in self.KINDS.values(), CODE, "a kind the purse does not have")
        require_whole(self.key_index, 0, U8_MAX, CODE, "key_index")
        require_whole(self.amount_fen, 0, U32_MAX, CODE, "amount_fen")
        require_bytes(self.terminal, TERMINAL_BYTES, CODE, "terminal")

    def encode(self) -> bytes:
        return bytes((self.key_index,)) + self.amount_fen.to_bytes(4) + self.terminal

    @classmethod
    def decode(cls, kind: TransactionKind, data: bytes) -> Self:
        require_bytes(data, cls.DATA_BYTES, CODE, "data")
        return cls(kind, data[0], int.from_bytes(data[1:5]), data[5:])

    def to_apdu(self) -> CommandApdu:
        p1 = next(p1 for p1, kind in self.KINDS.items() if kind is self.kind)
        answer = InitialiseLoadAnswer if p1 == P1_LOAD else InitialisePurchaseAnswer
        return CommandApdu(CLA, INS_INITIALISE, p1, P2_PURSE, self.encode(), answer.DATA_BYTES)


@dataclass(frozen=True, slots=True)
class InitialiseLoadAnswer:
    DATA_BYTES: ClassVar[int] = 16
    balance_fen: int
    online_atc: int
    key_version: int
    algorithm: int
    random: bytes  # 4
    mac1: bytes  # 4

    def __post_init__(self) -> None:
        _require_init(self.balance_fen, self.online_atc, self.key_version, self.algorithm)
        require_bytes(self.random, RANDOM_BYTES, CODE, "random")
        require_bytes(self.mac1, MAC_BYTES, CODE, "mac1")

    def encode(self) -> bytes:
        head = self.balance_fen.to_bytes(4) + self.online_atc.to_bytes(2)
        return head + bytes((self.key_version, self.algorithm)) + self.random + self.mac1

    @classmethod
    def decode(cls, data: bytes) -> Self:
        require_bytes(data, cls.DATA_BYTES, CODE, "data")
        balance_fen, atc = int.from_bytes(data[:4]), int.from_bytes(data[4:6])
        return cls(balance_fen, atc, data[6], data[7], data[8:12], data[12:])


@dataclass(frozen=True, slots=True)
class InitialisePurchaseAnswer:
    DATA_BYTES: ClassVar[int] = 15
    balance_fen: int
    offline_atc: int
    overdraft_fen: int  # u24
    key_version: int
    algorithm: int
    random: bytes  # 4

    def __post_init__(self) -> None:
        _require_init(self.balance_fen, self.offline_atc, self.key_version, self.algorithm)
        require_whole(self.overdraft_fen, 0, 0xFF_FFFF, CODE, "overdraft_fen")
        require_bytes(self.random, RANDOM_BYTES, CODE, "random")

    def encode(self) -> bytes:
        head = self.balance_fen.to_bytes(4) + self.offline_atc.to_bytes(2)
        overdraft = self.overdraft_fen.to_bytes(3)
        return head + overdraft + bytes((self.key_version, self.algorithm)) + self.random

    @classmethod
    def decode(cls, data: bytes) -> Self:
        require_bytes(data, cls.DATA_BYTES, CODE, "data")
        balance_fen, atc = int.from_bytes(data[:4]), int.from_bytes(data[4:6])
        overdraft_fen = int.from_bytes(data[6:9])
        return cls(balance_fen, atc, overdraft_fen, data[9], data[10], data[11:])


@dataclass(frozen=True, slots=True)
class Credit:
    """CREDIT FOR LOAD: 80 52 00 00 0B; the answer is the TAC (4)."""

    DATA_BYTES: ClassVar[int] = 11
    moment: bytes  # 7
    mac2: bytes  # 4

    def __post_init__(self) -> None:
        require_bytes(self.moment, MOMENT_BYTES, CODE, "moment")
        require_bytes(self.mac2, MAC_BYTES, CODE, "mac2")

    def encode(self) -> bytes:
        return self.moment + self.mac2

    @classmethod
    def decode(cls, data: bytes) -> Self:
        require_bytes(data, cls.DATA_BYTES, CODE, "data")
        return cls(data[:7], data[7:])

    def to_apdu(self) -> CommandApdu:
        return CommandApdu(CLA, INS_CREDIT, 0, 0, self.encode(), MAC_BYTES)


@dataclass(frozen=True, slots=True)
class Debit:
    """DEBIT FOR PURCHASE and CAPP PURCHASE: 80 54 01 00 0F."""

    DATA_BYTES: ClassVar[int] = 15
    terminal_serial: bytes  # 4
    moment: bytes  # 7
    mac1: bytes  # 4

    def __post_init__(self) -> None:
        require_bytes(self.terminal_serial, TERMINAL_SERIAL_BYTES, CODE, "terminal_serial")
        require_bytes(self.moment, MOMENT_BYTES, CODE, "moment")
        require_bytes(self.mac1, MAC_BYTES, CODE, "mac1")

    def encode(self) -> bytes:
        return self.terminal_serial + self.moment + self.mac1

    @classmethod
    def decode(cls, data: bytes) -> Self:
        require_bytes(data, cls.DATA_BYTES, CODE, "data")
        return cls(data[:4], data[4:11], data[11:])

    def to_apdu(self) -> CommandApdu:
        return CommandApdu(CLA, INS_DEBIT, 1, 0, self.encode(), DebitAnswer.DATA_BYTES)


@dataclass(frozen=True, slots=True)
class DebitAnswer:
    """TAC first; GET TRANSACTION PROVE has the MAC first."""

    DATA_BYTES: ClassVar[int] = 8
    tac: bytes  # 4
    mac2: bytes  # 4

    def __post_init__(self) -> None:
        require_bytes(self.tac, MAC_BYTES, CODE, "tac")
        require_bytes(self.mac2, MAC_BYTES, CODE, "mac2")

    def encode(self) -> bytes:
        return self.tac + self.mac2

    @classmethod
    def decode(cls, data: bytes) -> Self:
        require_bytes(data, cls.DATA_BYTES, CODE, "data")
        return cls(data[:4], data[4:])


@dataclass(frozen=True, slots=True)
class UpdateCache:
    """UPDATE CAPP DATA CACHE: 80 DC id SFI<<3; written by the DEBIT that follows."""

    sfi: int  # 1..30
    record_id: int  # the id's last byte, 00 for a cyclic file
    record: bytes  # 1..255

    def __post_init__(self) -> None:
        require_whole(self.sfi, 1, 30, CODE, "sfi")
        require_whole(self.record_id, 0, U8_MAX, CODE, "record_id")
        is_record = isinstance(self.record, bytes) and 1 <= len(self.record) <= U8_MAX
        require(is_record, CODE, "a record is 1 to 255 bytes")

    def to_apdu(self) -> CommandApdu:
        return CommandApdu(CLA, INS_UPDATE_CACHE, self.record_id, self.sfi << 3, self.record)


@dataclass(frozen=True, slots=True)
class Prove:
    """GET TRANSACTION PROVE: 80 5A 00 TTI 02; `atc` is INITIALIZE's plus one."""

    DATA_BYTES: ClassVar[int] = 2
    kind: TransactionKind
    atc: int

    def __post_init__(self) -> None:
        require(isinstance(self.kind, TransactionKind), CODE, "unknown kind")
        require_whole(self.atc, 0, U16_MAX, CODE, "atc")

    def to_apdu(self) -> CommandApdu:
        data = self.atc.to_bytes(2)
        return CommandApdu(CLA, INS_PROVE, 0, self.kind, data, ProveAnswer.DATA_BYTES)


@dataclass(frozen=True, slots=True)
class ProveAnswer:
    """The last MAC the card gave, and its TAC; `load_proof_mac` says which MAC a load has."""

    DATA_BYTES: ClassVar[int] = 8
    mac2: bytes  # 4
    tac: bytes  # 4

    def __post_init__(self) -> None:
        require_bytes(self.mac2, MAC_BYTES, CODE, "mac2")
        require_bytes(self.tac, MAC_BYTES, CODE, "tac")

    def encode(self) -> bytes:
        return self.mac2 + self.tac

    @classmethod
    def decode(cls, data: bytes) -> Self:
        require_bytes(data, cls.DATA_BYTES, CODE, "data")
        return cls(data[:4], data[4:])


def load_proof_mac(received_mac2: bytes) -> bytes:
    """The MAC half of a load's proof. UNSURE: the host's own MAC2, for a card makes none."""
    return received_mac2


def get_balance(p1: int = 0x00) -> CommandApdu:
    """GET BALANCE: 80 5C P1 02 04."""
    return CommandApdu(CLA, INS_BALANCE, p1, P2_PURSE, b"", 4)


def require_pin(pin: bytes) -> None:
    """2 to 6 bytes of BCD; an odd number of digits ends with F. Raises `MalformedBytes`."""
    is_long_enough = isinstance(pin, bytes) and PIN_BYTES_MIN <= len(pin) <= PIN_BYTES_MAX
    require(is_long_enough, CODE, "a PIN is 2 to 6 bytes")
    digits = pin.hex().removesuffix("f")
    require(digits.isdigit(), CODE, "a PIN is binary-coded decimal")


def verify_pin(pin: bytes) -> CommandApdu:
    """VERIFY: 00 20 00 00."""
    require_pin(pin)
    return CommandApdu(0x00, 0x20, 0, 0, pin)


def change_pin(old: bytes, new: bytes) -> CommandApdu:
    """CHANGE PIN: 80 5E 01 00 old FF new. UNSURE layout, from common knowledge."""
    require_pin(old)
    require_pin(new)
    return CommandApdu(CLA, INS_CHANGE_PIN, 1, 0, old + PIN_SEPARATOR + new)


def reload_pin(new: bytes, mac: bytes) -> CommandApdu:
    """RELOAD PIN: 80 5E 00 00 new MAC; the MAC is `secured.reload_pin_mac`."""
    require_pin(new)
    require_bytes(mac, MAC_BYTES, CODE, "mac")
    return CommandApdu(CLA, INS_CHANGE_PIN, 0, 0, new + mac)


def _require_init(balance_fen: int, counter: int, key_version: int, algorithm: int) -> None:
    require_whole(balance_fen, 0, U32_MAX, CODE, "balance_fen")
    require_whole(counter, 0, U16_MAX, CODE, "counter")
    require_whole(key_version, 0, U8_MAX, CODE, "key_version")
    require_whole(algorithm, 0, U8_MAX, CODE, "algorithm")
