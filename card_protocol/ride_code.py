"""The ride code 乘车码 (design A.3, B.3.4; JT/T 1179 shape): its bytes; checks no signature.

version 1 ‖ length 2 ‖ certificate 117 ‖ account 78 ‖ n 1 … custom n ‖ issuer signature 65 ‖
generated at 4 ‖ user signature 65. The standard's text was not at hand: what was not confirmed
by two sources stands in one named constant here and nowhere else.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum, unique

from card_protocol.checks import (
    U16_MAX,
    U32_MAX,
    is_digits,
    require,
    require_bytes,
    require_printable,
    require_whole,
)
from card_protocol.errors import MalformedBytes
from card_protocol.ride_certificate import (
    CERTIFICATE_BYTES,
    CODE,
    RideCertificate,
    RideSuite,
)
from card_protocol.signatures import SIGNATURE_BYTES, require_compressed_point

__all__ = [
    "CODE",
    "AccountType",
    "IssuerPart",
    "RideCertificate",
    "RideCode",
    "RideSuite",
]

VERSION_CODE = "ride_code_version_unknown"
VERSION = 0x81  # a certificate is included
SIGNATURE_FORMAT = 0x15  # unconfirmed: the byte before r‖s
CARD_NUMBER_DIGITS = 19
ACCOUNT_NUMBER_CHARACTERS = 16
CUSTOM_BYTES_MAX = 255
PLATFORM_ID_BYTES = 4
VALIDITY_SECONDS = 30
U24_MAX = 0xFF_FFFF
EPOCH_UNIX_SECONDS = 0  # unconfirmed: one generator counts the authorisation from 2000-01-01

_ACCOUNT = struct.Struct(">16s10s4s4sB3s33sIHB")
_SIGNED_BYTES = 1 + SIGNATURE_BYTES
_TAIL = struct.Struct(f">IB{SIGNATURE_BYTES}s")
HEAD = struct.Struct(">BH")
PART_BYTES_MIN = CERTIFICATE_BYTES + _ACCOUNT.size + _SIGNED_BYTES
RIDE_CODE_BYTES_MIN = HEAD.size + PART_BYTES_MIN + _TAIL.size
RIDE_CODE_BYTES_MAX = RIDE_CODE_BYTES_MIN + CUSTOM_BYTES_MAX
TAIL_BYTES = _TAIL.size

Sign = Callable[[bytes], bytes]
"""data -> r‖s, 64 bytes."""


@unique
class AccountType(IntEnum):
    """卡账户类型; unconfirmed figures, in the order of the e-purse's own card types (B.1.3)."""

    ORDINARY = 1
    STUDENT = 2
    SENIOR = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerPart:
    """Fields 3 to 15: what the issuer vouches for, for a day; fetched by the phone while online.

    `signature` is r‖s by the key in the certificate, over `body()`. Leave it out to issue one, and
    call `signed_by`. Raises `MalformedBytes` "ride_code_malformed".
    """

    certificate: RideCertificate
    account_number: str  # 16 printable ASCII
    card_number: str  # 19 digits
    issuer_id: bytes  # 4
    platform_id: bytes  # 4
    account_type: int  # u8
    ride_max_fen: int  # u24, the most one ride may cost
    user_public_key: bytes  # 33, SEC1 compressed
    authorised_until: int  # unix seconds, inclusive
    validity_seconds: int = VALIDITY_SECONDS  # u16, of a code once shown
    custom: bytes = b""  # up to 255
    signature: bytes = bytes(SIGNATURE_BYTES)

    def __post_init__(self) -> None:
        require(isinstance(self.certificate, RideCertificate), CODE, "certificate is a value")
        length = ACCOUNT_NUMBER_CHARACTERS
        require_printable(self.account_number, length, length, CODE, "account_number")
        is_number = is_digits(self.card_number) and len(self.card_number) == CARD_NUMBER_DIGITS
        require(is_number, CODE, "card_number is 19 digits")
        require_bytes(self.issuer_id, 4, CODE, "issuer_id")
        require_bytes(self.platform_id, PLATFORM_ID_BYTES, CODE, "platform_id")
        require_whole(self.account_type, 0, 0xFF, CODE, "account_type")
        require_whole(self.ride_max_fen, 0, U24_MAX, CODE, "ride_max_fen")
        require_compressed_point(self.user_public_key, CODE, "user_public_key")
        require_whole(self.authorised_until, EPOCH_UNIX_SECONDS, U32_MAX, CODE, "authorised_until")
        require_whole(self.validity_seconds, 1, U16_MAX, CODE, "validity_seconds")
        is_sized = isinstance(self.custom, bytes) and len(self.custom) <= CUSTOM_BYTES_MAX
        require(is_sized, CODE, "custom is up to 255 bytes")
        require_bytes(self.signature, SIGNATURE_BYTES, CODE, "signature")

    def body(self) -> bytes:
        """Fields 3 to 14, what the issuer signs."""
        account = _ACCOUNT.pack(
            self.account_number.encode("ascii"),
            bytes.fromhex("0" + self.card_number),
            self.issuer_id,
            self.platform_id,
            self.account_type,
            self.ride_max_fen.to_bytes(3),
            self.user_public_key,
            self.authorised_until - EPOCH_UNIX_SECONDS,
            self.validity_seconds,
            len(self.custom),
        )
        return self.certificate.encode() + account + self.custom

    def signed_by(self, sign: Sign) -> IssuerPart:
        """The same part with the signature that `sign` gives for `body()`."""
        return replace(self, signature=sign(self.body()))

    def encode(self) -> bytes:
        return self.body() + bytes((SIGNATURE_FORMAT,)) + self.signature

    @classmethod
    def decode(cls, body: bytes) -> IssuerPart:
        """Exactly one issuer part."""
        is_sized = isinstance(body, bytes) and len(body) >= PART_BYTES_MIN
        require(is_sized, CODE, "an issuer part is shorter than its fixed fields")
        fixed = _ACCOUNT.unpack_from(body, CERTIFICATE_BYTES)
        account, card, issuer_id, platform_id, kind, ride_max, key, until, validity, size = fixed
        require(len(body) == PART_BYTES_MIN + size, CODE, "custom data ends before its length")
        signature = _signature_of(body[-_SIGNED_BYTES:])
        number = card.hex()
        require(number[0] == "0", CODE, "card_number begins with a zero nibble")
        return cls(
            certificate=RideCertificate.decode(body[:CERTIFICATE_BYTES]),
            # latin-1 never fails; what is not ASCII is refused at birth
            account_number=account.decode("latin-1"),
            card_number=number[1:],
            issuer_id=issuer_id,
            platform_id=platform_id,
            account_type=kind,
            ride_max_fen=int.from_bytes(ride_max),
            user_public_key=key,
            authorised_until=until + EPOCH_UNIX_SECONDS,
            validity_seconds=validity,
            custom=body[CERTIFICATE_BYTES + _ACCOUNT.size : -_SIGNED_BYTES],
            signature=signature,
        )


