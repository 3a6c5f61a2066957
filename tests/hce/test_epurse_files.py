"""Selecting a purse, reading its files, and who may write them."""

from __future__ import annotations

import pytest

from card_protocol.apdu import CommandApdu
from card_protocol.epurse.capp import capp_record
from card_protocol.epurse.files import PurseFci
from card_protocol.fci import Directory
from card_protocol.mobile_card import EPURSE_AID, MOBILE_CARD_AID
from hce.applets.epurse.applet import EpurseApplet
from hce.applets.epurse.state import Face, KeyKind, PurseState
from hce.card import Card
from hce.purse_store import MemoryPurseStore
from tests.hce.epurse_bench import KEYS, PUBLIC, SELECT, Bench, bench, purse
from tests.hce.examples import SELECT_DIRECTORY
from tests.hce.examples import Bench as MobileBench

FCI = "6F318408A000000632010105A5259F0801029F0C1E" + PUBLIC.encode().hex().upper()
LOG_EMPTY = "00" * 23


def test_the_face_is_the_one_readers_know():
    card = bench()
    assert card.send(SELECT) == FCI + "9000"
    assert card.send(SELECT[:-1]) == FCI + "9000"
    assert PurseFci.decode(bytes.fromhex(FCI)).public == PUBLIC


def test_the_directory_lists_the_purse_last_with_its_label():
    mobile = MobileBench().card._applets[MOBILE_CARD_AID]
    card = Card([mobile, EpurseApplet(MemoryPurseStore(purse()))])
    answer = card.transmit(SELECT_DIRECTORY)
    assert [(entry.aid, entry.label) for entry in Directory.decode(answer[:-2]).entries] == [
        (MOBILE_CARD_AID, "CITY CARD"),
        (EPURSE_AID, "MOT_T_EP"),
    ]


FORMS = {
    "by name": ("00A4040008A00000063201010500", FCI + "9000"),
    "by folder": ("00A40000021001", FCI + "9000"),
    "by folder with Le": ("00A4000002100100", FCI + "9000"),
    "master file": ("00A40000023F00", "9000"),
    "master file without data": ("00A4000000", "9000"),
    "a file": ("00A40000020017", "9000"),
    "no such file": ("00A40000021002", "6A82"),
    "no name": ("00A4040000", "6A82"),
    "half an id": ("00A400000110", "6A82"),
    "next folder": ("00A40002021001", "6A86"),
}


@pytest.mark.parametrize(("command", "answer"), FORMS.values(), ids=FORMS)
def test_forms_of_select(command, answer):
    assert bench().send(command) == answer


def test_the_master_file_is_no_purse():
    card = bench()
    card.send("00A40000023F00")
    assert card.send("805C000204") == "6D00"
    assert card.send("00A40000020015") == "6A82"
    assert card.send("00A40000021001") == FCI + "9000"
    assert card.send("805C000204") == "000013889000"


def test_a_file_is_selected_before_or_after_nothing():
    card = Bench(MemoryPurseStore(purse()))
    assert card.send("00A40000020015") == "6A82"  # no application yet
    assert card.send("805C000204") == "6D00"


def test_a_plastic_card_is_selected_as_soon_as_it_has_power():
    applet = EpurseApplet(MemoryPurseStore(purse()))
    card = Card([applet], default_aid=EPURSE_AID)
    for _ in range(2):
        assert card.transmit(bytes.fromhex("805C000204")).hex() == "000013889000"
        card.power_on()
    assert card.transmit(bytes.fromhex("00A4040000")).hex().upper() == FCI + "9000"
    with pytest.raises(ValueError, match="default"):
        Card([applet], default_aid=MOBILE_CARD_AID)


def test_two_purses_have_two_folders():
    twins = [EpurseApplet(MemoryPurseStore(state)) for state in (purse(), city_union())]
    with pytest.raises(ValueError, match="file id"):
        Card(twins)


def test_a_city_union_purse_has_its_own_name_and_folder():
    state = city_union(file_id=0x3F01)
    card = Card([EpurseApplet(MemoryPurseStore(purse())), EpurseApplet(MemoryPurseStore(state))])
    body = "6F2E8409" + state.face.aid.hex().upper() + "A5219F0C1E" + PUBLIC.encode().hex().upper()
    for select in (f"00A4040009{state.face.aid.hex()}00", "00A40000023F0100"):
        assert card.transmit(bytes.fromhex(select)).hex().upper() == body + "9000"
    assert card.transmit(bytes.fromhex("805C000204")).hex() == "000000079000"


