"""Numbers with a Luhn check digit (ISO/IEC 7812-1 annex B): token numbers and pay codes."""

from __future__ import annotations

from card_protocol.checks import is_digits, require, require_bytes, require_digits
from card_protocol.errors import MalformedBytes

CODE = "token_number_malformed"
TOKEN_NUMBER_DIGITS = 19
TOKEN_NUMBER_BYTES = 10


def luhn_check_digit(digits: str) -> str:
    """The one digit to append; raises `MalformedBytes` unless given ASCII digits."""
    require(is_digits(digits), CODE, "a check digit is computed over ASCII digits")
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


def is_luhn_valid(digits: str) -> bool:
    """True when the last digit is the check digit of the others; False for anything but digits."""
    return is_digits(digits) and len(digits) >= 2 and luhn_check_digit(digits[:-1]) == digits[-1]


def require_token_number(value: object, code: str = CODE) -> None:
    """Refuse what is not 19 digits with a right check digit."""
    require_digits(value, TOKEN_NUMBER_DIGITS, code, "a token number")
    require(is_luhn_valid(str(value)), code, "the token number's check digit is wrong")


def encode_token_number(token_number: str) -> bytes:
    """Compressed numeric as in tag 5A: 19 digits and a filler F in 10 bytes."""
    require_token_number(token_number)
    return bytes.fromhex(token_number + "F")


def decode_token_number(body: bytes, code: str = CODE) -> str:
    """The inverse of `encode_token_number`."""
    require_bytes(body, TOKEN_NUMBER_BYTES, code, "a token number")
    text = body.hex()
    if text[-1] != "f":
        raise MalformedBytes(code, "a token number is padded with F")
    require_token_number(text[:-1], code)
    return text[:-1]
