"""The three commands of a mobile card (design A.2) as values; what they answer stands elsewhere.

`to_apdu` and `from_apdu` translate to the header and back; `from_apdu` refuses another command.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from card_protocol import tlv
from card_protocol.apdu import SHORT_LE_MAX, CommandApdu
from card_protocol.checks import require, require_bytes, require_whole
from card_protocol.errors import MalformedBytes
from card_protocol.fci import require_aid
from card_protocol.mobile_card import PDOL_DATA_BYTES, TAG_COMMAND_TEMPLATE

CODE = "command_malformed"


@dataclass(frozen=True, slots=True)
class Select:
    """SELECT by name, first occurrence (ISO/IEC 7816-4, 11.1.1): 00 A4 04 00 Lc name 00.

    Readers send it with and without Le; both are accepted.
    """

    HEADER: ClassVar[bytes] = bytes.fromhex("00A40400")

    name: bytes  # an AID, or `PPSE_NAME`

    def __post_init__(self) -> None:
        require_aid(self.name, CODE)

    def to_apdu(self) -> CommandApdu:
        return _command(self.HEADER, self.name)

    @classmethod
    def from_apdu(cls, command: CommandApdu) -> Select:
        _require_header(command, cls.HEADER)
        return cls(command.data)


@dataclass(frozen=True, slots=True)
class GetProcessingOptions:
    """GET PROCESSING OPTIONS (EMV Book 3, 6.5.8): 80 A8 00 00 2C 83 2A <PDOL data> 00."""

    HEADER: ClassVar[bytes] = bytes.fromhex("80A80000")

    pdol_data: bytes  # 42 bytes, as `TransactionData.encode` gives

    def __post_init__(self) -> None:
        require_bytes(self.pdol_data, PDOL_DATA_BYTES, CODE, "pdol_data")

    def to_apdu(self) -> CommandApdu:
        return _command(self.HEADER, tlv.Tlv(TAG_COMMAND_TEMPLATE, self.pdol_data).encode())

    @classmethod
    def from_apdu(cls, command: CommandApdu) -> GetProcessingOptions:
        _require_header(command, cls.HEADER)
        (pdol_data,) = tlv.values_in_order(command.data, (TAG_COMMAND_TEMPLATE,), CODE)
        return cls(pdol_data)


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """READ RECORD by number (ISO/IEC 7816-4, 11.3.3): 00 B2 record (SFI<<3 | 4) 00."""

    CLA: ClassVar[int] = 0x00
    INS: ClassVar[int] = 0xB2

    sfi: int  # 1..30
    record: int  # 1..254

    def __post_init__(self) -> None:
        require_whole(self.sfi, 1, 30, CODE, "sfi")
        require_whole(self.record, 1, 254, CODE, "record")

    def to_apdu(self) -> CommandApdu:
        return _command(bytes((self.CLA, self.INS, self.record, self.sfi << 3 | 4)), b"")

    @classmethod
    def from_apdu(cls, command: CommandApdu) -> ReadRecord:
        is_read = command.cla == cls.CLA and command.ins == cls.INS and not command.data
        require(is_read and command.p2 & 0x07 == 4, CODE, "not READ RECORD by number")
        return cls(command.p2 >> 3, command.p1)


def _command(header: bytes, data: bytes) -> CommandApdu:
    cla, ins, p1, p2 = header
    return CommandApdu(cla, ins, p1, p2, data, SHORT_LE_MAX)


def _require_header(command: CommandApdu, header: bytes) -> None:
    if command.header != header:
        raise MalformedBytes(CODE, f"the header is {header.hex().upper()}")
