"""The merchant code (design A.3, B.3.1): our use of an EMVCo code; keeps no key, checks no MAC."""

from __future__ import annotations

import re
from dataclasses import dataclass

from card_protocol.checks import require, require_bytes, require_printable, require_whole
from card_protocol.emvco_text import (
    AMOUNT_MAX_FEN,
    CODE,
    ID_CRC,
    ID_FORMAT,
    TEXT_CHARACTERS_MAX,
    DataObject,
    amount_fen_of,
    amount_text,
    crc16,
    encode_template,
    encode_tlv,
    parse_template,
    parse_tlv,
)
from card_protocol.errors import MalformedBytes

__all__ = [
    "CODE",
    "FOREIGN_CODE",
    "MAC_BYTES",
    "MERCHANT_GUID",
    "TEXT_CHARACTERS_MAX",
    "DataObject",
    "MerchantAccount",
    "MerchantCode",
    "amount_fen_of",
    "amount_text",
    "code_authentication_input",
    "crc16",
    "encode_template",
    "encode_tlv",
    "parse_template",
    "parse_tlv",
]

FOREIGN_CODE = "merchant_code_foreign"
MERCHANT_GUID = "F0434954594341524401"  # the mobile card's AID (QRCPS 4.7.11 allows an AID)
MAC_BYTES = 8
AUTHENTICATION_CONTEXT = b"CITY CARD merchant code 1\x00"

ID_INITIATION = "01"
ID_ACCOUNT = "26"
ID_CATEGORY = "52"
ID_CURRENCY = "53"
ID_AMOUNT = "54"
ID_COUNTRY = "58"
ID_NAME = "59"
ID_CITY = "60"
ID_ADDITIONAL = "62"
ID_LANGUAGE = "64"
_STATIC, _DYNAMIC = "11", "12"
_CURRENCY, _COUNTRY, _LANGUAGE = "156", "CN", "ZH"

_SHOP_NUMBER = re.compile(r"[A-Za-z0-9_-]{1,32}")
_BILL_NUMBER = re.compile(r"[A-Za-z0-9]{1,25}")
_GUID = re.compile(r"[A-Za-z0-9.-]{1,32}")
_MAC = re.compile(r"[0-9A-F]{16}")
_CATEGORY = re.compile(r"[0-9]{4}")


