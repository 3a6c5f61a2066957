"""The nfcpy adapter: a card in another process over nfcpy's udp field, and cards that misbehave."""

from __future__ import annotations

import errno
import importlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import nfc.clf
import pytest

from card_protocol.mobile_card import GpoResponse
from reader_bridge.faults import CardFault, ReaderFault
from reader_bridge.readers import nfc as nfc_reader
from reader_bridge.readers.events import CardArrived, CardLeft, ReaderSet
from reader_bridge.readers.nfc import ForeignChannel, NfcChannel, NfcReader
from reader_bridge.readers.nfc_guard import (
    GuardedRadio,
    complete_ats,
)
from tests.hce.examples import READ_CERTIFICATE, SELECT_CARD, SELECT_DIRECTORY, gpo
from tests.hce.transports.card_process import ECHO_AID
from tests.hce.transports.test_nfcpy import CARD_MODULE, FWI, ROOT, free_port
from tests.reader_bridge.readers.nfc_field import Field, Time, good, reader_of

SELECT_ECHO = b"\x00\xa4\x04\x00" + bytes((len(ECHO_AID),)) + ECHO_AID
PATIENCE_SECONDS = 10.0


@contextmanager
def card_elsewhere() -> Iterator[tuple[int, Callable[[], str], Callable[[], None]]]:
    """A card at a port; its next line; and the hand that takes it away."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", CARD_MODULE, str(port), str(FWI)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = process.stdout
    try:
        assert lines.readline() == "listening\n"
        yield port, lambda: lines.readline().strip(), process.kill
    finally:
        process.kill()
        process.communicate()


@contextmanager
def udp_reader(port: int) -> Iterator[NfcReader]:
    reader = NfcReader(f"udp:127.0.0.1:{port}")
    try:
        yield reader
    finally:
        reader.close()


def arrive(reader: NfcReader) -> NfcChannel:
    """The card; on a busy machine its answer to RATS may come too late a few times."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            channel = reader.wait_for_card(PATIENCE_SECONDS)
        except ReaderFault:
            assert time.monotonic() < deadline
            continue
        assert isinstance(channel, NfcChannel)
        return channel


def test_a_whole_tap_and_the_same_card_again():
    with card_elsewhere() as (port, line, _), udp_reader(port) as reader:
        atcs = []
        for _ in range(2):
            channel = arrive(reader)
            assert channel.transmit(SELECT_DIRECTORY)[-2:] == b"\x90\x00"
            assert channel.transmit(SELECT_CARD)[-2:] == b"\x90\x00"
            atcs.append(GpoResponse.decode(channel.transmit(gpo())[:-2]).atc)
            assert channel.transmit(READ_CERTIFICATE)[-2:] == b"\x90\x00"
            assert channel.is_present()
            assert not channel.wait_for_removal(0.0)
            channel.close()
            assert not channel.is_present()
            assert not channel.wait_for_removal(0.0)  # let go, and still lying there
            with pytest.raises(ReaderFault, match="card_removed"):
                channel.transmit(SELECT_CARD)
        assert line() == "field lost"  # the second wait switched the field off and on
        assert atcs == [258, 259]


def test_a_slow_card_and_long_answers_pass():
    with card_elsewhere() as (port, _, _kill), udp_reader(port) as reader:
        channel = arrive(reader)
        channel.transmit(SELECT_ECHO)
        assert channel.transmit(bytes.fromhex("805D320004")) == bytes.fromhex("000000019000")
        whole = channel.transmit(bytes.fromhex("805E1000"))
        assert len(whole) == 16 * 256 + 2


def test_a_card_taken_away_between_two_commands():
    with card_elsewhere() as (port, _, kill), udp_reader(port) as reader:
        channel = arrive(reader)
        kill()
        with pytest.raises(ReaderFault, match="card_removed"):
            channel.transmit(SELECT_CARD)
        assert channel.wait_for_removal(0.0)
        assert not channel.is_present()


def test_a_watch_over_nfcpy_sees_one_card_come_and_go():
    with card_elsewhere() as (port, _, kill):
        reader = NfcReader(f"udp:127.0.0.1:{port}")
        with ReaderSet([reader]) as readers:
            events = iter(lambda: readers.next_event(PATIENCE_SECONDS), None)
            arrived = next(event for event in events if isinstance(event, CardArrived))
            assert arrived.channel.transmit(SELECT_CARD)[-2:] == b"\x90\x00"
            arrived.channel.close()
            assert readers.next_event(1.0) is None  # it lies there
            kill()
            assert readers.next_event(PATIENCE_SECONDS) == CardLeft(reader.name)


def test_time_is_granted_inside_a_chained_answer():
    """nfcpy 1.0.4 alone takes S(WTX) there for data."""
    blocks = iter([b"\x12\x01\x02", b"\xf2\x02", b"\x03\x90\x00"])
    field = Field(Time(), lambda frame: next(blocks))
    channel = reader_of(field).wait_for_card(0.0)
    assert channel is not None
    assert channel.transmit(SELECT_CARD) == b"\x01\x02\x90\x00"
    assert field.frames[-1] == b"\xf2\x02"


ATS = {
    "all there": ("0578807002", "0578807002"),
    "with history": ("0A788070023B01020304", "0578807002"),
    "length only": ("01", "0572804002"),
    "no interface bytes": ("0208", "0578804002"),
    "TB only": ("03287F", "0578807F02"),
    "TA and TC": ("0458330F", "057833400F"),
}


