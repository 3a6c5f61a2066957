"""Which kind a code is, what scanners add to it, and where one ends and the next begins."""

from __future__ import annotations

import base64
import random

import pytest

from card_protocol.ride_code import RIDE_CODE_BYTES_MAX, RideCode
from reader_bridge.faults import CodeFault
from reader_bridge.readers.code_kind import PAYLOAD_BYTES_MAX, CodeKind, classify, clean
from reader_bridge.readers.framing import FRAME_BYTES_MAX, Framer
from tests.card_protocol.code_examples import RIDE_CODE
from tests.reader_bridge.readers.code_samples import (
    CONSUMER,
    FOREIGN_MERCHANT,
    IDENTITY,
    MERCHANT,
    PAY,
    RIDE,
    full_width,
)
from tests.reader_bridge.support import PAY_CODE
from tests.reader_bridge.test_codes import ALIPAY, UNIONPAY, WECHAT

KINDS = {
    "pay code": (PAY, CodeKind.PAY),
    "pay code, wrong check digit": (PAY[:-1] + b"0", CodeKind.PAY),
    "pay code, one digit lost": (PAY[:-1], CodeKind.PAY),
    "pay code as a consumer's": (CONSUMER, CodeKind.PAY),
    "a consumer's code cut short": (CONSUMER[:-4], CodeKind.PAY),
    "ride code": (RIDE, CodeKind.RIDE),
    "ride code cut short": (RIDE[:40], CodeKind.RIDE),
    "ride code of a later version": (b"\x82" + RIDE[1:], CodeKind.RIDE),
    "merchant code": (MERCHANT, CodeKind.MERCHANT),
    "merchant code, altered": (MERCHANT[:-1] + b"x", CodeKind.MERCHANT),
    "merchant code of others": (FOREIGN_MERCHANT, CodeKind.FOREIGN),
    "identity code": (IDENTITY, CodeKind.IDENTITY),
    "identity code cut short": (IDENTITY[:20], CodeKind.IDENTITY),
    "WeChat": (WECHAT.encode(), CodeKind.FOREIGN),
    "Alipay": (ALIPAY.encode(), CodeKind.FOREIGN),
    "UnionPay": (UNIONPAY.encode(), CodeKind.FOREIGN),
    "UnionPay's consumer code": (
        base64.b64encode(bytes.fromhex("8505435056303161124F08A000000333010102500655 6E696F6E50")),
        CodeKind.FOREIGN,
    ),
    "a web address": (b"https://city.example", CodeKind.FOREIGN),
    "Chinese text": ("最佳运输".encode(), CodeKind.FOREIGN),
    "GBK": ("最佳运输".encode("gbk"), CodeKind.FOREIGN),
    "nothing": (b"", CodeKind.FOREIGN),
    "too much": (b"96" * PAYLOAD_BYTES_MAX, CodeKind.FOREIGN),
}


@pytest.mark.parametrize(("payload", "kind"), KINDS.values(), ids=KINDS)
def test_which_kind_a_code_is(payload, kind):
    assert classify(payload) is kind


def test_any_bytes_have_a_kind_and_a_clean_form():
    chance = random.Random(5)
    starts = (b"", b"96", b"\x81\x01", b"CIC1.", b"000201", b"hQVDUFYwMW", b"]Q1", b"]Q2\\000003")
    kinds = set()
    for _ in range(3000):
        raw = chance.choice(starts) + chance.randbytes(chance.randint(0, 60))
        kinds.add(classify(raw))
        assert classify(clean(raw)) is not CodeKind.FOREIGN or classify(raw) is CodeKind.FOREIGN
    assert kinds == set(CodeKind)


ADDED = {
    "nothing": (PAY, PAY),
    "Code 128's mark": (b"]C0" + PAY, PAY),
    "QR's mark": (b"]Q1" + PAY, PAY),
    "GS1's mark and GS": (b"]C1\x1d" + PAY, PAY),
    "a character set": (b"]Q2\\000026" + IDENTITY, IDENTITY),
    "STX and ETX": (b"\x02" + PAY + b"\x03", PAY),
    "blanks and a tab": (b"  " + PAY + b"\t", PAY),
    "an IME's digits": (full_width(PAY_CODE).encode(), PAY),
    "an IME's blanks": (("\u3000\u200b\ufeff" + PAY_CODE + "\u3000").encode(), PAY),
    "a ride code, as it is": (RIDE, RIDE),
    "a ride code and CR LF": (RIDE + b"\r\n", RIDE),
    "a ride code with a mark": (b"]Q1" + RIDE, RIDE),
    "a ride code written as text": (RIDE.decode("latin-1").encode(), RIDE),
    "what is foreign loses its padding only": (b" https://city.example\r", b"https://city.example"),
}


@pytest.mark.parametrize(("raw", "payload"), ADDED.values(), ids=ADDED)
def test_what_scanners_add_is_taken_away(raw, payload):
    assert clean(raw) == payload


def test_a_ride_code_of_any_bytes_survives_cleaning():
    """Goal: no signature ends in a byte that is taken for padding."""
    for last in range(256):
        code = RideCode(RIDE_CODE.part, RIDE_CODE.generated_at, bytes(63) + bytes((last,))).encode()
        assert clean(b"]Q1" + code + b"\r\n") == code == clean(code)


def taken(framer: Framer) -> list[bytes]:
    return list(iter(framer.next, None))


def test_frames_do_not_depend_on_how_bytes_arrive():
    stream = PAY + b"\r\n" + b"]Q1" + RIDE + RIDE + b"\r\n" + b"\n\r" + IDENTITY + b"\r"
    wanted = [PAY, b"]Q1" + RIDE, RIDE, IDENTITY]
    chance = random.Random(9)
    for _ in range(200):
        framer, at = Framer(has_rides=True), 0
        while at < len(stream):
            size = chance.choice((1, 2, 3, 50, 400))
            framer.feed(stream[at : at + size])
            at += size
        assert taken(framer) == wanted
        assert not framer.is_inside_frame


def test_a_pause_ends_a_frame():
    framer = Framer(has_rides=True)
    framer.feed(PAY)
    assert framer.next() is None
    assert framer.is_inside_frame
    framer.idle()
    framer.feed(RIDE[:100])  # cut off: what came is told, and what comes next is apart
    framer.idle()
    framer.feed(PAY + b"\r")
    framer.idle()
    assert taken(framer) == [PAY, RIDE[:100], PAY]


def test_a_line_without_end_is_told_once_and_forgotten():
    framer = Framer(has_rides=True)
    for _ in range(100):
        framer.feed(b"9" * 1000)
        assert len(framer._buffer) <= FRAME_BYTES_MAX + 1000
    framer.feed(b"9\r" + PAY + b"\r")
    with pytest.raises(CodeFault, match="code_too_long"):
        framer.next()
    assert taken(framer) == [PAY]
    framer.feed(b"9" * (FRAME_BYTES_MAX + 1))
    framer.idle()
    with pytest.raises(CodeFault, match="code_too_long"):
        framer.next()
    assert framer.next() is None
    assert not framer.is_inside_frame


def test_a_ride_code_with_an_impossible_length_waits_for_nothing():
    framer = Framer(has_rides=True)
    framer.feed(b"\x81\xff\xff" + bytes(RIDE_CODE_BYTES_MAX) + b"\r" + PAY + b"\r")
    assert taken(framer)[-1] == PAY
