"""Commands, answers, files and records of the purse: bytes to value and back, refusals."""

from __future__ import annotations

import dataclasses

import pytest

from card_protocol.epurse import capp, commands, files
from card_protocol.epurse.capp import CappHead, RailRecord, capp_record, rail_checksum
from card_protocol.epurse.commands import (
    Credit,
    Debit,
    DebitAnswer,
    Initialise,
    InitialiseLoadAnswer,
    InitialisePurchaseAnswer,
    Prove,
    ProveAnswer,
    UpdateCache,
)
from card_protocol.epurse.files import (
    HolderData,
    JourneyRecord,
    LogRecord,
    ManagementData,
    PublicData,
    PurseFci,
    key_factors,
)
from card_protocol.epurse.transactions import TransactionKind
from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import EPURSE_AID

TERMINAL = bytes.fromhex("001122334455")
MOMENT = bytes.fromhex("20251123083000")
PUBLIC = "01011000FFFFFFFF0201031051700701047913812019071820401231" + "0000"

COMMANDS = [
    (
        Initialise(TransactionKind.LOAD, 1, 0x1000, TERMINAL),
        "805000020B010000100000112233445510",  # as published
    ),
    (
        Initialise(TransactionKind.PURCHASE, 1, 100, TERMINAL),
        "805001020B01000000640011223344550F",
    ),
    (
        Initialise(TransactionKind.COMPOUND_PURCHASE, 2, 0, TERMINAL),
        "805003020B02000000000011223344550F",
    ),
    (
        Credit(bytes.fromhex("20111221214822"), bytes.fromhex("3A845BF0")),
        "805200000B201112212148223A845BF004",  # as published
    ),
    (
        Debit(bytes.fromhex("00000001"), MOMENT, bytes.fromhex("F15CAB75")),
        "805401000F0000000120251123083000F15CAB7508",
    ),
    (UpdateCache(0x1E, 0, bytes(48)), "80DC00F030" + "00" * 48),
    (UpdateCache(0x19, 0xAA, bytes.fromhex("AA2900") + bytes(40)), "80DCAAC82BAA2900" + "00" * 40),
    (UpdateCache(0x1A, 0x12, bytes(128)), "80DC12D080" + "00" * 128),
    (Prove(TransactionKind.PURCHASE, 0x0102), "805A000602010208"),
]
ANSWERS = [
    (
        InitialiseLoadAnswer(0, 2, 1, 0, bytes.fromhex("11223344"), bytes.fromhex("2988AE5A")),
        "00000000000201001122334 42988AE5A",
    ),
    (
        InitialisePurchaseAnswer(500, 7, 0x010203, 1, 4, bytes.fromhex("11223344")),
        "000001F400070102030104 11223344",
    ),
    (DebitAnswer(b"\x01" * 4, b"\x02" * 4), "0101010102020202"),
    (ProveAnswer(b"\x02" * 4, b"\x01" * 4), "0202020201010101"),
]


@pytest.mark.parametrize(("command", "wire"), COMMANDS, ids=lambda part: type(part).__name__)
def test_commands_on_the_wire(command, wire):
    assert command.to_apdu().encode().hex().upper() == wire


@pytest.mark.parametrize(("answer", "wire"), ANSWERS, ids=lambda part: type(part).__name__)
def test_answers_there_and_back(answer, wire):
    body = bytes.fromhex(wire.replace(" ", ""))
    assert answer.encode() == body
    assert type(answer).decode(body) == answer
    for broken in (body[:-1], body + b"\x00", b""):
        with pytest.raises(MalformedBytes):
            type(answer).decode(broken)


def test_data_fields_there_and_back():
    for command, wire in COMMANDS[:3]:
        assert Initialise.decode(command.kind, bytes.fromhex(wire)[5:16]) == command
    for command, wire in COMMANDS[3:5]:
        body = bytes.fromhex(wire)
        assert type(command).decode(body[5 : 5 + body[4]]) == command


FILES = [
    (PublicData.decode(bytes.fromhex(PUBLIC)), PUBLIC),
    (HolderData(1, 0, b"x" * 20, b"9" * 32, 5), "0100" + "78" * 20 + "39" * 32 + "05"),
    (
        ManagementData(
            bytes.fromhex("00000156"), b"\x10\x00", b"\x10\x01", b"\x00\x01", 3, bytes(49)
        ),
        "00000156100010010001" + "03" + "00" * 49,
    ),
    (
        LogRecord(0x0102, 0, 250, 6, TERMINAL, MOMENT),
        "0102000000000000FA06001122334455" + "20251123083000",
    ),
    (
        JourneyRecord(
            3,
            bytes(2) + TERMINAL,
            1,
            b"\x00\x04",
            b"\x00\x12",
            b"\x01\x02",
            0,
            200,
            4800,
            MOMENT,
            b"\x10\x00",
            bytes.fromhex("01011000FFFFFFFF"),
        ),
        "03000000112233445501" + "00040012010200" + "000000C8000012C0" + "20251123083000"
        "1000" + "01011000FFFFFFFF" + "00" * 6,
    ),
]


@pytest.mark.parametrize(("value", "wire"), FILES, ids=lambda part: type(part).__name__)
def test_files_there_and_back(value, wire):
    body = bytes.fromhex(wire)
    assert value.encode() == body
    assert type(value).decode(body) == value
    for broken in (body[:-1], body + b"\x00"):
        with pytest.raises(MalformedBytes):
            type(value).decode(broken)


