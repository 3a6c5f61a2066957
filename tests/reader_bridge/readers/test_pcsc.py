"""PC/SC: which reader is taken, plugging, drivers that hang; pcscd killed and started anew."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from reader_bridge.faults import ReaderFault
from reader_bridge.readers import pcsc
from reader_bridge.readers.bounded import LOST_THREADS_MAX, DriverThread
from reader_bridge.readers.events import CardArrived, CardLeft, Pace, ReaderJoined, ReaderSet
from tools import pcscd as pcscd_tool

scard = pytest.importorskip("smartcard.scard")

ROOT = Path(__file__).resolve().parents[3]
STORY = "tests.reader_bridge.readers.pcscd_story"
PATIENCE_SECONDS = 5.0
UNSHARE = ("unshare", "--mount", "--net")
EMPTY, PRESENT = scard.SCARD_STATE_EMPTY, scard.SCARD_STATE_PRESENT


@pytest.mark.pcsc
def test_pcscd_is_killed_in_mid_answer_and_started_anew():
    """In namespaces of its own, so that no other test's reader is disturbed."""
    reason = pcscd_tool.available()
    if reason is None and (os.geteuid() != 0 or shutil.which("unshare") is None):
        reason = "needs root and unshare"
    if reason is not None:
        pytest.skip(reason)
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-W", "error", "-m", STORY],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "no thread left"