def city_union(file_id: int = 0x1001) -> PurseState:
    aid = bytes.fromhex("A00000000386980701")
    return purse(face=Face(aid, "CITY UNION", file_id), balance_fen=7)


def test_a_default_purse_starts_each_session_fresh():
    card = Card([EpurseApplet(MemoryPurseStore(purse()))], default_aid=EPURSE_AID)
    assert card.transmit(bytes.fromhex("0020000003123456")) == b"\x90\x00"
    assert card.transmit(bytes.fromhex("805001020B01000000010011223344550F"))[-2:] == b"\x90\x00"
    card.reset()
    assert card.transmit(bytes.fromhex("805401000F" + "00" * 15 + "08")) == b"\x69\x01"


READS = {
    "15 with Le 00": ("00B0950000", PUBLIC.encode().hex().upper() + "9000"),
    "15 with Le 1E": ("00B095001E", PUBLIC.encode().hex().upper() + "9000"),
    "15 with Le 20": ("00B0950020", PUBLIC.encode().hex().upper() + "9000"),
    "15 without Le": ("00B09500", PUBLIC.encode().hex().upper() + "9000"),
    "a part of 15": ("00B0950A04", "031051709000"),
    "the last byte": ("00B0951D01", "009000"),
    "beyond": ("00B0951E01", "6B00"),
    "16 has no name": ("00B0960000", "00" * 55 + "9000"),
    "17": ("00B097000B", "00000156100010000001019000"),
    "no such file": ("00B0940000", "6A82"),
    "a record file": ("00B0980000", "6981"),
    "bits that mean nothing": ("00B0D50000", "6A86"),
    "no current file": ("00B0000000", "6986"),
    "with data": ("00B0950001AA", "6700"),
    "log 1": ("00B201C400", LOG_EMPTY + "9000"),
    "log 1 with Le": ("00B201C417", LOG_EMPTY + "9000"),
    "log 10": ("00B20AC400", LOG_EMPTY + "9000"),
    "log 11": ("00B20BC400", "6A83"),
    "log 0": ("00B200C400", "6A83"),
    "whole log": ("00B201C500", LOG_EMPTY * 10 + "9000"),
    "log from 9": ("00B209C500", LOG_EMPTY * 2 + "9000"),
    "one of all": ("00B201C517", LOG_EMPTY + "9000"),
    "journeys, as many as fit": ("00B201F500", "00" * 48 * 5 + "9000"),
    "all journeys, extended": ("00B201F5000000", "00" * 48 * 30 + "9000"),
    "a Le too small": ("00B201C410", "6C17"),
    "record of a binary file": ("00B201AC00", "6981"),
    "record of no file": ("00B2019400", "6A82"),
    "record of the current file": ("00B2010400", "6986"),
    "a mode nobody has": ("00B201C600", "6A86"),
    "log by id": ("00B201C000", "6A86"),
    "parking by id": ("00B2AAC800", "AA2900" + "00" * 40 + "9000"),
    "no such id": ("00B2ABC800", "6A83"),
    "a second rail record": ("00B203D400", "6A83"),
}


@pytest.mark.parametrize(("command", "answer"), READS.values(), ids=READS)
def test_reads(command, answer):
    assert bench().send(command) == answer


def test_the_current_file_is_read_without_its_short_id():
    card = bench()
    card.get("00A40000020015")
    assert card.send("00B0000A04") == "031051709000"
    assert card.send("00B0010000") == "6B00"
    card.get("00A40000020018")
    assert card.send("00B0000004") == "6981"
    assert card.send("00B2010400") == LOG_EMPTY + "9000"


# --- updates ------------------------------------------------------------------------------------

NAME = CommandApdu(0x04, 0xD6, 0x96, 2, b"\x41\x42")
EXTRA = capp_record(0xBB, b"\x01" * 10)


@pytest.mark.parametrize("challenge_bytes", [4, 8, 16])
def test_an_update_with_its_mac(challenge_bytes):
    card = bench()
    card.get(card.secured(NAME, challenge_bytes=challenge_bytes))
    assert card.send("00B0960004") == "000041429000"


