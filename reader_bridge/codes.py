"""A pay code from a camera's picture or a scanner's line; knows nothing of whether it is true.

Only pictures need zxing-cpp and Pillow: both are imported at the first picture.
"""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Sequence
from typing import Any, Final

from card_protocol import pay_code
from card_protocol.errors import MalformedBytes
from reader_bridge.faults import CodeFault, ReaderFault, Text
from reader_bridge.offline.codes import require_no_identity_code

PICTURE_BYTES_MAX: Final = 8 * 1024 * 1024
PICTURE_PIXELS_MAX: Final = 24_000_000
CODES_MAX: Final = 16  # in one picture; more is a poster
LINE_CHARACTERS_MAX: Final = 64
_SYMBOLOGY_MARKS: Final = ("]C0", "]C1", "]Q0", "]Q1")  # ISO/IEC 15424, set by some scanners

# First two digits and lengths: design B.3.3.
_FOREIGN: Final[tuple[tuple[range, range, Text], ...]] = (
    (range(10, 16), range(18, 19), Text("微信支付", "WeChat Pay")),
    (range(25, 31), range(16, 25), Text("支付宝", "Alipay")),
    (range(62, 63), range(19, 20), Text("银联", "UnionPay")),
)
_OTHER_ISSUER: Final = Text("其他机构", "another issuer")


def read_scanner_line(line: str) -> str:
    """The 19 digits in what a scanner typed, also of a consumer-presented code.

    Raises CodeFault(pay_code_malformed, …_foreign, identity_code_not_accepted).
    """
    text = line.strip()
    for mark in _SYMBOLOGY_MARKS:
        text = text.removeprefix(mark)
    require_no_identity_code(text)
    if len(text) > LINE_CHARACTERS_MAX:
        raise CodeFault("pay_code_malformed")
    try:
        return pay_code.PayCode(*pay_code.read(text)).encode()
    except MalformedBytes as error:
        if error.code != pay_code.FOREIGN_CODE:
            raise CodeFault("pay_code_malformed") from None
    issuer = foreign_issuer(text)
    raise CodeFault("pay_code_foreign", issuer_zh=issuer.zh, issuer_en=issuer.en)


def read_picture(picture: bytes) -> str:
    """The pay code in a PNG or JPEG, as QR or Code 128.

    Other codes in the same picture do not matter, unless there is no pay code: then the first one
    says why. Raises CodeFault, ReaderFault(driver_missing).
    """
    texts = decode_picture(picture)
    own, faults = [], []
    for text in texts:
        try:
            own.append(read_scanner_line(text))
        except CodeFault as fault:
            faults.append(fault)
    if len(set(own)) > 1:
        raise CodeFault("code_ambiguous")
    if own:
        return own[0]
    raise faults[0] if faults else CodeFault("code_not_found")


def decode_picture(picture: bytes) -> Sequence[str]:
    """The text of every QR and Code 128 in a picture of bounded size.

    Raises CodeFault, ReaderFault(driver_missing).
    """
    return [barcode.text for barcode in _barcodes(picture)]


def decode_picture_bytes(picture: bytes) -> Sequence[bytes]:
    """The same as bytes: a ride code is no text."""
    return [bytes(barcode.bytes) for barcode in _barcodes(picture)]


def _barcodes(picture: bytes) -> Sequence[Any]:
    """zxing-cpp's own values."""
    if len(picture) > PICTURE_BYTES_MAX:
        raise CodeFault("picture_too_large")
    try:
        zxing, pillow = importlib.import_module("zxingcpp"), importlib.import_module("PIL.Image")
    except ImportError:
        raise ReaderFault("driver_missing", driver="zxing-cpp") from None
    kinds = zxing.BarcodeFormats([zxing.BarcodeFormat.QRCode, zxing.BarcodeFormat.Code128])
    return list(zxing.read_barcodes(_open(picture, pillow), formats=kinds))[:CODES_MAX]


def foreign_issuer(digits: str) -> Text:
    """Whose pay code has this prefix and length."""
    if not digits.isdecimal():
        return _OTHER_ISSUER
    prefix = int(digits[:2])
    for prefixes, lengths, issuer in _FOREIGN:
        if prefix in prefixes and len(digits) in lengths:
            return issuer
    return _OTHER_ISSUER


def _open(picture: bytes, pillow: Any) -> Any:
    """A grey picture; its size is read from the header before a pixel is unpacked."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            image = pillow.open(io.BytesIO(picture), formats=("PNG", "JPEG"))
            if image.width * image.height > PICTURE_PIXELS_MAX:
                raise CodeFault("picture_too_large")
            return image.convert("L")
    except (pillow.DecompressionBombWarning, pillow.DecompressionBombError):
        raise CodeFault("picture_too_large") from None
    except (OSError, ValueError, SyntaxError):  # also Pillow's UnidentifiedImageError
        raise CodeFault("picture_unreadable") from None
