"""EMVCo merchant-presented codes as text: objects, CRC, amounts; knows no scheme and no merchant.

EMV QRCPS Merchant-Presented Mode 1.1, 3: an object is id (2 digits) ‖ length (2 digits) ‖ value,
and the length counts characters, not bytes.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass

from card_protocol.checks import is_digits, require, require_whole
from card_protocol.errors import MalformedBytes

CODE = "merchant_code_malformed"
TEXT_CHARACTERS_MAX = 512
VALUE_CHARACTERS_MAX = 99
AMOUNT_MAX_FEN = 999_999_999_999  # "9999999999.99", 13 characters

ID_FORMAT = "00"
ID_CRC = "63"
FORMAT_VERSION = "01"
_CRC_HEAD = ID_CRC + "04"
_CRC_CHARACTERS = 4
_AMOUNT = re.compile(r"([0-9]{1,13})(?:\.([0-9]{0,2}))?")


@dataclass(frozen=True, slots=True)
class DataObject:
    """One object of a code or of a template in it; raises "merchant_code_malformed"."""

    id: str  # 2 digits
    value: str  # 1..99 characters

    def __post_init__(self) -> None:
        require(is_digits(self.id) and len(self.id) == 2, CODE, "an id is 2 digits")
        require(isinstance(self.value, str), CODE, "a value is text")
        is_sized = 0 < len(self.value) <= VALUE_CHARACTERS_MAX
        require(is_sized, CODE, "a value has 1 to 99 characters")

    def encode(self) -> str:
        return f"{self.id}{len(self.value):02d}{self.value}"

    @classmethod
    def decode(cls, text: str) -> DataObject:
        """Exactly one object."""
        objects = parse_template(text)
        require(len(objects) == 1, CODE, "exactly one object is expected")
        return objects[0]


def crc16(body: bytes) -> str:
    """CRC-16/CCITT-FALSE (polynomial 1021, start FFFF) as 4 upper-case hex digits."""
    return f"{binascii.crc_hqx(body, 0xFFFF):04X}"


def encode_template(objects: Iterable[DataObject]) -> str:
    """The objects one after the other."""
    return "".join(item.encode() for item in objects)


def encode_tlv(objects: Iterable[DataObject]) -> str:
    """A whole code from the objects between format and CRC, which are added here."""
    text = encode_template((DataObject(ID_FORMAT, FORMAT_VERSION), *objects)) + _CRC_HEAD
    require(len(text) + _CRC_CHARACTERS <= TEXT_CHARACTERS_MAX, CODE, "longer than 512 characters")
    return text + crc16(text.encode())


def parse_template(text: str) -> tuple[DataObject, ...]:
    """The objects inside a template (ids 26..51, 62, 64, 80..99); ids do not repeat."""
    require(isinstance(text, str), CODE, "a template is text")
    require(len(text) <= TEXT_CHARACTERS_MAX, CODE, "longer than 512 characters")
    objects: list[DataObject] = []
    at = 0
    while at < len(text):
        head = text[at : at + 4]
        require(len(head) == 4 and is_digits(head), CODE, "an object starts with 4 digits")
        length = int(head[2:])
        value = text[at + 4 : at + 4 + length]
        require(len(value) == length, CODE, "a value ends before its length")
        objects.append(DataObject(head[:2], value))
        at += 4 + length
    is_unique = len({item.id for item in objects}) == len(objects)
    require(is_unique, CODE, "an id is repeated")
    return tuple(objects)


def parse_tlv(text: str) -> tuple[DataObject, ...]:
    """The objects of any merchant-presented code, its CRC checked (QRCPS 4.7.3).

    First is 00 = "01", last is 63. Raises `MalformedBytes` "merchant_code_malformed".
    """
    objects = parse_template(text)
    require(len(objects) >= 2, CODE, "format and CRC are missing")
    require(objects[0] == DataObject(ID_FORMAT, FORMAT_VERSION), CODE, "format 01 comes first")
    require(objects[-1].id == ID_CRC, CODE, "the CRC comes last")
    try:
        body = text[:-_CRC_CHARACTERS].encode()
    except UnicodeEncodeError:  # half a surrogate pair
        raise MalformedBytes(CODE, "not Unicode text") from None
    require(text.endswith(_CRC_HEAD + crc16(body)), CODE, "the CRC is wrong")
    return objects


def amount_text(amount_fen: int) -> str:
    """Yuan with two decimals, made with whole numbers: 1250 is "12.50"."""
    require_whole(amount_fen, 1, AMOUNT_MAX_FEN, CODE, "amount_fen")
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"


def amount_fen_of(text: str) -> int:
    """Fen of object 54: "98", "98.", "98.7" and "98.73" are all allowed; zero is not."""
    match = _AMOUNT.fullmatch(text)
    if match is None or len(text) > len("9999999999.99"):
        raise MalformedBytes(CODE, "an amount is decimal yuan with at most 2 decimals")
    amount_fen = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
    require_whole(amount_fen, 1, AMOUNT_MAX_FEN, CODE, "amount")
    return amount_fen
