"""Pay codes and merchant codes: published vectors, what is refused and by which code."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import protocol_examples as examples
import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_protocol import emvco, pay_code
from card_protocol.emvco import DataObject, MerchantAccount, MerchantCode
from card_protocol.errors import MalformedBytes
from card_protocol.token_number import (
    decode_token_number,
    encode_token_number,
    is_luhn_valid,
    luhn_check_digit,
)

VECTORS = json.loads((Path(__file__).parent / "vectors/emvco_qr.json").read_text("utf-8"))
DIGITS = st.text("0123456789", min_size=8, max_size=8)


@pytest.mark.parametrize(
    ("digits", "check"), [("7992739871", "3"), ("453914880343646", "7"), ("0", "0"), ("1", "8")]
)
def test_luhn(digits, check):
    assert luhn_check_digit(digits) == check
    assert is_luhn_valid(digits + check)
    assert not is_luhn_valid(digits + str((int(check) + 1) % 10))


@pytest.mark.parametrize("text", ["", "0", "7992739871³", "٧٩", "79927398713 ", None])
def test_luhn_is_for_digits(text):
    assert not is_luhn_valid(text)


@given(st.text("0123456789", min_size=18, max_size=18))
def test_token_numbers_come_back(digits):
    number = digits + luhn_check_digit(digits)
    assert decode_token_number(encode_token_number(number)) == number


@pytest.mark.parametrize("wire", ["", "00" * 10, "00" * 9 + "1F", "00" * 8 + "0A0F", "00" * 11])
def test_a_token_number_is_nineteen_digits_checked_and_padded(wire):
    with pytest.raises(MalformedBytes) as refusal:
        decode_token_number(bytes.fromhex(wire))
    assert refusal.value.code == "token_number_malformed"


@pytest.mark.parametrize(
    ("moment", "digits"),
    [  # RFC 6238, appendix B, SHA-256
        (59, "46119246"),
        (1111111109, "68084774"),
        (1111111111, "67062674"),
        (1234567890, "91819424"),
        (2000000000, "90698825"),
        (20000000000, "77737706"),
    ],
)
def test_one_time_digits_are_those_of_rfc_6238(moment, digits):
    step = pay_code.step_at(moment)
    assert pay_code.one_time_digits(examples.PAY_CODE_KEY, step) == digits


def test_a_step_is_thirty_seconds():
    assert [pay_code.step_at(moment) for moment in (0, 29, 30, 59, 60)] == [0, 0, 1, 1, 2]
    for wrong in (-1, 1.5, True):
        with pytest.raises(MalformedBytes):
            pay_code.step_at(wrong)
    for key, step in ((bytes(16), 1), (bytes(32), -1), (bytes(32), 1 << 64)):
        with pytest.raises(MalformedBytes):
            pay_code.one_time_digits(key, step)


@given(DIGITS, DIGITS)
def test_pay_codes_come_back(short_number, one_time):
    text = pay_code.encode(short_number, one_time)
    assert len(text) == 19
    assert pay_code.decode(text) == pay_code.PayCode(short_number, one_time)


@given(DIGITS, DIGITS, st.integers(0, 18), st.integers(1, 9))
def test_one_wrong_digit_is_always_noticed(short_number, one_time, at, step):
    text = pay_code.encode(short_number, one_time)
    digit = str((int(text[at]) + step) % 10)
    with pytest.raises(MalformedBytes):
        pay_code.decode(text[:at] + digit + text[at + 1 :])


PAY_CODE = pay_code.encode("12345678", "46119246")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "pay_code_malformed"),
        (PAY_CODE[:-1], "pay_code_malformed"),
        (PAY_CODE + "0", "pay_code_malformed"),
        (PAY_CODE[:-1] + "1", "pay_code_malformed"),
        (PAY_CODE.replace("1", "１"), "pay_code_malformed"),
        (f" {PAY_CODE}", "pay_code_malformed"),
        (f"{PAY_CODE}\n", "pay_code_malformed"),
        ("hello", "pay_code_malformed"),
        ("10" * 7, "pay_code_malformed"),
        ("1" * 25, "pay_code_malformed"),
        (b"9612345678461192460", "pay_code_malformed"),
        ("134567890123456789", "pay_code_foreign"),  # WeChat: 18 digits, 10 to 15
        ("281234567890123456", "pay_code_foreign"),  # Alipay: 16 to 24 digits, 25 to 30
        ("2812345678901234", "pay_code_foreign"),
        ("281234567890123456789012", "pay_code_foreign"),
        ("6212345678901234567", "pay_code_foreign"),  # UnionPay: 19 digits, 62
        ("9512345678461192460", "pay_code_foreign"),
    ],
)
def test_pay_code_refusals(text, code):
    with pytest.raises(MalformedBytes) as refusal:
        pay_code.decode(text)
    assert refusal.value.code == code


def test_the_published_crc():
    published = VECTORS["crc16"]
    assert emvco.crc16(published["ascii"].encode()) == published["crc"]


@pytest.mark.parametrize("vector", VECTORS["mpm_valid"])
def test_published_merchant_codes_parse_and_come_back(vector):
    text = vector["payload"]
    objects = emvco.parse_tlv(text)
    assert emvco.encode_tlv(objects[1:-1]) == text
    values = {item.id: item.value for item in objects}
    assert emvco.amount_fen_of(values["54"]) == 2372
    language = {item.id: item.value for item in emvco.parse_template(values["64"])}
    assert language["00"] == "ZH"
    assert "最佳运输" in language.values()
    with pytest.raises(MalformedBytes) as refusal:
        MerchantCode.decode(text)
    assert refusal.value.code == "merchant_code_foreign"


@pytest.mark.parametrize("vector", VECTORS["mpm_valid"])
def test_a_published_code_with_one_character_changed_is_refused(vector):
    text = vector["payload"]
    for at in range(len(text)):
        changed = text[:at] + ("1" if text[at] != "1" else "2") + text[at + 1 :]
        with pytest.raises(MalformedBytes):
            emvco.parse_tlv(changed)


@pytest.mark.parametrize("vector", VECTORS["mpm_invalid"])
def test_published_wrong_merchant_codes_are_refused(vector):
    with pytest.raises(MalformedBytes) as refusal:
        emvco.parse_tlv(vector["payload"])
    assert refusal.value.code == "merchant_code_malformed"


WRONG_TEXTS = {
    "nothing": "",
    "no CRC": "000201",
    "format 02": "00020263041D46",
    "CRC in small letters": examples.MERCHANT_CODE.encode()[:-4].replace("375C", "")
    + examples.MERCHANT_CODE.encode()[-4:].lower(),
    "half a surrogate pair": "0002015901\ud8006304AAAA",
    "digits of another script": "٠٠0201",
    "empty value": "000201590063049999",
    "too long": "000201" + "5999" + "a" * 99 + "6099" + "a" * 500,
}


@pytest.mark.parametrize("name", WRONG_TEXTS)
def test_wrong_texts_are_refused(name):
    with pytest.raises(MalformedBytes) as refusal:
        MerchantCode.decode(WRONG_TEXTS[name])
    assert refusal.value.code == "merchant_code_malformed"


def with_objects(**changes: str | None) -> str:
    """Our example with objects replaced, added or (None) left out, and a right CRC."""
    objects = emvco.parse_tlv(examples.MERCHANT_CODE.encode())[1:-1]
    values: dict[str, str | None] = {item.id: item.value for item in objects}
    values.update({name.removeprefix("id"): value for name, value in changes.items()})
    return emvco.encode_tlv(DataObject(id_, value) for id_, value in values.items() if value)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"id26": None}, "merchant_code_foreign"),
        ({"id26": None, "id27": examples.ACCOUNT.template()}, "merchant_code_foreign"),
        ({"id26": "0004hoge"}, "merchant_code_foreign"),
        ({"id26": "0020F0434954594341524401"}, "merchant_code_malformed"),
        ({"id26": examples.ACCOUNT.template() + "0301a"}, "merchant_code_malformed"),
        (
            {"id26": examples.ACCOUNT.template().replace("4455667", "445566g")},
            "merchant_code_malformed",
        ),
        ({"id01": None}, "merchant_code_malformed"),
        ({"id01": "13"}, "merchant_code_malformed"),
        ({"id01": "11"}, "merchant_code_malformed"),  # static with a bill number
        ({"id52": "58A2"}, "merchant_code_malformed"),
        ({"id53": "840"}, "merchant_code_malformed"),
        ({"id54": "0.00"}, "merchant_code_malformed"),
        ({"id54": "-1.00"}, "merchant_code_malformed"),
        ({"id54": "1.005"}, "merchant_code_malformed"),
        ({"id54": "1,00"}, "merchant_code_malformed"),
        ({"id54": "１.00"}, "merchant_code_malformed"),
        ({"id54": "99999999999.99"}, "merchant_code_malformed"),
        ({"id55": "02", "id56": "5.00"}, "merchant_code_malformed"),  # a fee the MAC covers not
        ({"id58": "HK"}, "merchant_code_malformed"),
        ({"id59": None}, "merchant_code_malformed"),
        ({"id61": "321000"}, "merchant_code_malformed"),
        ({"id62": "0506REF001"}, "merchant_code_malformed"),
        ({"id64": "0002EN0104Wang"}, "merchant_code_malformed"),
        ({"id64": "0104老王面馆"}, "merchant_code_malformed"),
    ],
    ids=str,
)
def test_merchant_code_refusals(changes, code):
    assert MerchantCode.decode(with_objects()) == examples.MERCHANT_CODE
    with pytest.raises(MalformedBytes) as refusal:
        MerchantCode.decode(with_objects(**changes))
    assert refusal.value.code == code


def test_a_static_code_leaves_the_amount_to_the_citizen():
    account = dataclasses.replace(examples.ACCOUNT, bill_number=None)
    code = MerchantCode(
        merchant_account=account,
        is_dynamic=False,
        mcc="5411",
        merchant_name="SHOP",
        city="YINCHENG",
    )
    objects = {item.id: item.value for item in emvco.parse_tlv(code.encode())}
    assert objects["01"] == "11"
    assert objects.keys().isdisjoint({"54", "62", "64"})
    assert MerchantCode.decode(code.encode()) == code


def test_another_city_sets_its_own_guid():
    account = dataclasses.replace(examples.ACCOUNT, guid="cn.example.card")
    code = dataclasses.replace(examples.MERCHANT_CODE, merchant_account=account)
    assert MerchantCode.decode(code.encode(), guid="cn.example.card") == code
    with pytest.raises(MalformedBytes) as refusal:
        MerchantCode.decode(code.encode())
    assert refusal.value.code == "merchant_code_foreign"


ANS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=15)
CHINESE = st.text(
    st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=15
)
WORDS = st.from_regex(r"[A-Za-z0-9]{1,25}", fullmatch=True)
CODES = st.builds(
    MerchantCode,
    merchant_account=st.builds(
        MerchantAccount,
        guid=st.just(emvco.MERCHANT_GUID),
        shop_number=st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True),
        bill_number=st.none() | WORDS,
        mac=st.binary(min_size=8, max_size=8),
    ),
    is_dynamic=st.just(True),
    mcc=st.from_regex(r"[0-9]{4}", fullmatch=True),
    amount_fen=st.none() | st.integers(1, 999_999_999_999),
    merchant_name=ANS,
    city=ANS,
    merchant_name_zh=CHINESE,
    city_zh=st.none() | CHINESE,
    terminal_label=st.none() | ANS,
)


@given(CODES)
def test_merchant_codes_come_back(code):
    assert MerchantCode.decode(code.encode()) == code


@pytest.mark.parametrize(
    ("text", "amount_fen"),
    [("98", 9800), ("98.", 9800), ("98.7", 9870), ("98.73", 9873), ("0.01", 1), ("007", 700)],
)
def test_amounts_are_read_as_emvco_allows(text, amount_fen):
    assert emvco.amount_fen_of(text) == amount_fen


@given(st.integers(1, 999_999_999_999))
def test_amounts_come_back(amount_fen):
    text = emvco.amount_text(amount_fen)
    assert len(text) <= 13
    assert emvco.amount_fen_of(text) == amount_fen


SHOPS = st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True)
AUTHENTICATED = st.tuples(SHOPS, st.none() | st.integers(1, 10**12 - 1), st.none() | WORDS)


@given(AUTHENTICATED, AUTHENTICATED)
def test_no_two_codes_share_what_is_authenticated(one, other):
    one_input = emvco.code_authentication_input(*one)
    assert (one_input == emvco.code_authentication_input(*other)) is (one == other)


def test_what_is_authenticated_byte_for_byte():
    assert emvco.code_authentication_input("S001", 1250, "BILL42") == (
        b"CITY CARD merchant code 1\x00"
        + b"\x04S001"
        + b"\x01\x00\x00\x00\x00\x00\x00\x04\xe2"
        + b"\x01\x06BILL42"
    )
    assert emvco.code_authentication_input("S001", None, None).endswith(b"\x04S001\x00\x00")
    for wrong in (("", 1, None), ("S001", 0, None), ("S001", 1.0, None), ("S001", 1, "a b")):
        with pytest.raises(MalformedBytes):
            emvco.code_authentication_input(*wrong)
