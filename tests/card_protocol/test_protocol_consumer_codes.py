"""Consumer-presented codes: published vectors, and the pay code in this form."""

from __future__ import annotations

import hmac
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_protocol import pay_code
from card_protocol.emvco_consumer import Application, ConsumerCode
from card_protocol.errors import CodeRefused, MalformedBytes
from card_protocol.tlv import Tlv

VECTORS = json.loads((Path(__file__).parent / "vectors/emvco_qr.json").read_text("utf-8"))
DIGITS = st.text("0123456789", min_size=8, max_size=8)


@pytest.mark.parametrize("vector", VECTORS["cpm_valid"])
def test_published_consumer_codes_parse_and_come_back(vector):
    code = ConsumerCode.decode(vector["base64"])
    assert code.encode() == vector["base64"]
    parsed = vector["parsed"]
    for number, application in enumerate(code.applications):
        expected = parsed[f"61[{number}]"]
        assert application.aid.hex().upper() == expected["4F"]
        assert application.find(0x50) == expected["50"].encode()
    common = {f"{item.tag:02X}": item.value for item in code.common}
    assert common["5A"].hex() == parsed["62"]["5A"]
    assert common["5F20"].decode() == parsed["62"]["5F20"]
    with pytest.raises(MalformedBytes) as refusal:
        pay_code.read(vector["base64"])
    assert refusal.value.code == "pay_code_foreign"


@pytest.mark.parametrize("vector", VECTORS["cpm_invalid"])
def test_published_wrong_consumer_codes_are_refused(vector):
    for decode, code in (
        (ConsumerCode.decode, "consumer_code_malformed"),
        (pay_code.read, "pay_code_malformed"),
    ):
        with pytest.raises(MalformedBytes) as refusal:
            decode(vector["base64"])
        assert refusal.value.code == code


CONSUMER_LABEL = Tlv(0x50, b"CITY CARD")
CONSUMER_NUMBER = Tlv(0x5A, bytes.fromhex(pay_code.encode("12345678", "46119246") + "F"))
OURS = Application(pay_code.AID, (CONSUMER_LABEL, CONSUMER_NUMBER))
OTHER = Application(bytes.fromhex("A000000333010102"), (CONSUMER_NUMBER,))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (ConsumerCode((OTHER,)), "pay_code_foreign"),
        (ConsumerCode((OTHER, OURS)), "pay_code_malformed"),
        (ConsumerCode((OURS,), (CONSUMER_NUMBER,)), "pay_code_malformed"),
        (ConsumerCode((Application(pay_code.AID, (CONSUMER_NUMBER,)),)), "pay_code_malformed"),
        (
            ConsumerCode((Application(pay_code.AID, (CONSUMER_NUMBER, CONSUMER_LABEL)),)),
            "pay_code_malformed",
        ),
        (
            ConsumerCode((Application(pay_code.AID, (CONSUMER_LABEL, Tlv(0x5A, b"\x96" * 10))),)),
            "pay_code_malformed",
        ),
    ],
)
def test_our_consumer_code_has_one_form(code, expected):
    assert pay_code.read(ConsumerCode((OURS,)).encode()) == ("12345678", "46119246")
    with pytest.raises(MalformedBytes) as refusal:
        pay_code.read(code.encode())
    assert refusal.value.code == expected


@given(DIGITS, DIGITS)
def test_both_forms_come_back(short_number, one_time):
    code = pay_code.PayCode(short_number, one_time)
    for text in (code.encode(), code.encode_consumer()):
        assert pay_code.read(text) == (short_number, one_time)
    assert pay_code.PayCode.decode_consumer(code.encode_consumer()) == code


@given(st.binary(min_size=32, max_size=32), st.integers(1, 1 << 40))
def test_the_prepared_key_computes_hmac(key, step):
    """Goal: what is faster than the library's HMAC is the library's HMAC."""
    digest = hmac.digest(key, step.to_bytes(8), "sha256")
    at = digest[-1] & 0x0F
    number = (int.from_bytes(digest[at : at + 4]) & 0x7FFF_FFFF) % 10**8
    assert pay_code.one_time_digits(key, step) == f"{number:08d}"
    seconds = step * pay_code.STEP_SECONDS
    found = pay_code.match(f"{number:08d}", (pay_code.PayCodeKey.of(key),), seconds)
    assert found == (0, step)


def test_nothing_is_judged_before_the_first_step():
    with pytest.raises(MalformedBytes):
        pay_code.match("12345678", (pay_code.PayCodeKey.of(bytes(32)),), 29)
    with pytest.raises(CodeRefused) as refused:
        pay_code.match("12345678", (pay_code.PayCodeKey.of(bytes(32)),), 30)
    assert refused.value.code == "pay_code_altered"


def test_a_prepared_key_prints_nothing():
    assert repr(pay_code.PayCodeKey.of(bytes(32))) == "PayCodeKey(<secret>)"
