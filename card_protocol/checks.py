"""Checks a value makes at birth: whole numbers, byte strings, digits; each refuses by code."""

from __future__ import annotations

from card_protocol.errors import MalformedBytes

U8_MAX = 0xFF
U16_MAX = 0xFFFF
U32_MAX = 0xFFFF_FFFF


def require(condition: bool, code: str, reason: str) -> None:
    """Raise `MalformedBytes(code, reason)` unless the condition holds."""
    if not condition:
        raise MalformedBytes(code, reason)


def require_whole(value: object, lowest: int, highest: int, code: str, name: str) -> None:
    """A plain int inside [lowest, highest]; True and 1.0 are not numbers here."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise MalformedBytes(code, f"{name} is a whole number from {lowest} to {highest}")


def require_bytes(value: object, length: int, code: str, name: str) -> None:
    """Immutable bytes of exactly this length."""
    if not isinstance(value, bytes) or len(value) != length:
        raise MalformedBytes(code, f"{name} is {length} bytes")


def is_digits(value: object) -> bool:
    """ASCII digits only: `str.isdigit` alone would let superscripts and Arabic digits through."""
    return isinstance(value, str) and value.isascii() and value.isdigit()


def require_digits(value: object, length: int, code: str, name: str) -> None:
    """A text of exactly this many ASCII digits."""
    if not isinstance(value, str) or not is_digits(value) or len(value) != length:
        raise MalformedBytes(code, f"{name} is {length} digits")


def require_printable(value: object, lowest: int, highest: int, code: str, name: str) -> None:
    """ASCII 20..7E ("ans" of ISO 8583), with a length inside [lowest, highest]."""
    if (
        not isinstance(value, str)
        or not lowest <= len(value) <= highest
        or not (value.isascii() and value.isprintable())
    ):
        raise MalformedBytes(code, f"{name} is {lowest} to {highest} printable ASCII characters")


def digits_from_bcd(body: bytes, code: str, name: str) -> str:
    """Two decimal digits a byte, high half first; other nibbles are refused."""
    text = body.hex()
    if not text.isdigit():
        raise MalformedBytes(code, f"{name} is binary-coded decimal")
    return text
