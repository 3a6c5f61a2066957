"""Goal: every value has one encoding, refuses anything shorter, and is whole from birth."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import pkgutil
from importlib import import_module

import protocol_examples as examples
import pytest
from code_examples import WRONG_CODES_AT_BIRTH

import card_protocol
from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.commands import GetProcessingOptions, ReadRecord, Select
from card_protocol.emvco import DataObject, MerchantAccount, MerchantCode
from card_protocol.errors import MalformedBytes
from card_protocol.fci import ApplicationFci, Directory, DirectoryEntry
from card_protocol.key_batch import KeyBatch
from card_protocol.mobile_card import (
    Certificate,
    GpoResponse,
    IssuerApplicationData,
    TransactionData,
)
from card_protocol.pay_code import PayCode
from card_protocol.tlv import Tlv


def modules():
    return [
        import_module(f"card_protocol.{entry.name}")
        for entry in pkgutil.iter_modules(card_protocol.__path__)
    ]


def value_classes():
    return {
        member
        for module in modules()
        for _, member in inspect.getmembers(module, inspect.isclass)
        if dataclasses.is_dataclass(member) and member.__module__.startswith("card_protocol")
    }


@pytest.mark.parametrize("example", examples.EXAMPLES, ids=str)
def test_vector_walks(example):
    assert example.value.encode() == example.body
    assert example.decode(example.body) == example.value
    for end in range(len(example.body)):
        shorter = example.body[:end]
        try:
            other = example.decode(shorter)
        except MalformedBytes:
            continue
        assert example.has_sound_prefixes or isinstance(example.value, ResponseApdu)
        assert other != example.value
        assert example.decode(other.encode()) == other


@pytest.mark.parametrize("example", examples.EXAMPLES, ids=str)
def test_a_longer_body_is_never_the_same_value(example):
    longer = example.body + ("0" if example.is_text else b"\x00")
    if isinstance(example.value, CommandApdu | ResponseApdu):
        with contextlib.suppress(MalformedBytes):  # one more byte may be an Le, or shift the SW
            assert example.decode(longer) != example.value
        return
    with pytest.raises(MalformedBytes):
        example.decode(longer)


@pytest.mark.parametrize(("command", "wire"), examples.COMMAND_EXAMPLES)
def test_command_walks(command, wire):
    apdu = CommandApdu.decode(bytes.fromhex(wire))
    assert command.to_apdu() == apdu
    assert command.to_apdu().encode() == bytes.fromhex(wire)
    assert type(command).from_apdu(apdu) == command
    for field in ("cla", "ins", "p2"):
        other = dataclasses.replace(apdu, **{field: getattr(apdu, field) ^ 0x01})
        with pytest.raises(MalformedBytes):
            type(command).from_apdu(other)
    if apdu.data:
        with pytest.raises(MalformedBytes):
            type(command).from_apdu(dataclasses.replace(apdu, data=b""))


def test_select_without_le_is_the_same_select():
    name = examples.MOBILE_CARD_AID
    assert Select.from_apdu(CommandApdu(0, 0xA4, 4, 0, name)) == Select(name)


def test_every_class_with_bytes_has_an_example():
    walked = {type(example.value) for example in examples.EXAMPLES}
    with_bytes = {kind for kind in value_classes() if hasattr(kind, "decode")}
    assert with_bytes == walked
    commands = {type(command) for command, _ in examples.COMMAND_EXAMPLES}
    assert {kind for kind in value_classes() if hasattr(kind, "from_apdu")} == commands


@pytest.mark.parametrize("kind", sorted(value_classes(), key=lambda kind: kind.__name__))
def test_every_value_is_frozen_and_has_slots(kind):
    assert kind.__dataclass_params__.frozen
    assert "__slots__" in vars(kind)


DIGITS_19 = examples.TOKEN_NUMBER
WRONG_CHECK = DIGITS_19[:-1] + str((int(DIGITS_19[-1]) + 1) % 10)
WRONG_AT_BIRTH = (
    (CommandApdu(0, 0, 0, 0), "apdu_malformed", {"cla": 256}),
    (CommandApdu(0, 0, 0, 0), "apdu_malformed", {"ins": -1}),
    (CommandApdu(0, 0, 0, 0), "apdu_malformed", {"p1": True}),
    (CommandApdu(0, 0, 0, 0), "apdu_malformed", {"le": 0}),
    (CommandApdu(0, 0, 0, 0), "apdu_malformed", {"le": 65_537}),
    (CommandApdu(0, 0, 0, 0), "apdu_malformed", {"data": bytearray(b"a")}),
    (CommandApdu(0, 0, 0, 0), "apdu_malformed", {"data": bytes(65_536)}),
    (ResponseApdu(b"", 0x9000), "apdu_malformed", {"sw": 0x6000}),
    (ResponseApdu(b"", 0x9000), "apdu_malformed", {"sw": 0x19000}),
    (ResponseApdu(b"", 0x9000), "apdu_malformed", {"sw": 0xA000}),
    (Tlv(0x50, b""), "tlv_malformed", {"tag": 0}),
    (Tlv(0x50, b""), "tlv_malformed", {"tag": 0x9F}),
    (Tlv(0x50, b""), "tlv_malformed", {"tag": 0x5050}),
    (Tlv(0x50, b""), "tlv_malformed", {"tag": 0x9F8181}),
    (Tlv(0x50, b""), "tlv_malformed", {"tag": 0x9F818101}),
    (Tlv(0x50, b""), "tlv_malformed", {"value": "text"}),
    (examples.TRANSACTION, "transaction_data_malformed", {"amount_fen": -1}),
    (examples.TRANSACTION, "transaction_data_malformed", {"amount_fen": 10**12}),
    (examples.TRANSACTION, "transaction_data_malformed", {"amount_fen": 12.5}),
    (examples.TRANSACTION, "transaction_data_malformed", {"amount_fen": True}),
    (examples.TRANSACTION, "transaction_data_malformed", {"currency": 0x0A56}),
    (examples.TRANSACTION, "transaction_data_malformed", {"currency": 0x015A}),
    (examples.TRANSACTION, "transaction_data_malformed", {"date": bytes.fromhex("250229")}),
    (examples.TRANSACTION, "transaction_data_malformed", {"date": bytes.fromhex("25112A")}),
    (examples.TRANSACTION, "transaction_data_malformed", {"time": bytes.fromhex("240000")}),
    (examples.TRANSACTION, "transaction_data_malformed", {"time": b"\x00\x00"}),
    (examples.TRANSACTION, "transaction_data_malformed", {"transaction_type": 0}),
    (examples.TRANSACTION, "transaction_data_malformed", {"unpredictable_number": b"abc"}),
    (examples.TRANSACTION, "transaction_data_malformed", {"terminal_number": "T000001"}),
    (examples.TRANSACTION, "transaction_data_malformed", {"merchant_number": "商" * 15}),
    (examples.IAD, "iad_malformed", {"suite": 1}),
    (examples.IAD, "iad_malformed", {"key_version": 256}),
    (examples.IAD, "iad_malformed", {"key_index": 1 << 32}),
    (examples.IAD, "iad_malformed", {"holder_check": 2}),
    (examples.GPO, "gpo_response_malformed", {"aip": b"\x00"}),
    (examples.GPO, "gpo_response_malformed", {"afl": b""}),
    (examples.GPO, "gpo_response_malformed", {"afl": b"12345"}),
    (examples.GPO, "gpo_response_malformed", {"token_number": WRONG_CHECK}),
    (examples.GPO, "gpo_response_malformed", {"sequence": 100}),
    (examples.GPO, "gpo_response_malformed", {"atc": 65_536}),
    (examples.GPO, "gpo_response_malformed", {"cryptogram_information": 256}),
    (examples.GPO, "gpo_response_malformed", {"iad": b"1234567"}),
    (examples.GPO, "gpo_response_malformed", {"cryptogram": bytes(7)}),
    (examples.GPO, "gpo_response_malformed", {"signature": bytes(63)}),
    (examples.CERTIFICATE, "certificate_malformed", {"token_number": DIGITS_19[:-1]}),
    (examples.CERTIFICATE, "certificate_malformed", {"device_public_key": b"\x04" + bytes(32)}),
    (examples.CERTIFICATE, "certificate_malformed", {"product": ""}),
    (examples.CERTIFICATE, "certificate_malformed", {"product": "p" * 17}),
    (examples.CERTIFICATE, "certificate_malformed", {"product": "副卡"}),
    (examples.CERTIFICATE, "certificate_malformed", {"concession_group": 256}),
    (examples.CERTIFICATE, "certificate_malformed", {"not_before": 1_800_000_001}),
    (examples.CERTIFICATE, "certificate_malformed", {"not_after": 1 << 32}),
    (examples.CERTIFICATE, "certificate_malformed", {"offline_sale_max_fen": -1}),
    (examples.CERTIFICATE, "certificate_malformed", {"status_index": 1.0}),
    (examples.CERTIFICATE, "certificate_malformed", {"signature": bytes(65)}),
    (examples.CERTIFICATE, "certificate_malformed", {"suite": 2}),
    (examples.CERTIFICATE.device_key, "public_key_malformed", {"suite": 1}),
    (examples.CERTIFICATE.device_key, "public_key_malformed", {"point": bytes(33)}),
    (examples.SM_DEVICE_KEY, "signing_key_malformed", {"scalar": bytes(32)}),
    (examples.SM_DEVICE_KEY, "public_key_malformed", {"public_key": b"\x02" + b"\xff" * 32}),
    (KeyBatch(bytes(16), bytes(32)), "key_batch_malformed", {"limited_use_key": bytes(15)}),
    (KeyBatch(bytes(16), bytes(32)), "key_batch_malformed", {"pay_code_key": bytes(33)}),
    (PayCode("0" * 8, "0" * 8), "pay_code_malformed", {"short_number": "1234567"}),
    (PayCode("0" * 8, "0" * 8), "pay_code_malformed", {"one_time": "１２３４５６７８"}),
    (DataObject("59", "a"), "merchant_code_malformed", {"id": "5"}),
    (DataObject("59", "a"), "merchant_code_malformed", {"value": ""}),
    (DataObject("59", "a"), "merchant_code_malformed", {"value": "a" * 100}),
    (examples.ACCOUNT, "merchant_code_malformed", {"guid": "a b"}),
    (examples.ACCOUNT, "merchant_code_malformed", {"shop_number": "s" * 33}),
    (examples.ACCOUNT, "merchant_code_malformed", {"shop_number": "shop\n"}),
    (examples.ACCOUNT, "merchant_code_malformed", {"bill_number": ""}),
    (examples.ACCOUNT, "merchant_code_malformed", {"mac": bytes(7)}),
    (examples.MERCHANT_CODE, "merchant_code_malformed", {"is_dynamic": False}),
    (examples.MERCHANT_CODE, "merchant_code_malformed", {"is_dynamic": 1}),
    (examples.MERCHANT_CODE, "merchant_code_malformed", {"mcc": "581"}),
    (examples.MERCHANT_CODE, "merchant_code_malformed", {"amount_fen": 0}),
    (examples.MERCHANT_CODE, "merchant_code_malformed", {"amount_fen": 12.5}),
    (examples.MERCHANT_CODE, "merchant_code_malformed", {"merchant_name": "老王"}),
    (examples.MERCHANT_CODE, "merchant_code_malformed", {"merchant_name": "m" * 26}),
    (examples.MERCHANT_CODE, "merchant_code_malformed", {"city": ""}),
    (examples.MERCHANT_CODE, "merchant_code_malformed", {"merchant_name_zh": None}),
    (examples.MERCHANT_CODE, "merchant_code_malformed", {"merchant_name_zh": "\ud800"}),
    (examples.MERCHANT_CODE, "merchant_code_malformed", {"terminal_label": ""}),
    (examples.MERCHANT_CODE, "merchant_code_malformed", {"merchant_account": None}),
    (examples.DIRECTORY, "fci_malformed", {"entries": ()}),
    (examples.DIRECTORY, "fci_malformed", {"entries": (b"",)}),
    (examples.DIRECTORY.entries[0], "fci_malformed", {"aid": bytes(4)}),
    (examples.DIRECTORY.entries[0], "fci_malformed", {"priority": 16}),
    (ApplicationFci(bytes(5), "L", b"\x9a\x03", b"1"), "fci_malformed", {"pdol": b"\x9a"}),
    (ApplicationFci(bytes(5), "L", b"\x9a\x03", b"1"), "fci_malformed", {"pdol": b"\x9f\x02"}),
    (ApplicationFci(bytes(5), "L", b"\x9a\x03", b"1"), "fci_malformed", {"label": ""}),
    (ApplicationFci(bytes(5), "L", b"\x9a\x03", b"1"), "fci_malformed", {"programme_id": b""}),
    (Select(bytes(5)), "command_malformed", {"name": bytes(17)}),
    (GetProcessingOptions(bytes(42)), "command_malformed", {"pdol_data": bytes(41)}),
    (ReadRecord(1, 1), "command_malformed", {"sfi": 31}),
    (ReadRecord(1, 1), "command_malformed", {"record": 0}),
    (examples.DENY_PART, "deny_part_malformed", {"key_name": bytes(31)}),
    (examples.DENY_PART, "deny_part_malformed", {"since": 8}),
    (examples.DENY_PART, "deny_part_malformed", {"upto": 10}),
    (examples.DENY_PART, "deny_part_malformed", {"head": 2**64}),
    (examples.DENY_PART, "deny_part_malformed", {"issued_at": -1}),
    (examples.DENY_PART, "deny_part_malformed", {"tokens_total": 2**32}),
    (examples.DENY_PART, "deny_part_malformed", {"purses_total": True}),
    (examples.DENY_PART, "deny_part_malformed", {"signature": bytes(63)}),
    *WRONG_CODES_AT_BIRTH,
)


@pytest.mark.parametrize(("value", "code", "change"), WRONG_AT_BIRTH)
def test_a_wrong_field_is_refused_at_birth(value, code, change):
    with pytest.raises(MalformedBytes) as refusal:
        dataclasses.replace(value, **change)
    assert refusal.value.code == code


def test_every_value_with_fields_is_tried_at_birth():
    tried = {type(value) for value, _, _ in WRONG_AT_BIRTH}
    kinds = (
        Certificate,
        GpoResponse,
        IssuerApplicationData,
        MerchantAccount,
        MerchantCode,
        TransactionData,
        DirectoryEntry,
        Directory,
    )
    assert set(kinds) <= tried
    assert {type(example.value) for example in examples.EXAMPLES} <= tried
