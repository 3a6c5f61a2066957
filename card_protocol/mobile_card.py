"""The mobile card, tap by tap (design A.2): its names, data objects, cryptogram; keeps no key."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import date as calendar_date
from datetime import time as clock_time
from enum import IntEnum, unique

from cryptography.hazmat.primitives.ciphers.algorithms import AES128, SM4
from cryptography.hazmat.primitives.cmac import CMAC

from card_protocol import tlv
from card_protocol.certificate import Certificate, verify_certificate
from card_protocol.checks import (
    U8_MAX,
    U16_MAX,
    U32_MAX,
    digits_from_bcd,
    require,
    require_bytes,
    require_printable,
    require_whole,
)
from card_protocol.errors import MalformedBytes, SuiteNotSupported
from card_protocol.signatures import (
    SIGNATURE_BYTES,
    Suite,
    compressed_point,
    sign,
    signature_from_der,
    verify_signature,
)
from card_protocol.token_number import (
    decode_token_number,
    encode_token_number,
    is_luhn_valid,
    luhn_check_digit,
    require_token_number,
)

__all__ = [  # the door of the mobile card: its parts live in three more modules
    "Certificate",
    "GpoResponse",
    "HolderCheck",
    "IssuerApplicationData",
    "Suite",
    "SuiteNotSupported",
    "TransactionData",
    "TransactionType",
    "compressed_point",
    "compute_cryptogram",
    "cryptogram_input",
    "is_luhn_valid",
    "is_signed_by_device",
    "luhn_check_digit",
    "sign",
    "signature_from_der",
    "signature_input",
    "verify_certificate",
    "verify_cryptogram",
    "verify_signature",
]

MOBILE_CARD_AID = bytes.fromhex("F0434954594341524401")
MOBILE_CARD_LABEL = "CITY CARD"
EPURSE_AID = bytes.fromhex("A000000632010105")
PPSE_NAME = b"2PAY.SYS.DDF01"

TAG_AMOUNT = 0x9F02
TAG_CURRENCY = 0x5F2A
TAG_DATE = 0x9A
TAG_TIME = 0x9F21
TAG_TRANSACTION_TYPE = 0x9C
TAG_UNPREDICTABLE_NUMBER = 0x9F37
TAG_TERMINAL_NUMBER = 0x9F1C
TAG_MERCHANT_NUMBER = 0x9F16
TAG_PDOL = 0x9F38
TAG_COMMAND_TEMPLATE = 0x83
TAG_RESPONSE_TEMPLATE = 0x77
TAG_AIP = 0x82
TAG_AFL = 0x94
TAG_TOKEN_NUMBER = 0x5A
TAG_SEQUENCE = 0x5F34
TAG_ATC = 0x9F36
TAG_CRYPTOGRAM_INFORMATION = 0x9F27
TAG_IAD = 0x9F10
TAG_CRYPTOGRAM = 0x9F26
TAG_SIGNATURE = 0x9F4B

_PDOL_FIELDS = (
    (TAG_AMOUNT, 6),
    (TAG_CURRENCY, 2),
    (TAG_DATE, 3),
    (TAG_TIME, 3),
    (TAG_TRANSACTION_TYPE, 1),
    (TAG_UNPREDICTABLE_NUMBER, 4),
    (TAG_TERMINAL_NUMBER, 8),
    (TAG_MERCHANT_NUMBER, 15),
)
PDOL = b"".join(tlv.tag_bytes(tag) + bytes((length,)) for tag, length in _PDOL_FIELDS)
PDOL_DATA_BYTES = sum(length for _, length in _PDOL_FIELDS)

AIP = bytes.fromhex("2000")  # dynamic data authentication, nothing else (EMV Book 3, C1)
CERTIFICATE_SFI = 1
CERTIFICATE_RECORD = 1
AFL = bytes((CERTIFICATE_SFI << 3, CERTIFICATE_RECORD, CERTIFICATE_RECORD, 1))
CRYPTOGRAM_INFORMATION_ONLINE = 0x80  # an authorisation request (EMV Book 3, 6.5.5)

AMOUNT_MAX_FEN = 999_999_999_999
IAD_BYTES = 7
CRYPTOGRAM_BYTES = 8
CRYPTOGRAM_KEY_BYTES = 16
AFL_BYTES_MAX = 252


@unique
class TransactionType(IntEnum):
    """Tag 9C: the processing code's first two digits of ISO 8583; 90 is our own."""

    PURCHASE = 0x00
    REFUND = 0x20
    BALANCE = 0x31
    IDENTIFY = 0x90


