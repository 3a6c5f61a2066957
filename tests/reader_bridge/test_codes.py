"""Pay codes from pictures and from a scanner, and everything that is none."""

from __future__ import annotations

import io
import random
from typing import Any, cast

import pytest
import qrcode
import zxingcpp
from PIL import Image

from reader_bridge.codes import (
    PICTURE_BYTES_MAX,
    decode_picture,
    read_picture,
    read_scanner_line,
)
from reader_bridge.faults import CodeFault
from tests.reader_bridge.support import PAY_CODE, numbered

WECHAT, ALIPAY, UNIONPAY = "134567890123456789", "281234567890123456", "6212345678901234567"


def saved(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def qr(text: str) -> Image.Image:
    return qrcode.make(text).get_image().convert("L")


def code_128(text: str) -> Image.Image:
    barcode = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.Code128)
    pixels = barcode.to_image(scale=3)
    height, width, *_ = cast(Any, pixels).shape
    image = Image.frombytes("L", (width, height), bytes(cast(Any, pixels)))
    page = Image.new("L", (image.width + 80, image.height + 80), 255)
    page.paste(image.resize((image.width, max(image.height, 60))), (40, 10))
    return page


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("draw", [qr, code_128])
@pytest.mark.parametrize("angle", [0, 90, 180])
def test_a_picture_as_a_camera_gives_it(kind, draw, angle):
    assert read_picture(saved(draw(PAY_CODE).rotate(angle, expand=True), kind)) == PAY_CODE


def side_by_side(*images: Image.Image) -> Image.Image:
    page = Image.new("L", (sum(i.width for i in images) + 40, max(i.height for i in images)), 255)
    at = 0
    for image in images:
        page.paste(image, (at, 0))
        at += image.width + 20
    return page


def test_both_symbols_of_one_code_are_one_code():
    assert read_picture(saved(side_by_side(qr(PAY_CODE), code_128(PAY_CODE)))) == PAY_CODE


def test_a_poster_beside_the_code_does_not_matter():
    assert read_picture(saved(side_by_side(qr("https://city.example"), qr(PAY_CODE)))) == PAY_CODE


def test_two_pay_codes_are_nobodys():
    other = numbered("961234567811111111")
    with pytest.raises(CodeFault, match="code_ambiguous"):
        read_picture(saved(side_by_side(qr(PAY_CODE), qr(other))))


PICTURES = {
    "empty": (b"", "picture_unreadable"),
    "text": (b"hello", "picture_unreadable"),
    "half a png": (saved(qr(PAY_CODE))[:150], "picture_unreadable"),
    "gif": (saved(qr(PAY_CODE), "GIF"), "picture_unreadable"),
    "blank": (saved(Image.new("L", (200, 200), 255)), "code_not_found"),
    "too many bytes": (bytes(PICTURE_BYTES_MAX + 1), "picture_too_large"),
    "too many pixels": (saved(Image.new("1", (8000, 4000))), "picture_too_large"),
    "a bomb": (saved(Image.new("1", (20_000, 20_000))), "picture_too_large"),
    "foreign": (saved(qr(WECHAT)), "pay_code_foreign"),
    "a web address": (saved(qr("https://city.example")), "pay_code_malformed"),
}


@pytest.mark.parametrize(("picture", "code"), PICTURES.values(), ids=PICTURES.keys())
def test_pictures_that_hold_no_pay_code(picture, code):
    with pytest.raises(CodeFault) as caught:
        read_picture(picture)
    assert caught.value.code == code


def _fault_code(picture: bytes) -> str | None:
    try:
        decode_picture(picture)
    except CodeFault as fault:
        return fault.code
    return None


def test_random_pictures_never_crash():
    dice, good = random.Random(7), bytearray(saved(qr(PAY_CODE)))
    codes: list[str | None] = []
    for _ in range(200):
        broken = bytearray(good)
        for _ in range(4):
            broken[dice.randrange(8, len(broken))] = dice.randrange(256)
        codes.append(_fault_code(bytes(broken)))
    assert set(codes) <= {None, "picture_unreadable", "picture_too_large"}
    assert len(set(codes)) > 1, "the dice must reach both ends"


@pytest.mark.parametrize("line", [PAY_CODE, PAY_CODE + "\r\n", "]C0" + PAY_CODE, " ]Q1" + PAY_CODE])
def test_lines_as_scanners_type_them(line):
    assert read_scanner_line(line) == PAY_CODE


@pytest.mark.parametrize(
    ("line", "chinese", "english"),
    [
        (WECHAT, "微信支付", "WeChat Pay"),
        (ALIPAY, "支付宝", "Alipay"),
        ("30" + "1" * 22, "支付宝", "Alipay"),
        (UNIONPAY, "银联", "UnionPay"),
        ("5" * 18, "其他机构", "another issuer"),
    ],
)
def test_foreign_codes_are_named(line, chinese, english):
    with pytest.raises(CodeFault) as caught:
        read_scanner_line(line)
    assert caught.value.code == "pay_code_foreign"
    assert chinese in caught.value.text("zh-CN")
    assert english in caught.value.text("en")


@pytest.mark.parametrize(
    "line",
    ["", "96", PAY_CODE[:-1], PAY_CODE + "0", PAY_CODE[:-1] + str((int(PAY_CODE[-1]) + 1) % 10),
     "".join(chr(0xFF10 + int(digit)) for digit in PAY_CODE), "9" * 10_000, "x\x00y"],
)  # fmt: skip
def test_malformed_lines(line):
    with pytest.raises(CodeFault, match="pay_code_malformed"):
        read_scanner_line(line)