@dataclass(frozen=True, slots=True)
class MerchantAccount:
    """Who is paid, and the issuer's MAC saying so: template 26 {00 guid, 01 shop, 02 MAC}.

    The bill number belongs to what the MAC covers but travels in 62-01, where every EMVCo reader
    looks for it. Raises `MalformedBytes` "merchant_code_malformed".
    """

    guid: str  # 1..32 of A-Z a-z 0-9 . -
    shop_number: str  # 1..32 of A-Z a-z 0-9 _ -
    bill_number: str | None  # 1..25 of A-Z a-z 0-9
    mac: bytes  # 8 bytes

    def __post_init__(self) -> None:
        _require_match(_GUID, self.guid, "guid")
        _require_match(_SHOP_NUMBER, self.shop_number, "shop_number")
        if self.bill_number is not None:
            _require_match(_BILL_NUMBER, self.bill_number, "bill_number")
        require_bytes(self.mac, MAC_BYTES, CODE, "mac")

    def template(self) -> str:
        """The value of object 26."""
        return encode_template(
            (
                DataObject("00", self.guid),
                DataObject("01", self.shop_number),
                DataObject("02", self.mac.hex().upper()),
            )
        )

    @classmethod
    def from_template(cls, text: str, bill_number: str | None, guid: str) -> MerchantAccount:
        """Reads object 26; "merchant_code_foreign" when it is another scheme's."""
        values = _values(text)
        if values.get("00") != guid:
            raise MalformedBytes(FOREIGN_CODE, "the merchant account is another scheme's")
        require(list(values) == ["00", "01", "02"], CODE, "template 26 has 00, 01 and 02")
        _require_match(_MAC, values["02"], "MAC")
        return cls(guid, values["01"], bill_number, bytes.fromhex(values["02"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantCode:
    """A code a merchant shows: static on the counter, or dynamic for one bill.

    A bill number makes a code dynamic. `merchant_name` and `city` are printable ASCII (EMVCo
    "ans"); the Chinese names go into template 64. Raises `MalformedBytes`
    "merchant_code_malformed", and "merchant_code_foreign" for a sound code that is not ours.
    """

    merchant_account: MerchantAccount
    is_dynamic: bool
    mcc: str  # 4 digits, ISO 18245
    amount_fen: int | None = None  # None: the citizen types it
    merchant_name: str  # 1..25
    city: str  # 1..15
    merchant_name_zh: str | None = None  # 1..25 characters
    city_zh: str | None = None  # 1..15 characters, only beside merchant_name_zh
    terminal_label: str | None = None  # 1..25

    def __post_init__(self) -> None:
        require(isinstance(self.merchant_account, MerchantAccount), CODE, "account is a value")
        require(isinstance(self.is_dynamic, bool), CODE, "is_dynamic is true or false")
        is_possible = self.is_dynamic or self.bill_number is None
        require(is_possible, CODE, "a static code has no bill number")
        _require_match(_CATEGORY, self.mcc, "mcc")
        if self.amount_fen is not None:
            require_whole(self.amount_fen, 1, AMOUNT_MAX_FEN, CODE, "amount_fen")
        require_printable(self.merchant_name, 1, 25, CODE, "merchant_name")
        require_printable(self.city, 1, 15, CODE, "city")
        _require_text(self.merchant_name_zh, 25, "merchant_name_zh")
        _require_text(self.city_zh, 15, "city_zh")
        has_name = self.merchant_name_zh is not None or self.city_zh is None
        require(has_name, CODE, "city_zh stands beside merchant_name_zh")
        if self.terminal_label is not None:
            require_printable(self.terminal_label, 1, 25, CODE, "terminal_label")

    @property
    def bill_number(self) -> str | None:
        return self.merchant_account.bill_number

    def encode(self) -> str:
        """The text of the QR code, objects ascending, CRC last."""
        amount = None if self.amount_fen is None else amount_text(self.amount_fen)
        additional = _template(("01", self.bill_number), ("07", self.terminal_label))
        language = None
        if self.merchant_name_zh is not None:
            language = _template(
                ("00", _LANGUAGE), ("01", self.merchant_name_zh), ("02", self.city_zh)
            )
        crc_follows = (
            (ID_INITIATION, _DYNAMIC if self.is_dynamic else _STATIC),
            (ID_ACCOUNT, self.merchant_account.template()),
            (ID_CATEGORY, self.mcc),
            (ID_CURRENCY, _CURRENCY),
            (ID_AMOUNT, amount),
            (ID_COUNTRY, _COUNTRY),
            (ID_NAME, self.merchant_name),
            (ID_CITY, self.city),
            (ID_ADDITIONAL, additional),
            (ID_LANGUAGE, language),
        )
        return encode_tlv(DataObject(id_, value) for id_, value in crc_follows if value)

    @classmethod
    def decode(cls, text: str, guid: str = MERCHANT_GUID) -> MerchantCode:
        """Reads a code of ours; objects we never write (tips, fees, others) are refused."""
        values = {item.id: item.value for item in parse_tlv(text)}
        require(ID_ACCOUNT in values, FOREIGN_CODE, "there is no merchant account of ours")
        additional = _values(values.get(ID_ADDITIONAL, ""))
        account = MerchantAccount.from_template(values[ID_ACCOUNT], additional.get("01"), guid)
        _require_ours(values, additional)
        language = _values(values.get(ID_LANGUAGE, ""))
        _require_language(language)
        amount = values.get(ID_AMOUNT)
        return cls(
            merchant_account=account,
            is_dynamic=values[ID_INITIATION] == _DYNAMIC,
            mcc=values[ID_CATEGORY],
            amount_fen=None if amount is None else amount_fen_of(amount),
            merchant_name=values[ID_NAME],
            city=values[ID_CITY],
            merchant_name_zh=language.get("01"),
            city_zh=language.get("02"),
            terminal_label=additional.get("07"),
        )


_NEEDED = {
    ID_FORMAT,
    ID_INITIATION,
    ID_ACCOUNT,
    ID_CATEGORY,
    ID_CURRENCY,
    ID_COUNTRY,
    ID_NAME,
    ID_CITY,
    ID_CRC,
}
_ALLOWED = _NEEDED | {ID_AMOUNT, ID_ADDITIONAL, ID_LANGUAGE}


def code_authentication_input(
    shop_number: str, amount_fen: int | None, bill_number: str | None
) -> bytes:
    """What the issuer MACs: context ‖ shop ‖ amount ‖ bill, each so that no two inputs meet.

    Texts are preceded by their length (u8); an absent part is 00, a present one 01 and the part;
    the amount is 8 bytes. Raises `MalformedBytes` "merchant_code_malformed".
    """
    _require_match(_SHOP_NUMBER, shop_number, "shop_number")
    amount = bill = b"\x00"
    if amount_fen is not None:
        require_whole(amount_fen, 1, AMOUNT_MAX_FEN, CODE, "amount_fen")
        amount = b"\x01" + amount_fen.to_bytes(8)
    if bill_number is not None:
        _require_match(_BILL_NUMBER, bill_number, "bill_number")
        bill = b"\x01" + _counted(bill_number)
    return AUTHENTICATION_CONTEXT + _counted(shop_number) + amount + bill


def _counted(text: str) -> bytes:
    return len(text).to_bytes(1) + text.encode("ascii")


def _require_match(pattern: re.Pattern[str], value: object, name: str) -> None:
    is_match = isinstance(value, str) and pattern.fullmatch(value) is not None
    require(is_match, CODE, f"{name} is {pattern.pattern}")


def _require_text(value: object, characters_max: int, name: str) -> None:
    """Absent, or printable text of any script."""
    if value is None:
        return
    is_text = isinstance(value, str) and value.isprintable() and 0 < len(value) <= characters_max
    require(is_text, CODE, f"{name} is 1 to {characters_max} printable characters")


def _require_ours(values: dict[str, str], additional: dict[str, str]) -> None:
    """Refuse what our codes never carry: the MAC would not cover a tip or a fee."""
    require(values.keys() >= _NEEDED, CODE, "an object is missing")
    require(values.keys() <= _ALLOWED, CODE, "an object is not of our codes")
    require(values[ID_INITIATION] in {_STATIC, _DYNAMIC}, CODE, "initiation is 11 or 12")
    is_here = values[ID_CURRENCY] == _CURRENCY and values[ID_COUNTRY] == _COUNTRY
    require(is_here, CODE, "currency is 156 and country CN")
    require(additional.keys() <= {"01", "07"}, CODE, "template 62 has 01 and 07 only")


def _require_language(language: dict[str, str]) -> None:
    if language:
        is_ours = {"00", "01"} <= language.keys() <= {"00", "01", "02"}
        require(is_ours and language["00"] == _LANGUAGE, CODE, "template 64 is not ZH and a name")


def _values(template: str) -> dict[str, str]:
    return {item.id: item.value for item in parse_template(template)}


def _template(*parts: tuple[str, str | None]) -> str:
    return encode_template(DataObject(id_, value) for id_, value in parts if value is not None)