@unique
class HolderCheck(IntEnum):
    """How the device made sure of its holder before this tap; the last byte of 9F10."""

    NONE = 0
    DEVICE_UNLOCKED = 1
    PIN = 2
    BIOMETRIC = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionData:
    """What the terminal tells the card: 42 bytes, in the order of `PDOL`.

    `date` and `time` are binary-coded decimal and real; years are 2000..2099.
    Raises `MalformedBytes` "transaction_data_malformed".
    """

    amount_fen: int  # 0..999999999999
    currency: int = 0x0156  # ISO 4217 numeric, as its decimal digits are written
    date: bytes  # YYMMDD
    time: bytes  # HHMMSS
    transaction_type: TransactionType
    unpredictable_number: bytes  # 4 bytes, fresh for each tap
    terminal_number: str  # 8 printable ASCII
    merchant_number: str  # 15 printable ASCII

    CODE = "transaction_data_malformed"

    def __post_init__(self) -> None:
        code = self.CODE
        require_whole(self.amount_fen, 0, AMOUNT_MAX_FEN, code, "amount_fen")
        require_whole(self.currency, 0, 0x0999, code, "currency")
        digits_from_bcd(self.currency.to_bytes(2), code, "currency")
        require_bytes(self.date, 3, code, "date")
        require_bytes(self.time, 3, code, "time")
        _require_calendar(self.date, self.time, code)
        require(isinstance(self.transaction_type, TransactionType), code, "unknown type")
        require_bytes(self.unpredictable_number, 4, code, "unpredictable_number")
        require_printable(self.terminal_number, 8, 8, code, "terminal_number")
        require_printable(self.merchant_number, 15, 15, code, "merchant_number")

    def encode(self) -> bytes:
        return (
            bytes.fromhex(f"{self.amount_fen:012d}")
            + self.currency.to_bytes(2)
            + self.date
            + self.time
            + self.transaction_type.to_bytes(1)
            + self.unpredictable_number
            + self.terminal_number.encode("ascii")
            + self.merchant_number.encode("ascii")
        )

    @classmethod
    def decode(cls, body: bytes) -> TransactionData:
        require_bytes(body, PDOL_DATA_BYTES, cls.CODE, "the PDOL data")
        values, at = {}, 0
        for tag, length in _PDOL_FIELDS:
            values[tag] = body[at : at + length]
            at += length
        kind = values[TAG_TRANSACTION_TYPE][0]
        require(kind in set(TransactionType), cls.CODE, "unknown transaction type")
        return cls(
            amount_fen=int(digits_from_bcd(values[TAG_AMOUNT], cls.CODE, "amount")),
            currency=int.from_bytes(values[TAG_CURRENCY]),
            date=values[TAG_DATE],
            time=values[TAG_TIME],
            transaction_type=TransactionType(kind),
            unpredictable_number=values[TAG_UNPREDICTABLE_NUMBER],
            terminal_number=values[TAG_TERMINAL_NUMBER].decode("latin-1"),
            merchant_number=values[TAG_MERCHANT_NUMBER].decode("latin-1"),
        )


