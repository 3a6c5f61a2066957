"""The card itself: selection, dispatch, Le, faults; on the mobile card and on small applets."""

from __future__ import annotations

import logging
import re
from functools import reduce
from operator import xor

import pytest

from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.errors import MalformedBytes
from card_protocol.fci import Directory
from card_protocol.mobile_card import EPURSE_AID, MOBILE_CARD_AID, GpoResponse
from hce.atr import contactless_atr
from hce.card import Card
from hce.errors import CardAbsent
from hce.transports.loopback import Loopback
from tests.hce.examples import READ_CERTIFICATE, SELECT_CARD, SELECT_DIRECTORY, Bench, gpo

AID = "F0434954594341524401"


class Echo:
    """Answers SELECT and every command with `size` bytes."""

    def __init__(self, size: int, aid: bytes = EPURSE_AID, sw: int = 0x9000) -> None:
        self.aid, self.label = aid, "ECHO"
        self.answer = ResponseApdu(bytes(at & 0xFF for at in range(size)), sw)

    def select(self) -> ResponseApdu:
        return ResponseApdu(b"", 0x9000)

    def process(self, command: CommandApdu) -> ResponseApdu:
        return self.answer


class Broken(Echo):
    """An applet with a bug whose message holds a secret."""

    def process(self, command: CommandApdu) -> ResponseApdu:
        raise RuntimeError("the key is 00112233445566778899AABBCCDDEEFF")


def selected(applet: Echo) -> Card:
    card = Card([applet])
    assert card.transmit(bytes((0, 0xA4, 4, 0, len(applet.aid))) + applet.aid) == b"\x90\x00"
    return card


SELECTIONS = {
    "with Le": (f"00A404000A{AID}00", "9000"),
    "without Le": (f"00A404000A{AID}", "9000"),
    "extended length": (f"00A4040000000A{AID}0000", "9000"),
    "Le too short keeps the answer": (f"00A404000A{AID}10", "613E"),
    "a part of the name": ("00A4040005F04349545900", "6A82"),
    "a longer name": (f"00A404000B{AID}0000", "6A82"),
    "the next of that name": (f"00A404020A{AID}00", "6A82"),
    "another application": ("00A4040008A00000063201010500", "6A82"),
    "no name": ("00A4040000", "6A82"),
    "a file id": ("00A40000023F0000", "6A82"),
    "a path": ("00A40800023F0000", "6A86"),
    "FCP asked for": (f"00A404040A{AID}00", "6A86"),
    "another class": (f"01A404000A{AID}00", "6E00"),
    "proprietary class": (f"80A404000A{AID}00", "6D00"),
    "Lc beyond the end": (f"00A404000B{AID}", "6700"),
}


@pytest.mark.parametrize(("command", "sw"), SELECTIONS.values(), ids=SELECTIONS)
def test_selection(command: str, sw: str) -> None:
    assert Bench().send(command)[-4:] == sw


def test_a_selection_that_fails_leaves_the_former_application() -> None:
    card = Bench()
    card.send(SELECT_CARD)
    assert card.send("00A4040008A00000063201010500") == "6A82"
    assert card.send(READ_CERTIFICATE) == "6A83"
    assert card.send(gpo()) == "6985"


NOTHING_SELECTED = {
    "GPO": (gpo().hex(), "6985"),
    "READ RECORD": (READ_CERTIFICATE.hex(), "6A83"),
    "GET RESPONSE": ("00C0000000", "6985"),
    "GET DATA": ("00CA9F3600", "6D00"),
    "e-purse balance": ("805C000204", "6D00"),
    "secure messaging": ("0CB2010C00", "6E00"),
    "class FF": ("FFCA000000", "6E00"),
    "nothing": ("", "6700"),
    "one byte": ("00", "6700"),
    "three bytes": ("00A404", "6700"),
    "Lc beyond the end": ("80A80000FF00", "6700"),
    "extended Lc of zero": ("80A80000000000AA", "6700"),
}


@pytest.mark.parametrize(("command", "sw"), NOTHING_SELECTED.values(), ids=NOTHING_SELECTED)
def test_commands_before_any_selection(command: str, sw: str) -> None:
    assert Bench().send(command) == sw


def test_the_directory_knows_no_command() -> None:
    card = Bench()
    card.send(SELECT_DIRECTORY)
    assert card.send(READ_CERTIFICATE) == "6D00"
    assert card.send(gpo()) == "6D00"


def test_the_directory_lists_the_applications_in_their_order() -> None:
    card = Card([Echo(0, MOBILE_CARD_AID), Echo(0, EPURSE_AID)])
    entries = Directory.decode(card.transmit(SELECT_DIRECTORY)[:-2]).entries
    assert [(entry.aid, entry.priority) for entry in entries] == [
        (MOBILE_CARD_AID, 1),
        (EPURSE_AID, 2),
    ]


def test_a_card_has_applications_and_each_name_once() -> None:
    with pytest.raises(MalformedBytes):
        Card([])
    with pytest.raises(ValueError, match="two applications"):
        Card([Echo(0), Echo(1)])


