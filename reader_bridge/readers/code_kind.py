"""Which kind of code a payload says it is, and its bytes without what scanners add; pure.

Whether the code is true is for its kernel: a damaged pay code is still a pay code here, so that it
is refused as one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from enum import Enum, unique
from typing import Final

from card_protocol import emvco, emvco_consumer, identity_code, pay_code, ride_code
from card_protocol.emvco import MerchantCode
from card_protocol.errors import MalformedBytes

PAYLOAD_BYTES_MAX: Final = 2953  # QR version 40, level L, byte mode (ISO/IEC 18004, table 7)
# ]cm before the data (ISO/IEC 15424), and the character set a QR code names (]Q2: \nnnnnn).
SYMBOLOGY_MARK: Final = re.compile(rb"\A\](?:C[0-3]|Q[0-6]|e0|d[0-6]|L[0-2])(?:\\[0-9]{6})?")
# Spaces, the frame marks STX, ETX, EOT, and GS as the head of a GS1 symbol.
_PADDING: Final = b" \t\r\n\0\x02\x03\x04\x1d"
_MERCHANT_START: Final = "000201"  # payload format 01 is the first object (EMVCo QRCPS-MPM 4.3)
_INVISIBLE: Final = frozenset({"Cc", "Cf"})  # zero width, byte order mark, what an IME leaves


@unique
class CodeKind(Enum):
    """Who handles it."""

    PAY = "pay"  # 付款码, of ours
    RIDE = "ride"  # 乘车码
    MERCHANT = "merchant"  # 收款码, of ours: the citizen's app should have scanned it
    IDENTITY = "identity"  # 身份码
    FOREIGN = "foreign"  # none of ours


def classify(payload: bytes) -> CodeKind:
    """By its form alone; total for any bytes."""
    if not payload or len(payload) > PAYLOAD_BYTES_MAX:
        return CodeKind.FOREIGN
    if is_ride(payload):
        return CodeKind.RIDE
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        return CodeKind.FOREIGN
    if text.startswith(identity_code.TEXT_START):
        return CodeKind.IDENTITY
    if text.startswith(_MERCHANT_START):
        return _merchant_kind(text)
    return CodeKind.PAY if _is_pay_code(text) else CodeKind.FOREIGN


def is_ride(payload: bytes) -> bool:
    """A ride code's version is 80 or higher; no text in UTF-8 begins with 80 to BF."""
    return 0x80 <= payload[0] <= 0xBF


def clean(raw: bytes) -> bytes:
    """The payload without marks, padding, full-width digits and doubled encoding.

    What is a code as it is stays as it is; of what is none, only padding goes.
    """
    candidates = tuple(_candidates(raw))
    for candidate in candidates:
        if classify(candidate) is not CodeKind.FOREIGN:
            return candidate
    # another scheme's digits, out of an IME: whose they are can be told
    return candidates[-1] if candidates[-1].isdigit() else candidates[0].strip(_PADDING)


def _candidates(raw: bytes) -> Iterator[bytes]:
    bare = SYMBOLOGY_MARK.sub(b"", raw.lstrip(_PADDING))
    yield _cut_ride(bare)
    stripped = SYMBOLOGY_MARK.sub(b"", bare.strip(_PADDING)).strip(_PADDING)
    yield stripped
    try:
        text = stripped.decode("utf-8")
    except UnicodeDecodeError:
        return
    if all(ord(character) <= 0xFF for character in text):
        yield _cut_ride(text.encode("latin-1"))  # bytes that a scanner wrote as text
    shown = "".join(one for one in text if unicodedata.category(one) not in _INVISIBLE)
    yield unicodedata.normalize("NFKC", shown).strip().encode("utf-8")


def _cut_ride(payload: bytes) -> bytes:
    """A ride code without what follows it: it says how long it is."""
    head = ride_code.HEAD
    if len(payload) < head.size or not is_ride(payload):
        return payload
    size = head.size + head.unpack_from(payload)[1]
    is_followed = size < len(payload) and not payload[size:].strip(_PADDING)
    return payload[:size] if is_followed else payload


def _merchant_kind(text: str) -> CodeKind:
    try:
        MerchantCode.decode(text)
    except MalformedBytes as error:
        if error.code == emvco.FOREIGN_CODE:
            return CodeKind.FOREIGN
    return CodeKind.MERCHANT


def _is_pay_code(text: str) -> bool:
    try:
        pay_code.read(text)
    except MalformedBytes as error:
        if error.code == pay_code.FOREIGN_CODE:
            return False
        is_numbered = text.isascii() and text.isdecimal() and text.startswith(pay_code.PREFIX)
        return emvco_consumer.is_consumer_code(text) or is_numbered
    return True
