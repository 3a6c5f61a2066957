"""Scanners over a pipe, a pseudo-terminal and pictures."""

from __future__ import annotations

import io
import os
import sys
import threading
import tty
from collections.abc import Iterator
from typing import Any, cast

import pytest
import qrcode
import zxingcpp
from PIL import Image

from reader_bridge.codes import PICTURE_BYTES_MAX
from reader_bridge.faults import CodeFault, ReaderFault
from reader_bridge.readers import scanner as scanner_module
from reader_bridge.readers.code_kind import PAYLOAD_BYTES_MAX, CodeKind, classify
from reader_bridge.readers.framing import FRAME_BYTES_MAX
from reader_bridge.readers.scanner import (
    REPEAT_SECONDS,
    CameraScanner,
    LineScanner,
    SerialScanner,
    decode_payloads,
    pick,
)
from tests.reader_bridge.readers.code_samples import (
    CONSUMER,
    IDENTITY,
    MERCHANT,
    PAY,
    RIDE,
    full_width,
)
from tests.reader_bridge.support import PAY_CODE, numbered
from tests.reader_bridge.test_codes import ALIPAY, WECHAT, code_128, saved

PATIENCE_SECONDS = 5.0


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def keyboard() -> Iterator[tuple[LineScanner, Any, Time]]:
    """A scanner, the end at which it types, and its clock."""
    reading, writing = os.pipe()
    time = Time()
    with open(reading, "rb") as stream, open(writing, "wb", buffering=0) as typing:
        yield LineScanner(stream, elapsed=time), typing, time


def test_a_keyboard_wedge(keyboard):
    scanner, typing, _ = keyboard
    typing.write(b"\n" + PAY + b"\n" + full_width(ALIPAY).encode() + b"\r\n" + IDENTITY + b"\n")
    assert [scanner.read(PATIENCE_SECONDS) for _ in range(3)] == [PAY, ALIPAY.encode(), IDENTITY]


def test_a_code_held_there_is_read_once_and_shown_again_is_read_again(keyboard):
    scanner, typing, time = keyboard
    typing.write((PAY + b"\n") * 3 + WECHAT.encode() + b"\n" + PAY + b"\n")
    assert scanner.read(PATIENCE_SECONDS) == PAY
    assert scanner.read(PATIENCE_SECONDS) == WECHAT.encode()
    typing.write(ALIPAY.encode() + b"\n")
    assert scanner.read(PATIENCE_SECONDS) == ALIPAY.encode()  # not the second showing of ours
    time.now += REPEAT_SECONDS
    typing.write(PAY + b"\n")
    assert scanner.read(PATIENCE_SECONDS) == PAY


def test_a_keyboard_that_ends_or_floods(keyboard):
    scanner, typing, _ = keyboard
    typing.write(b"9" * (FRAME_BYTES_MAX + 1) + b"\n")
    with pytest.raises(CodeFault, match="code_too_long"):
        scanner.read(PATIENCE_SECONDS)
    typing.close()
    with pytest.raises(ReaderFault, match="scanner_failed: The scanner failed: end of input"):
        scanner.read(PATIENCE_SECONDS)
    scanner.close()


def test_nobody_types():
    reading, writing = os.pipe()
    with open(reading, "rb") as stream, open(writing, "wb"):
        assert LineScanner(stream).read(0.01) is None
    with pytest.raises(ReaderFault, match="scanner_failed"):
        LineScanner(stream).read(0.01)  # closed


@pytest.fixture
def line() -> Iterator[tuple[SerialScanner, int]]:
    """A scanner at a serial line, and the other end of that line."""
    other, own = os.openpty()
    tty.setraw(own)
    scanner = SerialScanner(os.ttyname(own), idle_seconds=0.02)
    try:
        yield scanner, other
    finally:
        scanner.close()
        scanner.close()
        os.close(own)
        os.close(other)


def test_a_serial_scanner_with_and_without_ends_of_line(line):
    scanner, other = line
    assert scanner.read(0.01) is None  # opened: what came before is not heard
    os.write(other, PAY + b"\r\n" + b"]Q1" + RIDE)
    assert scanner.read(PATIENCE_SECONDS) == PAY
    assert scanner.read(PATIENCE_SECONDS) == RIDE
    os.write(other, IDENTITY)  # no end: the pause is the end
    assert scanner.read(PATIENCE_SECONDS) == IDENTITY
    assert scanner.read(0.01) is None


def test_a_ride_code_that_comes_in_pieces(line):
    scanner, other = line
    scanner._idle_seconds = 1.0
    assert scanner.read(0.01) is None
    read: list[bytes | None] = []
    reader = threading.Thread(target=lambda: read.append(scanner.read(PATIENCE_SECONDS)))
    reader.start()
    for at in range(0, len(RIDE), 50):
        os.write(other, RIDE[at : at + 50])
    reader.join(PATIENCE_SECONDS)
    assert read == [RIDE]