def test_public_data_names_the_keys_factors():
    public = PublicData.decode(bytes.fromhex(PUBLIC))
    assert public.key_factor == public.serial[2:]
    assert key_factors(public, 1) == (public.key_factor,)
    assert key_factors(public, 2) == (bytes.fromhex("01011000FFFFFFFF"), public.key_factor)
    with pytest.raises(MalformedBytes):
        key_factors(public, 3)


@pytest.mark.parametrize(
    ("version", "wire"),
    [
        (0x02, "6F318408A000000632010105A5259F0801029F0C1E" + PUBLIC),
        (None, "6F2D8408A000000632010105A5219F0C1E" + PUBLIC),
    ],
    ids=["T-Union", "without 9F08"],
)
def test_face_as_seen_in_the_field(version, wire):
    fci = PurseFci(EPURSE_AID, PublicData.decode(bytes.fromhex(PUBLIC)), version)
    assert fci.encode().hex().upper() == wire
    assert PurseFci.decode(bytes.fromhex(wire)) == fci


@pytest.mark.parametrize(
    ("record", "record_id", "last_id_byte", "is_locked"),
    [
        ("AA2900" + "00" * 40, 0xAA, 0xAA, False),
        ("AA2901" + "00" * 40, 0xAA, 0xAA, True),
        ("0176" + "00" * 118, 0x01, 0x01, False),
        ("27127D01" + "01" * 124, 0x2712, 0x12, False),  # "valid", 01 in daily use
        ("27127D00" + "01" * 124, 0x2712, 0x12, False),
        ("27127D02" + "01" * 124, 0x2712, 0x12, True),
    ],
)
def test_heads_of_variable_records(record, record_id, last_id_byte, is_locked):
    head = CappHead.decode(bytes.fromhex(record))
    assert (head.record_id, head.last_id_byte, head.is_locked) == (
        record_id,
        last_id_byte,
        is_locked,
    )


@pytest.mark.parametrize("record", ["", "AA0100", "AA2A00" + "00" * 40, "27127E00" + "00" * 124])
def test_records_without_a_head_are_refused(record):
    with pytest.raises(MalformedBytes) as refusal:
        CappHead.decode(bytes.fromhex(record))
    assert refusal.value.code == capp.CODE


def rail(**changes: bytes) -> RailRecord:
    names = [field.name for field in dataclasses.fields(RailRecord)]
    parts = {
        name: bytes((at + 1,)) * size
        for at, (name, size) in enumerate(zip(names, RailRecord.SIZES, strict=True))
    }
    return RailRecord(**(parts | changes))


def test_rail_record_stands_where_readers_look():
    record = rail(status=b"\x01", place=bytes((capp.INSIDE,)), entry_moment=MOMENT).encode()
    assert len(record) == 128
    assert record[:3] == bytes.fromhex("27127D")
    assert record[14] == 0x01
    assert record[67:74] == MOMENT
    assert record[122] == 0x55
    assert record[124:] == rail_checksum(record)
    assert RailRecord.decode(record).encode() == record


def test_a_rail_record_with_one_bit_changed_is_refused():
    record = rail().encode()
    for at in (6, 60, 123, 124, 127):
        broken = bytearray(record)
        broken[at] ^= 1
        with pytest.raises(MalformedBytes):
            RailRecord.decode(bytes(broken))


def test_variable_records_are_built_with_their_heads():
    assert capp_record(0xAA, bytes(40)) == bytes.fromhex("AA2900") + bytes(40)
    assert capp_record(0x2712, bytes(124), 1, id_bytes=2)[:4] == bytes.fromhex("27127D01")
    with pytest.raises(MalformedBytes):
        capp_record(0x100, b"")
    with pytest.raises(MalformedBytes):
        capp_record(0x01, bytes(250))


def test_pins_are_bcd():
    for good in ("1234", "123F", "123456789012"):
        commands.require_pin(bytes.fromhex(good))
    for bad in ("12", "12345678901234", "12A4", "1FF4", "FFFF"):
        with pytest.raises(MalformedBytes):
            commands.require_pin(bytes.fromhex(bad))
    change = commands.change_pin(bytes.fromhex("1234"), bytes.fromhex("567890"))
    assert change.encode().hex().upper() == "805E0100061234FF567890"
    reload = commands.reload_pin(bytes.fromhex("1234"), bytes(4))
    assert reload.encode().hex().upper() == "805E000006123400000000"
    assert commands.verify_pin(bytes.fromhex("1234")).encode().hex() == "00200000021234"


def test_values_are_checked_at_birth():
    for build in (
        lambda: Initialise(TransactionKind.UNLOAD, 1, 1, TERMINAL),
        lambda: Initialise(TransactionKind.LOAD, 1, 1 << 32, TERMINAL),
        lambda: Initialise(TransactionKind.LOAD, 1, 1, b""),
        lambda: InitialiseLoadAnswer(0, 0x10000, 1, 0, bytes(4), bytes(4)),
        lambda: UpdateCache(31, 0, b"\x00"),
        lambda: UpdateCache(30, 0, b""),
        lambda: LogRecord(1, 1 << 24, 0, 0, TERMINAL, MOMENT),
        lambda: Prove(6, 1),  # type: ignore[arg-type]
        lambda: files.PublicData(b"", 2, 1, bytes(10), bytes(4), bytes(4)),
    ):
        with pytest.raises(MalformedBytes):
            build()