class Service:
    """PC/SC in this process: readers with states, and calls that hang when told to."""

    def __init__(self) -> None:
        self.states: dict[str, int] = {}
        self.notifies = True
        self.hanging: set[str] = set()
        self.gate = threading.Event()
        self.result = scard.SCARD_S_SUCCESS
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(scard, name)

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.hanging:
            assert self.gate.wait(PATIENCE_SECONDS)

    def SCardEstablishContext(self, scope: int) -> tuple[int, int]:
        self.calls.append("establish")
        return self.result, 1

    def SCardReleaseContext(self, context: int) -> int:
        self.calls.append("release")
        return scard.SCARD_S_SUCCESS

    def SCardListReaders(self, context: int, groups: list[str]) -> tuple[int, list[str]]:
        return self.result, list(self.states)

    def SCardGetStatusChange(
        self, context: int, milliseconds: int, questions: list[tuple[str, int]]
    ) -> tuple[int, list[tuple[str, int, list[int]]]]:
        ((name, known),) = questions
        if name == pcsc.PLUG_AND_PLAY:
            if self.notifies:
                threading.Event().wait(milliseconds / 1000)
                return scard.SCARD_E_TIMEOUT, [(name, 0, [])]
            return scard.SCARD_S_SUCCESS, [(name, scard.SCARD_STATE_UNKNOWN, [])]
        if name not in self.states:
            return scard.SCARD_E_UNKNOWN_READER, []
        state = self.states[name]
        if known == state:
            threading.Event().wait(milliseconds / 1000)
            return scard.SCARD_E_TIMEOUT, [(name, state, [])]
        return self.result, [(name, state | scard.SCARD_STATE_CHANGED, [])]

    def SCardConnect(self, *args: Any) -> tuple[int, int, int]:
        self._called("connect")
        return scard.SCARD_S_SUCCESS, 7, scard.SCARD_PROTOCOL_T1

    def SCardBeginTransaction(self, handle: int) -> int:
        self._called("begin")
        return scard.SCARD_S_SUCCESS

    def SCardTransmit(self, handle: int, pci: int, command: list[int]) -> tuple[int, list[int]]:
        self._called("transmit")
        return self.result, [0x90, 0x00]

    def SCardEndTransaction(self, handle: int, disposition: int) -> int:
        self._called("end")
        return scard.SCARD_S_SUCCESS

    def SCardDisconnect(self, handle: int, disposition: int) -> int:
        self._called("disconnect")
        return scard.SCARD_S_SUCCESS


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    fake = Service()
    monkeypatch.setattr(pcsc, "scard", fake)
    monkeypatch.setattr(pcsc, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(pcsc, "CONNECT_SECONDS", 0.1)
    return fake


CONTACTLESS, SAM = "ACS ACR1252 Dual Reader PICC 0", "ACS ACR1252 Dual Reader SAM 0"
TAKEN: dict[str, tuple[list[str], str | None, list[str], str | None]] = {
    "the first": ([CONTACTLESS, "B"], None, [], CONTACTLESS),
    "never a SAM's slot": ([SAM, CONTACTLESS], None, [], CONTACTLESS),
    "a SAM's slot alone": ([SAM], None, [], None),
    "a SAM's slot by its name": ([CONTACTLESS, SAM], "SAM 0", [], SAM),
    "never what is excluded": (["Gemalto 00", "Gemalto 01"], None, ["Gemalto 00"], "Gemalto 01"),
    "not even by its name": (["Gemalto 00"], "Gemalto 00", ["Gemalto 00"], None),
    "Samsung is no SAM": (["Samsung NFC 0"], None, [], "Samsung NFC 0"),
    "the very name before a part of one": (["Reader 10", "Reader 1"], "Reader 1", [], "Reader 1"),
    "none": ([], None, [], None),
}


@pytest.mark.parametrize(("names", "wanted", "excluded", "taken"), TAKEN.values(), ids=TAKEN)
def test_which_reader_is_taken(service, names, wanted, excluded, taken):
    service.states = dict.fromkeys(names, EMPTY)
    reader = pcsc.PcscReader(wanted, excluded)
    if taken is None:
        with pytest.raises(ReaderFault, match="reader_missing"):
            reader.wait_for_card(0.0)
        return
    service.states[taken] = PRESENT
    channel = reader.wait_for_card(0.0)
    assert channel is not None
    assert channel._reader_name == taken
    channel.close()
    reader.close()


def test_which_readers_are_watched(service):
    service.states = dict.fromkeys([SAM, "A", "B", "C"], EMPTY)
    assert pcsc.PcscPlugs().list_names() == ("A", "B", "C")
    assert pcsc.PcscPlugs(excluded_names=["B"]).list_names() == ("A", "C")
    assert pcsc.PcscPlugs("SAM").list_names() == (SAM,)
    assert pcsc.PcscPlugs("A", ["A"]).list_names() == ()


@pytest.mark.parametrize("notifies", [True, False])
def test_waiting_for_a_plug_takes_its_time(service, notifies):
    service.notifies = notifies
    service.states = {"A": EMPTY}
    plugs = pcsc.PcscPlugs()
    assert plugs.wait_for_change((), 5.0) == ("A",)
    started = time.monotonic()
    assert plugs.wait_for_change(("A",), 0.05) == ("A",)
    assert 0.04 <= time.monotonic() - started < 2.0
    plugs.close()


def test_a_card_changed_between_two_looks_has_left(service):
    """pcsc-lite counts comings and goings in the upper half of the state."""
    service.states = {"A": PRESENT | 3 << 16}
    reader = pcsc.PcscReader()
    channel = reader.wait_for_card(0.0)
    assert channel is not None
    assert not channel.wait_for_removal(0.0)
    service.states["A"] = PRESENT | 5 << 16
    assert channel.wait_for_removal(0.0)
    channel.close()
    assert channel.wait_for_removal(0.0)
    reader.close()


@pytest.mark.parametrize("state", [0x01, 0x04, 0x08], ids=["ignore", "unknown", "unavailable"])
def test_a_reader_that_vanished_while_waiting(service, state):
    service.states = {"A": state}
    with pytest.raises(ReaderFault, match="reader_missing: No reader found: A"):
        pcsc.PcscReader().wait_for_card(5.0)


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ("SCARD_E_READER_UNAVAILABLE", "reader_missing"),
        ("SCARD_E_NO_SERVICE", "service_missing"),
        ("SCARD_E_INVALID_HANDLE", "service_missing"),
        ("SCARD_F_COMM_ERROR", "service_missing"),
        ("SCARD_E_NOT_TRANSACTED", "card_removed"),
        ("SCARD_W_UNRESPONSIVE_CARD", "card_mute"),
        ("SCARD_E_SHARING_VIOLATION", "reader_failed"),
    ],
)
def test_what_went_wrong_in_mid_answer(service, result, code):
    service.states = {"A": PRESENT}
    channel = pcsc.PcscReader().wait_for_card(0.0)
    assert channel is not None
    service.result = getattr(scard, result)
    with pytest.raises(ReaderFault) as caught:
        channel.transmit(b"\x00")
    assert caught.value.code == code
    channel.close()