def _require_calendar(date: bytes, time: bytes, code: str) -> None:
    days = digits_from_bcd(date, code, "date")
    clock = digits_from_bcd(time, code, "time")
    try:
        calendar_date(2000 + int(days[:2]), int(days[2:4]), int(days[4:]))
        clock_time(int(clock[:2]), int(clock[2:4]), int(clock[4:]))
    except ValueError:
        raise MalformedBytes(code, "no such date or time") from None


@dataclass(frozen=True, slots=True)
class IssuerApplicationData:
    """Tag 9F10, 7 bytes: suite, key version, key index (u32), holder check.

    Raises `MalformedBytes` "iad_malformed".
    """

    suite: Suite
    key_version: int  # u8: which token master key
    key_index: int  # u32: which limited-use key
    holder_check: HolderCheck

    CODE = "iad_malformed"

    def __post_init__(self) -> None:
        require(isinstance(self.suite, Suite), self.CODE, "unknown suite")
        require_whole(self.key_version, 0, U8_MAX, self.CODE, "key_version")
        require_whole(self.key_index, 0, U32_MAX, self.CODE, "key_index")
        require(isinstance(self.holder_check, HolderCheck), self.CODE, "unknown holder check")

    def encode(self) -> bytes:
        return (
            bytes((self.suite, self.key_version))
            + self.key_index.to_bytes(4)
            + self.holder_check.to_bytes(1)
        )

    @classmethod
    def decode(cls, body: bytes) -> IssuerApplicationData:
        require_bytes(body, IAD_BYTES, cls.CODE, "the issuer application data")
        require(body[0] in set(Suite), cls.CODE, "unknown suite")
        require(body[6] in set(HolderCheck), cls.CODE, "unknown holder check")
        return cls(Suite(body[0]), body[1], int.from_bytes(body[2:6]), HolderCheck(body[6]))


@dataclass(frozen=True, slots=True)
class GpoResponse:
    """The card's answer to GET PROCESSING OPTIONS: template 77, objects in the order of A.2.

    Raises `MalformedBytes` "gpo_response_malformed".
    """

    aip: bytes  # 2 bytes
    afl: bytes  # groups of 4 bytes
    token_number: str  # 19 digits with check digit
    sequence: int  # 0..99
    atc: int  # u16
    cryptogram_information: int  # u8
    iad: IssuerApplicationData
    cryptogram: bytes  # 8 bytes
    signature: bytes  # 64 bytes r‖s

    CODE = "gpo_response_malformed"

    def __post_init__(self) -> None:
        code = self.CODE
        require_bytes(self.aip, 2, code, "aip")
        require(isinstance(self.afl, bytes), code, "afl is bytes")
        is_groups = 0 < len(self.afl) <= AFL_BYTES_MAX and len(self.afl) % 4 == 0
        require(is_groups, code, "afl is groups of 4 bytes")
        require_token_number(self.token_number, code)
        require_whole(self.sequence, 0, 99, code, "sequence")
        require_whole(self.atc, 0, U16_MAX, code, "atc")
        require_whole(self.cryptogram_information, 0, U8_MAX, code, "cryptogram_information")
        require(isinstance(self.iad, IssuerApplicationData), code, "iad is a value")
        require_bytes(self.cryptogram, CRYPTOGRAM_BYTES, code, "cryptogram")
        require_bytes(self.signature, SIGNATURE_BYTES, code, "signature")

    def encode(self) -> bytes:
        values = (
            self.aip,
            self.afl,
            encode_token_number(self.token_number),
            bytes.fromhex(f"{self.sequence:02d}"),
            self.atc.to_bytes(2),
            self.cryptogram_information.to_bytes(1),
            self.iad.encode(),
            self.cryptogram,
            self.signature,
        )
        objects = (tlv.Tlv(tag, value) for tag, value in zip(_GPO_ORDER, values, strict=True))
        return tlv.Tlv(TAG_RESPONSE_TEMPLATE, tlv.encode(objects)).encode()

    @classmethod
    def decode(cls, body: bytes) -> GpoResponse:
        code = cls.CODE
        (template,) = tlv.values_in_order(body, (TAG_RESPONSE_TEMPLATE,), code)
        aip, afl, token, sequence, atc, information, iad, cryptogram, signature = (
            tlv.values_in_order(template, _GPO_ORDER, code)
        )
        require_bytes(sequence, 1, code, "sequence")
        require_bytes(atc, 2, code, "atc")
        require_bytes(information, 1, code, "cryptogram information")
        try:
            issuer_data = IssuerApplicationData.decode(iad)
        except MalformedBytes as error:
            raise MalformedBytes(code, error.reason) from None
        return cls(
            aip=aip,
            afl=afl,
            token_number=decode_token_number(token, code),
            sequence=int(digits_from_bcd(sequence, code, "sequence")),
            atc=int.from_bytes(atc),
            cryptogram_information=information[0],
            iad=issuer_data,
            cryptogram=cryptogram,
            signature=signature,
        )