@pytest.mark.parametrize(
    "begin", [Card.power_on, Card.reset, Card.power_off], ids=["power on", "reset", "power off"]
)
def test_a_new_session_forgets_the_selection(begin) -> None:
    card = Bench()
    card.send(SELECT_CARD)
    begin(card.card)
    assert card.send(gpo()) == "6985"
    assert card.send(READ_CERTIFICATE) == "6A83"


def test_a_short_le_leaves_the_cryptogram_to_get_response_and_costs_one_counter() -> None:
    card = Bench()
    card.send(SELECT_CARD)
    assert card.send(gpo()[:-1] + b"\x20") == "617D"
    assert card.send("00C000007E") == "6C7D"
    first = card.send("00C0000064")
    assert first.endswith("6119")
    rest = card.send("00C0000019")
    assert rest.endswith("9000")
    answer = GpoResponse.decode(bytes.fromhex(first[:-4] + rest[:-4]))
    assert answer.atc == 258
    assert card.send("00C0000000") == "6985"
    assert card.tap().atc == 259


def test_waiting_bytes_are_kept_for_the_very_next_command_only() -> None:
    card = Bench()
    card.send(SELECT_CARD)
    assert card.send(gpo()[:-1] + b"\x20") == "617D"
    assert card.send("00C0010000") == "6A86"
    assert card.send("00C0000000") == "6985"


@pytest.mark.parametrize(
    ("size", "le", "answer_bytes", "sw"),
    [
        (0, "01", 0, 0x9000),
        (1, "01", 1, 0x9000),
        (2, "01", 0, 0x6C02),
        (255, "FE", 0, 0x6CFF),
        (256, "00", 256, 0x9000),
        (256, "FF", 0, 0x6C00),
        (300, "00", 0, 0x6C00),
        (300, "00012C", 300, 0x9000),
        (300, "000000", 300, 0x9000),
    ],
)
def test_a_read_longer_than_le_is_asked_again(
    size: int, le: str, answer_bytes: int, sw: int
) -> None:
    body = selected(Echo(size)).transmit(bytes.fromhex("00B00000" + le))
    assert (len(body) - 2, int.from_bytes(body[-2:])) == (answer_bytes, sw)


def test_an_answer_of_300_bytes_comes_in_parts_with_its_own_status_word() -> None:
    card = selected(Echo(300, sw=0x6283))
    assert card.transmit(bytes.fromhex("80500000 01 AA 10")) == b"\x61\x00"
    first = card.transmit(bytes.fromhex("00C0000000"))
    assert first[-2:] == b"\x61\x2c"
    assert len(first) == 258
    second = card.transmit(bytes.fromhex("00C000002C"))
    assert second[-2:] == b"\x62\x83"
    assert first[:-2] + second[:-2] == Echo(300).answer.data


def test_a_bug_shuts_the_card_until_reset_and_is_logged_once_without_the_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    card = selected(Broken(0))
    with caplog.at_level(logging.DEBUG):
        assert card.transmit(bytes.fromhex("80500000")) == b"\x6f\x00"
        assert card.transmit(SELECT_DIRECTORY) == b"\x6f\x00"
        assert card.transmit(b"") == b"\x6f\x00"
    (line,) = caplog.messages
    assert re.fullmatch(r"card fault: RuntimeError at test_card\.py:\d+; .*", line)
    assert "00112233" not in caplog.text
    assert card.reset()
    assert card.transmit(SELECT_DIRECTORY)[-2:] == b"\x90\x00"


@pytest.mark.parametrize("begin", [Card.power_on, Card.power_off])
def test_a_power_cycle_opens_a_shut_card(begin) -> None:
    card = selected(Broken(0))
    assert card.transmit(bytes.fromhex("80500000")) == b"\x6f\x00"
    begin(card)
    assert card.transmit(SELECT_DIRECTORY)[-2:] == b"\x90\x00"


def test_the_atr_is_what_a_contactless_reader_makes_up() -> None:
    atr = Bench().card.power_on()
    assert atr == bytes.fromhex("3B8A800180584349545943415244C0")
    assert reduce(xor, atr[1:]) == 0  # TCK makes all of it zero (ISO/IEC 7816-3, 8.2.5)
    assert contactless_atr(b"") == bytes.fromhex("3B80800101")
    with pytest.raises(ValueError, match="15"):
        contactless_atr(bytes(16))


def test_a_card_on_loopback_comes_and_goes() -> None:
    reader = Loopback(Bench().card)
    assert not reader.is_present()
    with pytest.raises(CardAbsent):
        reader.transmit(SELECT_CARD)
    assert reader.insert()[:1] == b"\x3b"
    assert reader.is_present()
    assert reader.transmit(SELECT_CARD)[-2:] == b"\x90\x00"
    reader.remove()
    reader.remove()
    with pytest.raises(ConnectionError):
        reader.transmit(READ_CERTIFICATE)
    reader.insert()
    assert reader.transmit(READ_CERTIFICATE) == b"\x6a\x83"  # a fresh session