def test_a_transmission_that_hangs_is_left_behind(service):
    service.states = {"A": PRESENT}
    reader = pcsc.PcscReader()
    channel = reader.wait_for_card(0.0)
    assert channel is not None
    service.hanging = {"transmit"}
    started = time.monotonic()
    with pytest.raises(ReaderFault, match="card_mute"):
        channel.transmit(b"\x00")
    with pytest.raises(ReaderFault, match="card_removed"):
        channel.transmit(b"\x00")
    assert not channel.is_present()
    channel.close()
    assert time.monotonic() - started < 2.0
    assert "end" not in service.calls  # it would hang as well
    service.hanging = set()
    again = reader.wait_for_card(0.0)  # the next card has a thread of its own
    assert again is not None
    assert again.transmit(b"\x00") == b"\x90\x00"
    again.close()
    lost = reader._thread._lost
    service.gate.set()
    for thread in lost:
        thread.join(PATIENCE_SECONDS)
    assert service.calls.count("end") == service.calls.count("disconnect") == 2
    reader.close()
    assert service.calls.count("establish") == service.calls.count("release")


@pytest.mark.parametrize("call", ["connect", "begin"])
def test_a_card_that_hangs_at_the_start(service, call):
    service.states = {"A": PRESENT}
    service.hanging = {call}
    reader = pcsc.PcscReader()
    with pytest.raises(ReaderFault, match="card_mute"):
        reader.wait_for_card(0.0)
    service.gate.set()


def test_a_driver_that_always_hangs_is_given_up():
    gate, thread = threading.Event(), DriverThread("hanging")
    for _ in range(LOST_THREADS_MAX):
        with pytest.raises(ReaderFault, match="card_mute"):
            thread.call(lambda: gate.wait(PATIENCE_SECONDS), 0.01, "card_mute")
    with pytest.raises(ReaderFault, match="reader_stuck"):
        thread.call(lambda: None, 0.01, "card_mute")
    assert thread.has_lost_calls
    lost = list(thread._lost)
    gate.set()
    for one in lost:
        one.join(PATIENCE_SECONDS)
    assert not thread.has_lost_calls
    assert thread.call(lambda: 5, 1.0, "card_mute") == 5
    with pytest.raises(ZeroDivisionError):
        thread.call(lambda: 1 // 0, 1.0, "card_mute")
    running = thread._thread
    assert running is not None
    thread.close()
    thread.close()
    assert not running.is_alive()


def test_a_card_through_the_watch(service):
    """Goal: the whole way from the service's state to the events."""
    service.states = {SAM: PRESENT, "A": EMPTY | 1 << 16}
    pace = Pace(look_seconds=0.05, held_look_seconds=0.01)
    with ReaderSet(plugs=[pcsc.PcscPlugs()], pace=pace) as readers:
        assert readers.next_event(PATIENCE_SECONDS) == ReaderJoined("A")
        service.states["A"] = PRESENT | 2 << 16
        arrived = readers.next_event(PATIENCE_SECONDS)
        assert isinstance(arrived, CardArrived)
        assert arrived.channel.transmit(b"\x00") == b"\x90\x00"
        arrived.channel.close()
        service.states["A"] = PRESENT | 4 << 16
        assert readers.next_event(PATIENCE_SECONDS) == CardLeft("A")
        assert isinstance(readers.next_event(PATIENCE_SECONDS), CardArrived)
    left = {one.name for one in threading.enumerate()}
    assert not left & {"watch pcsc", "watch A", "pcsc A"}