_GPO_ORDER = (
    TAG_AIP,
    TAG_AFL,
    TAG_TOKEN_NUMBER,
    TAG_SEQUENCE,
    TAG_ATC,
    TAG_CRYPTOGRAM_INFORMATION,
    TAG_IAD,
    TAG_CRYPTOGRAM,
    TAG_SIGNATURE,
)


def cryptogram_input(pdol_data: bytes, aip: bytes, atc: int, iad_bytes: bytes) -> bytes:
    """PDOL data (42) ‖ AIP (2) ‖ ATC (2) ‖ IAD (7): 53 bytes, the same for MAC and signature."""
    code = "cryptogram_input_malformed"
    require_bytes(pdol_data, PDOL_DATA_BYTES, code, "pdol_data")
    require_bytes(aip, 2, code, "aip")
    require_whole(atc, 0, U16_MAX, code, "atc")
    require_bytes(iad_bytes, IAD_BYTES, code, "iad_bytes")
    return pdol_data + aip + atc.to_bytes(2) + iad_bytes


def compute_cryptogram(suite: Suite, key: bytes, data: bytes) -> bytes:
    """9F26: the leftmost 8 bytes of CMAC (NIST SP 800-38B) under the limited-use key.

    The block cipher is AES-128 or SM4, by the suite. `verify_cryptogram` compares.
    """
    require_bytes(key, CRYPTOGRAM_KEY_BYTES, "key_malformed", "a limited-use key")
    mac = CMAC(AES128(key) if suite is Suite.AES_ES256 else SM4(key))
    mac.update(data)
    return mac.finalize()[:CRYPTOGRAM_BYTES]


def verify_cryptogram(suite: Suite, key: bytes, data: bytes, cryptogram: bytes) -> bool:
    """True when 9F26 is what this key gives over the data; compared in constant time."""
    return hmac.compare_digest(compute_cryptogram(suite, key, data), cryptogram)


def signature_input(
    pdol_data: bytes, aip: bytes, atc: int, iad_bytes: bytes, cryptogram: bytes
) -> bytes:
    """What the device key signs for 9F4B: the cryptogram's input ‖ the cryptogram, 61 bytes."""
    require_bytes(cryptogram, CRYPTOGRAM_BYTES, "cryptogram_input_malformed", "cryptogram")
    return cryptogram_input(pdol_data, aip, atc, iad_bytes) + cryptogram


def is_signed_by_device(certificate: Certificate, pdol_data: bytes, response: GpoResponse) -> bool:
    """The offline check of 9F4B: true when the certificate's device signed this answer.

    Token number and suite of the answer are those of the certificate: a key never verifies
    under the other suite. Raises `MalformedBytes` for PDOL data of another length.
    """
    if (response.token_number, response.iad.suite) != (certificate.token_number, certificate.suite):
        return False
    iad = response.iad.encode()
    signed = signature_input(pdol_data, response.aip, response.atc, iad, response.cryptogram)
    return certificate.device_key.verify(signed, response.signature)