@pytest.mark.parametrize(("given", "read"), ATS.values(), ids=ATS)
def test_an_answer_to_select_is_completed(given, read):
    assert complete_ats(bytes.fromhex(given)).hex().upper() == read


def test_an_answer_to_select_that_ends_early():
    with pytest.raises(CardFault, match="card_link_broken"):
        complete_ats(bytes.fromhex("037880"))
    field = Field(Time(), good, ats=bytes.fromhex("037880"))
    with pytest.raises(ReaderFault, match="card_mute"):
        reader_of(field).wait_for_card(0.0)
    assert len(field.frames) == nfc_reader.ACTIVATIONS_MAX


def test_a_type_b_card():
    field = Field(Time(), good, ats=b"\x00")
    field.targets = {"106B": {"sensb_res": bytearray.fromhex("50 01020304 00000000 778171")}}
    channel = reader_of(field).wait_for_card(0.0)
    assert isinstance(channel, NfcChannel)
    assert channel.transmit(SELECT_CARD) == b"\x90\x00"
    assert field.frames[0][:5] == bytes.fromhex("1D01020304")


@pytest.mark.parametrize(
    "target",
    [
        {"106A": {"sens_res": b"\x04\x00", "sel_res": b"\x08", "sdd_res": bytearray(4)}},
        {"106B": {"sensb_res": bytearray.fromhex("50 01020304 00000000 778071")}},
    ],
    ids=["MIFARE Classic", "type B without ISO-DEP"],
)
def test_a_card_without_iso_dep_is_foreign(target):
    field = Field(Time(), good)
    field.targets = target
    channel = reader_of(field).wait_for_card(0.0)
    assert isinstance(channel, ForeignChannel)
    with pytest.raises(CardFault, match="card_foreign"):
        channel.transmit(SELECT_CARD)
    assert channel.is_present()
    channel.close()
    assert not channel.wait_for_removal(0.0)
    field.targets = {}
    assert channel.wait_for_removal(0.0)


def test_two_cards_of_both_technologies():
    field = Field(Time(), good)
    field.targets["106B"] = {"sensb_res": bytearray.fromhex("50 01020304 00000000 778171")}
    reader = reader_of(field, asks_for_others=True)
    with pytest.raises(ReaderFault, match="several_cards"):
        reader.wait_for_card(0.0)
    del field.targets["106B"]
    assert isinstance(reader.wait_for_card(0.0), NfcChannel)


def test_a_lost_frame_is_no_card_that_left():
    silences = iter([True, True, False] * 2)
    field = Field(Time(), lambda frame: None if next(silences) else good(frame))
    channel = reader_of(field).wait_for_card(0.0)
    assert channel is not None
    assert channel.is_present()
    field.answer = lambda frame: None
    assert not channel.is_present()
    field.answer = good
    assert channel.wait_for_removal(0.0)  # once gone, that presentation is over


def test_a_reader_pulled_out_is_opened_again():
    field = Field(Time(), good)
    opened: list[Field] = []

    def open_frontend(path: str) -> Field:
        opened.append(field)
        field.is_closed = False
        return field

    reader = NfcReader("usb", elapsed=field.time, open_frontend=open_frontend)
    channel = reader.wait_for_card(0.0)
    assert channel is not None
    field.error = OSError(errno.EIO, "USB gone")
    with pytest.raises(ReaderFault, match=r"reader_failed: .*USB gone"):
        channel.transmit(SELECT_CARD)
    assert field.is_closed
    assert channel.wait_for_removal(0.0)
    with pytest.raises(ReaderFault, match="reader_failed"):
        reader.wait_for_card(0.0)
    field.error = None
    assert isinstance(reader.wait_for_card(0.0), NfcChannel)
    assert len(opened) == 3


def test_nobody_comes_in_time():
    field = Field(Time(), good)
    field.targets = {}
    assert reader_of(field).wait_for_card(0.05) is None
    field.error = nfc.clf.UnsupportedTargetError("no")
    assert reader_of(field).wait_for_card(0.0) is None


def test_a_reader_that_is_not_there():
    with pytest.raises(ReaderFault, match="reader_missing: No reader found: tty:USB9:pn532"):
        NfcReader("tty:USB9:pn532").wait_for_card(0.0)
    with pytest.raises(ReaderFault, match="reader_missing"):
        NfcReader("udp:127.0.0.1:x").wait_for_card(0.0)


def test_without_the_driver(monkeypatch):
    real = importlib.import_module

    def missing(name: str) -> Any:
        if name.startswith("nfc"):
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(nfc_reader.importlib, "import_module", missing)
    with pytest.raises(ReaderFault) as caught:
        NfcReader().wait_for_card(0.0)
    assert caught.value.text("en") == "The reader driver (nfcpy) is not installed"


def test_the_driver_is_imported_at_first_use_only():
    """A till without nfcpy starts: nothing but the adapter's own use asks for it."""
    code = "import sys, reader_bridge.readers.nfc; sys.exit('nfc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_radio_without_an_account_sends_nothing():
    field = Field(Time(), good)
    guard = GuardedRadio(field, nfc.clf.TransmissionError, field.time)
    with pytest.raises(CardFault):
        guard.exchange(b"\x02", 0.1)
    assert field.frames == []
