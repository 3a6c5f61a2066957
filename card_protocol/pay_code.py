"""The pay code a citizen shows (design A.3): 19 digits made offline; knows no clock.

prefix 96 ‖ short number, 8 digits ‖ one-time digits, 8 ‖ Luhn check digit.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from card_protocol.checks import is_digits, require, require_bytes, require_digits, require_whole
from card_protocol.errors import MalformedBytes
from card_protocol.token_number import is_luhn_valid, luhn_check_digit

CODE = "pay_code_malformed"
FOREIGN_CODE = "pay_code_foreign"
PREFIX = "96"  # outside 10-15 WeChat, 25-30 Alipay, 62 UnionPay
CODE_DIGITS = 19
SHORT_NUMBER_DIGITS = 8
ONE_TIME_DIGITS = 8
STEP_SECONDS = 30
KEY_BYTES = 32
_U64_MAX = (1 << 64) - 1
# Lengths of the codes other schemes show in this country: 16 to 24 digits.
_FOREIGN_DIGITS_MIN, _FOREIGN_DIGITS_MAX = 16, 24


@dataclass(frozen=True, slots=True)
class PayCode:
    """What a pay code says; whether it is true only the issuer can tell.

    Raises `MalformedBytes` "pay_code_malformed", or "pay_code_foreign" for another scheme's code.
    """

    short_number: str  # 8 digits
    one_time: str  # 8 digits

    def __post_init__(self) -> None:
        require_digits(self.short_number, SHORT_NUMBER_DIGITS, CODE, "short_number")
        require_digits(self.one_time, ONE_TIME_DIGITS, CODE, "one_time")

    def encode(self) -> str:
        digits = PREFIX + self.short_number + self.one_time
        return digits + luhn_check_digit(digits)

    @classmethod
    def decode(cls, text: str) -> PayCode:
        require(is_digits(text), CODE, "a pay code is ASCII digits")
        is_other_length = _FOREIGN_DIGITS_MIN <= len(text) <= _FOREIGN_DIGITS_MAX
        if is_other_length and not text.startswith(PREFIX):
            raise MalformedBytes(FOREIGN_CODE, "the prefix belongs to another scheme")
        require_digits(text, CODE_DIGITS, CODE, "a pay code")
        require(is_luhn_valid(text), CODE, "the check digit is wrong")
        return cls(text[2:10], text[10:18])


def encode(short_number: str, one_time: str) -> str:
    """The 19 digits to show."""
    return PayCode(short_number, one_time).encode()


def decode(text: str) -> PayCode:
    """See `PayCode.decode`."""
    return PayCode.decode(text)


def step_at(unix_seconds: int) -> int:
    """The number of the 30-second step a moment lies in (RFC 6238 with T0 = 0)."""
    require_whole(unix_seconds, 0, _U64_MAX, CODE, "unix_seconds")
    return unix_seconds // STEP_SECONDS


def one_time_digits(key: bytes, step: int) -> str:
    """8 digits for one step: HOTP (RFC 4226, 5.3) with HMAC-SHA-256 under the pay code key."""
    require_bytes(key, KEY_BYTES, "key_malformed", "a pay code key")
    require_whole(step, 0, _U64_MAX, CODE, "step")
    digest = hmac.digest(key, step.to_bytes(8), hashlib.sha256)
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4]) & 0x7FFF_FFFF
    return f"{number % 10**ONE_TIME_DIGITS:0{ONE_TIME_DIGITS}d}"