def test_a_serial_line_that_goes_and_comes(tmp_path):
    place = tmp_path / "scanner"
    other, own = os.openpty()
    tty.setraw(own)
    place.symlink_to(os.ttyname(own))
    scanner = SerialScanner(str(place), idle_seconds=0.02)
    try:
        assert scanner.read(0.01) is None
        os.write(other, PAY + b"\r")
        assert scanner.read(PATIENCE_SECONDS) == PAY
        os.close(own)
        os.close(other)
        with pytest.raises(ReaderFault, match="scanner_failed"):
            scanner.read(PATIENCE_SECONDS)
        place.unlink()
        with pytest.raises(ReaderFault, match="scanner_failed"):
            scanner.read(PATIENCE_SECONDS)
        other, own = os.openpty()
        tty.setraw(own)
        place.symlink_to(os.ttyname(own))
        assert scanner.read(0.01) is None
        os.write(other, CONSUMER + b"\r")
        assert scanner.read(PATIENCE_SECONDS) == CONSUMER
        os.close(own)
        os.close(other)
    finally:
        scanner.close()


def test_without_the_drivers(monkeypatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(ReaderFault) as caught:
        SerialScanner("ttyACM0").read(0.01)
    assert caught.value.text("en") == "The reader driver (pyserial) is not installed"
    monkeypatch.setitem(sys.modules, "zxingcpp", None)
    with pytest.raises(ReaderFault, match="zxing-cpp"):
        scanner_module.decode_payloads(b"")


def qr(payload: bytes, **options: Any) -> Image.Image:
    code = qrcode.QRCode(border=4, **options)
    code.add_data(qrcode.util.QRData(payload, mode=qrcode.util.MODE_8BIT_BYTE))
    return cast(Any, code.make_image()).get_image().convert("L")


def beside(*images: Image.Image) -> bytes:
    page = Image.new("L", (sum(i.width for i in images) + 40, max(i.height for i in images)), 255)
    at = 0
    for image in images:
        page.paste(image, (at, 0))
        at += image.width + 20
    return saved(page)


@pytest.mark.parametrize(
    "payload", [PAY, CONSUMER, IDENTITY, RIDE, MERCHANT], ids=lambda one: one[:5].hex()
)
@pytest.mark.parametrize("angle", [0, 90])
def test_a_picture_gives_the_very_bytes(payload, angle):
    assert decode_payloads(saved(qr(payload).rotate(angle, expand=True))) == (payload,)


def test_a_picture_of_the_largest_qr_code():
    payload = bytes(range(256)) * 11 + bytes(PAYLOAD_BYTES_MAX - 256 * 11 - 1) + b"x"
    picture = saved(qr(payload, error_correction=qrcode.constants.ERROR_CORRECT_L, box_size=4))
    raw = [bytes(one.bytes) for one in zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)))]
    assert raw == [payload]
    (decoded,) = decode_payloads(picture)
    assert classify(decoded) is CodeKind.FOREIGN


OTHER = numbered("961234567811111111").encode()
PICKED = {
    "nothing": ((), None),
    "one": ((PAY,), PAY),
    "ours beside others": ((b"https://city.example", RIDE), RIDE),
    "both forms of one pay code": ((PAY, CONSUMER), PAY),
    "only others": ((WECHAT.encode(), b"x"), WECHAT.encode()),
}


@pytest.mark.parametrize(("payloads", "picked"), PICKED.values(), ids=PICKED)
def test_which_code_of_a_picture_is_meant(payloads, picked):
    assert pick(payloads) == picked


@pytest.mark.parametrize("payloads", [(PAY, OTHER), (PAY, RIDE)])
def test_two_codes_of_ours_are_nobodys(payloads):
    with pytest.raises(CodeFault, match="code_ambiguous"):
        pick(payloads)


class Camera:
    def __init__(self, *pictures: bytes | None) -> None:
        self.pictures = list(pictures)

    def __call__(self, timeout_seconds: float) -> bytes | None:
        assert timeout_seconds > 0
        if not self.pictures:
            raise OSError("no more pictures")
        return self.pictures.pop(0)


def test_a_camera_sees_a_code_once_as_long_as_it_is_held():
    empty = saved(Image.new("L", (60, 60), 255))
    ambiguous = beside(qr(PAY), qr(OTHER))
    screen = beside(qr(CONSUMER), code_128(PAY_CODE))
    pictures = [empty, None, screen, screen, ambiguous, ambiguous, b"no picture", saved(qr(RIDE))]
    scanner = CameraScanner(Camera(*pictures), elapsed=Time())
    assert scanner.read(PATIENCE_SECONDS) in {PAY, CONSUMER}
    with pytest.raises(CodeFault, match="code_ambiguous"):
        scanner.read(PATIENCE_SECONDS)
    with pytest.raises(CodeFault, match="picture_unreadable"):
        scanner.read(PATIENCE_SECONDS)
    assert scanner.read(PATIENCE_SECONDS) == RIDE
    with pytest.raises(ReaderFault, match="scanner_failed"):
        scanner.read(PATIENCE_SECONDS)
    scanner.close()
    assert scanner.read(PATIENCE_SECONDS) is None


def test_a_camera_with_nothing_to_see_ends_in_time():
    assert CameraScanner(lambda _: None).read(0.02) is None
    with pytest.raises(CodeFault, match="picture_too_large"):
        CameraScanner(lambda _: bytes(PICTURE_BYTES_MAX + 1)).read(1.0)