@dataclass(frozen=True, slots=True)
class RideCode:
    """All that the picture says. Raises `MalformedBytes` "ride_code_malformed".

    `signature` is r‖s by the user's key, over everything before it.
    """

    part: IssuerPart
    generated_at: int  # unix seconds
    signature: bytes = bytes(SIGNATURE_BYTES)

    def __post_init__(self) -> None:
        require(isinstance(self.part, IssuerPart), CODE, "part is a value")
        require_whole(self.generated_at, 0, U32_MAX, CODE, "generated_at")
        require_bytes(self.signature, SIGNATURE_BYTES, CODE, "signature")

    def encode(self) -> bytes:
        """332 bytes and the custom data: the content of the QR code, in byte mode."""
        return _shown(self.part.encode(), self.generated_at, self.signature)

    @classmethod
    def decode(cls, code: bytes) -> RideCode:
        """Also "ride_code_version_unknown": a version without a certificate, or a later one."""
        generated_at, signature = split_tail(code)
        return cls(IssuerPart.decode(code[HEAD.size : -TAIL_BYTES]), generated_at, signature)


def show(part: bytes, generated_at: int, sign: Sign) -> bytes:
    """A code for now from the issuer part as fetched; made without the network.

    `sign` is the user's key. Raises `MalformedBytes` "ride_code_malformed".
    """
    require_whole(generated_at, 0, U32_MAX, CODE, "generated_at")
    unsigned = _shown(part, generated_at, bytes(SIGNATURE_BYTES))
    signature = sign(signed_bytes(unsigned))
    require_bytes(signature, SIGNATURE_BYTES, CODE, "signature")
    return unsigned[:-SIGNATURE_BYTES] + signature


def signed_bytes(code: bytes) -> bytes:
    """Fields 1 to 16: what the user signs."""
    return code[:-_SIGNED_BYTES]


def split_tail(code: bytes) -> tuple[int, bytes]:
    """(generated at, user signature), with head and sizes checked; nothing of the part is read."""
    size = len(code) if isinstance(code, bytes) else 0
    if not RIDE_CODE_BYTES_MIN <= size <= RIDE_CODE_BYTES_MAX:
        raise MalformedBytes(CODE, "a ride code has 332 to 587 bytes")
    version, length = HEAD.unpack_from(code)
    if version != VERSION:
        raise MalformedBytes(VERSION_CODE, "the version is not 81")
    if length != size - HEAD.size:
        raise MalformedBytes(CODE, "the length is not that of the fields")
    generated_at, form, signature = _TAIL.unpack_from(code, size - TAIL_BYTES)
    if form != SIGNATURE_FORMAT:
        raise MalformedBytes(CODE, "the signature's format byte is not known")
    return generated_at, signature


def from_scanner(text: str) -> bytes:
    """The bytes of a code that a scanner gives as ISO-8859-1 text."""
    require(isinstance(text, str), CODE, "a scanner's answer is text")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise MalformedBytes(CODE, "not ISO-8859-1") from None


def _shown(part: bytes, generated_at: int, signature: bytes) -> bytes:
    tail = _TAIL.pack(generated_at, SIGNATURE_FORMAT, signature)
    return HEAD.pack(VERSION, len(part) + len(tail)) + part + tail


def _signature_of(field: bytes) -> bytes:
    require(field[0] == SIGNATURE_FORMAT, CODE, "the signature's format byte is not known")
    return field[1:]