def test_an_update_needs_a_fresh_challenge_and_the_right_key():
    card = bench()
    before = card.state
    assert card.send(CommandApdu(0x04, 0xD6, 0x96, 2, bytes(6))) == "6985"
    good = card.secured(NAME)
    wrong_key = card.secured(NAME, KeyKind.PIN_UNBLOCK)
    assert card.send(wrong_key) == "6988"
    assert card.state.find_first_key(KeyKind.MAINTENANCE).failures == 1
    assert card.send(good) == "6985"  # a wrong one has spent the random number
    assert card.state.find_file(0x16) == before.find_file(0x16)
    good = card.secured(NAME)
    card.get(good)
    assert card.state.find_first_key(KeyKind.MAINTENANCE).failures == 0
    assert card.send(good) == "6985"  # nor does it serve twice
    card.get("0084000004")
    assert card.send(good) == "6988"


def test_a_challenge_ends_with_the_selection():
    card = bench()
    good = card.secured(NAME)
    card.select()
    assert card.send(good) == "6985"


UPDATES = {
    "beyond the end": (CommandApdu(0x04, 0xD6, 0x96, 54, b"\x41\x42"), "6700"),
    "offset beyond": (CommandApdu(0x04, 0xD6, 0x96, 55, b"\x41"), "6B00"),
    "nothing": (CommandApdu(0x04, 0xD6, 0x96, 0), "6700"),
    "a record file": (CommandApdu(0x04, 0xD6, 0x98, 0, b"\x41"), "6981"),
    "no file": (CommandApdu(0x04, 0xD6, 0x94, 0, b"\x41"), "6A82"),
    "append": (CommandApdu(0x04, 0xE2, 0, 0xC8, EXTRA), "9000"),
    "append twice": (CommandApdu(0x04, 0xE2, 0, 0xC8, capp_record(0xAA, b"\x01")), "6A80"),
    "append without a head": (CommandApdu(0x04, 0xE2, 0, 0xC8, b"\xbb\x01"), "6A80"),
    "append too much": (
        CommandApdu(0x04, 0xE2, 0, 0xC8, capp_record(0xBC, bytes(220))),
        "6A84",
    ),
    "append to the log": (CommandApdu(0x04, 0xE2, 0, 0xC0, bytes(23)), "6981"),
    "append to the journeys": (CommandApdu(0x04, 0xE2, 0, 0xF0, bytes(48)), "6981"),
    "append with P1": (CommandApdu(0x04, 0xE2, 1, 0xC8, EXTRA), "6A86"),
    "update the log": (CommandApdu(0x04, 0xDC, 1, 0xC4, bytes(23)), "6981"),
    "update record 9": (CommandApdu(0x04, 0xDC, 9, 0xCC, EXTRA), "6A83"),
    "update with a mode": (CommandApdu(0x04, 0xDC, 1, 0xCD, EXTRA), "6A86"),
    "update to another length": (CommandApdu(0x04, 0xDC, 1, 0xCC, EXTRA), "6700"),
    "update to another id": (
        CommandApdu(0x04, 0xDC, 1, 0xCC, capp_record(0xAB, bytes(40))),
        "6A80",
    ),
    "update by id": (CommandApdu(0x04, 0xDC, 0xAA, 0xC8, capp_record(0xAA, bytes(40))), "9000"),
}


@pytest.mark.parametrize(("command", "sw"), UPDATES.values(), ids=UPDATES)
def test_words_for_updates(command, sw):
    card = bench()
    assert card.send(card.secured(command)) == sw


def test_room_for_records_ends():
    card = bench()
    sizes = []
    for record_id in range(1, 20):
        record = capp_record(record_id, bytes(50))
        sw = card.send(card.secured(CommandApdu(0x04, 0xE2, 0, 0xC8, record)))
        if sw != "9000":
            break
        sizes.append(len(record))
    assert sw == "6A84"
    assert 43 + sum(sizes) <= 256 < 43 + sum(sizes) + 53


def test_plain_updates_need_external_authentication():
    card = bench()
    plain = CommandApdu(0x00, 0xD6, 0x96, 2, b"\x41\x42")
    assert card.send(plain) == "6982"
    assert card.send(CommandApdu(0x00, 0xE2, 0, 0xC8, EXTRA)) == "6982"
    assert card.send(CommandApdu(0x00, 0xDC, 1, 0xCC, bytes(43))) == "6982"
    challenge = card.get("0084000008")
    proof = card.suite.encrypt_block(KEYS[KeyKind.EXTERNAL], challenge)
    card.get(CommandApdu(0x00, 0x82, 0, 1, proof))
    card.get(plain)
    card.get(CommandApdu(0x00, 0xE2, 0, 0xC8, EXTRA))
    assert card.send("00B0960202") == "41429000"
    card.select()
    assert card.send(plain) == "6982"
