"""Pictures of codes for a screen, as PNG. Knows nothing of what a code says.

The libraries are imported when a picture is made: two are native, and an app that draws codes
with its platform's own means goes without.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal, cast

from sdk_mobile.errors import NotReady

if TYPE_CHECKING:
    from PIL import Image

PictureKind = Literal["qr", "code128"]

QR_MODULE_PIXELS = 10
QR_QUIET_MODULES = 4  # ISO/IEC 18004 asks for four
BAR_PIXELS = 3
CONTENT_CHARACTERS_MAX = 512


def picture(content: str | bytes, kind: PictureKind) -> bytes:
    """A PNG, black on white, with the quiet zone scanners need.

    Bytes are for QR codes, which then have byte mode. Raises ValueError when there is no content,
    too much, or the kind is not known; NotReady `no_picture_library`.
    """
    if not 1 <= len(content) <= CONTENT_CHARACTERS_MAX:
        raise ValueError("a code holds 1 to 512 characters or bytes")
    try:
        if kind == "qr":
            return _png(_qr(content))
        if kind == "code128" and isinstance(content, str):
            return _png(_code128(content))
    except ModuleNotFoundError as error:
        raise NotReady("no_picture_library", f"{error.name} is not installed") from error
    raise ValueError(f"not a kind of picture: {kind}")


def _qr(content: str | bytes) -> Image.Image:
    import qrcode  # noqa: PLC0415
    from qrcode.constants import ERROR_CORRECT_M  # noqa: PLC0415
    from qrcode.util import MODE_8BIT_BYTE, QRData  # noqa: PLC0415

    code = qrcode.QRCode(
        error_correction=ERROR_CORRECT_M, box_size=QR_MODULE_PIXELS, border=QR_QUIET_MODULES
    )
    if isinstance(content, bytes):  # else its digits would be cut out into a mode of their own
        code.add_data(QRData(content, mode=MODE_8BIT_BYTE))
    else:
        code.add_data(content)
    code.make(fit=True)
    image: Image.Image = code.make_image().get_image()
    return image.convert("L")


def _code128(content: str) -> Image.Image:
    import zxingcpp  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    barcode = zxingcpp.create_barcode(content, zxingcpp.BarcodeFormat.Code128)
    bars = barcode.to_image(scale=BAR_PIXELS)
    height, width = bars.shape
    pixels = bytes(cast("bytes", bars))  # a buffer, which its type stub does not say
    return Image.frombytes("L", (width, height), pixels)


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
