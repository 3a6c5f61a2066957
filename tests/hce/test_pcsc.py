"""The card through a real pcscd: listed, selected, tapped, quick, taken out and put in again."""

from __future__ import annotations

import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from card_protocol.mobile_card import Certificate, GpoResponse, signature_input, verify_signature
from hce.errors import ReaderUnreachable
from hce.store import FileCardStore
from hce.transports.vpcd import VpcdPlug
from tests.hce.examples import (
    KEY,
    READ_CERTIFICATE,
    SELECT_CARD,
    SELECT_DIRECTORY,
    Bench,
    bench,
    gpo,
)
from tests.hce.examples import is_genuine as is_genuine_tap
from tools.pcscd import Daemon

pytestmark = pytest.mark.pcsc

READER = "Virtual PCD 00 00"
ATR = "3b8a800180584349545943415244c0"
ROOT = Path(__file__).resolve().parents[2]
SEEN_SECONDS = 10.0
APDU_MEDIAN_MAX_MILLISECONDS = 5.0  # without TCP_QUICKACK it is 40
ANSWERS_OF_SCRIPTOR = re.compile(r"^< ([0-9A-F \n]+) :", re.MULTILINE)


def run(*command: str, text: str = "") -> str:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


def hexed(body: bytes) -> str:
    return body.hex(" ").upper()


class Reader:
    """The reader through PC/SC, as a terminal would hold it."""

    def __init__(self, name: str = READER) -> None:
        from smartcard import scard  # noqa: PLC0415 - only where the marker's packages are

        self.pcsc: Any = scard
        result, self._context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        assert result == scard.SCARD_S_SUCCESS
        self._handle: Any = None
        self._protocol = 0
        self._name = name

    def connect(self) -> None:
        pcsc = self.pcsc
        both = pcsc.SCARD_PROTOCOL_T0 | pcsc.SCARD_PROTOCOL_T1
        result, self._handle, self._protocol = pcsc.SCardConnect(
            self._context, self._name, pcsc.SCARD_SHARE_EXCLUSIVE, both
        )
        assert result == pcsc.SCARD_S_SUCCESS, pcsc.SCardGetErrorMessage(result)

    def transmit(self, command: bytes) -> bytes:
        pcsc = self.pcsc
        pci = pcsc.SCARD_PCI_T0 if self._protocol == pcsc.SCARD_PROTOCOL_T0 else pcsc.SCARD_PCI_T1
        result, answer = pcsc.SCardTransmit(self._handle, pci, list(command))
        if result != pcsc.SCARD_S_SUCCESS:
            raise ConnectionError(pcsc.SCardGetErrorMessage(result))
        return bytes(answer)

    def state(self) -> tuple[bool, str]:
        """Whether a card is seen, and its ATR."""
        pcsc = self.pcsc
        result, states = pcsc.SCardGetStatusChange(
            self._context, 0, [(self._name, pcsc.SCARD_STATE_UNAWARE)]
        )
        assert result in {pcsc.SCARD_S_SUCCESS, pcsc.SCARD_E_TIMEOUT}
        _, flags, atr = states[0]
        return bool(flags & pcsc.SCARD_STATE_PRESENT), bytes(atr).hex()

    def await_state(self, is_wanted: Callable[[bool], bool]) -> tuple[bool, str]:
        """Waits as long as pcscd takes to look again (about twice a second)."""
        pcsc, deadline = self.pcsc, time.monotonic() + SEEN_SECONDS
        while not is_wanted((state := self.state())[0]) and time.monotonic() < deadline:
            flags = pcsc.SCARD_STATE_PRESENT if state[0] else pcsc.SCARD_STATE_EMPTY
            pcsc.SCardGetStatusChange(self._context, 100, [(self._name, flags)])
        return state

    def disconnect(self) -> None:
        if self._handle is not None:
            self.pcsc.SCardDisconnect(self._handle, self.pcsc.SCARD_RESET_CARD)
            self._handle = None

    def close(self) -> None:
        self.disconnect()
        self.pcsc.SCardReleaseContext(self._context)


@pytest.fixture
def reader(pcscd: Daemon) -> Iterator[Reader]:
    found = Reader()
    assert found.await_state(lambda is_present: not is_present)[0] is False
    yield found
    found.close()


@pytest.fixture
def card() -> Bench:
    return bench(atc=0, key=KEY)


@pytest.fixture
def plugged(pcscd: Daemon, reader: Reader, card: Bench) -> Iterator[VpcdPlug]:
    with VpcdPlug(card.card, port=pcscd.vpcd_port) as plug:
        assert reader.await_state(bool) == (True, ATR)
        yield plug


@pytest.mark.usefixtures("plugged")
def test_opensc_tool_lists_the_card_and_reads_its_atr() -> None:
    listed = run("opensc-tool", "-l")
    assert re.search(r"^0 +Yes +.*Virtual PCD 00 00$", listed, re.MULTILINE), listed
    atr = run("opensc-tool", "-r", "0", "--atr")
    assert atr.strip().replace(":", "") == ATR


@pytest.mark.usefixtures("plugged")
def test_scriptor_gets_the_directory_the_card_a_cryptogram_and_the_certificate() -> None:
    commands = (SELECT_DIRECTORY, SELECT_CARD, SELECT_CARD[:-1], gpo(), READ_CERTIFICATE)
    script = "\n".join(hexed(command) for command in commands)
    told = run("scriptor", "-r", READER, text=script + "\n")
    answers = [bytes.fromhex(answer) for answer in ANSWERS_OF_SCRIPTOR.findall(told)]
    assert [answer[-2:].hex() for answer in answers] == ["9000"] * len(commands), told
    assert is_genuine_tap(GpoResponse.decode(answers[3][:-2]))
    Certificate.decode(answers[4][:-2])


def test_a_command_takes_less_than_a_delayed_acknowledgement(
    plugged: VpcdPlug, reader: Reader, record_property: Callable[[str, object], None]
) -> None:
    """Goal: TCP_QUICKACK works; without it every command costs 40 ms."""
    reader.connect()
    milliseconds = []
    for _ in range(100):
        for command in (SELECT_CARD, READ_CERTIFICATE):
            started = time.perf_counter()
            assert reader.transmit(command)[-2:] == b"\x90\x00"
            milliseconds.append((time.perf_counter() - started) * 1000)
    median = statistics.median(milliseconds)
    record_property("apdu_median_milliseconds", round(median, 3))
    assert median < APDU_MEDIAN_MAX_MILLISECONDS


def test_a_card_taken_out_and_put_in_again_is_seen(
    plugged: VpcdPlug, reader: Reader, card: Bench
) -> None:
    for round_ in (1, 2):
        reader.connect()
        assert reader.transmit(SELECT_CARD)[-2:] == b"\x90\x00"
        answer = GpoResponse.decode(reader.transmit(gpo())[:-2])
        assert answer.atc == round_
        assert is_genuine_tap(answer)
        plugged.remove()
        with pytest.raises(ConnectionError):
            reader.transmit(READ_CERTIFICATE)
        reader.disconnect()
        assert reader.await_state(lambda is_present: not is_present)[0] is False
        plugged.insert()
        assert reader.await_state(bool) == (True, ATR)
    reader.connect()
    assert reader.transmit(READ_CERTIFICATE) == b"\x6a\x83"  # a fresh session


def test_a_reset_by_the_terminal_begins_a_fresh_session(plugged: VpcdPlug, reader: Reader) -> None:
    reader.connect()
    reader.transmit(SELECT_CARD)
    reader.disconnect()  # with a reset
    reader.connect()
    assert reader.transmit(READ_CERTIFICATE) == b"\x6a\x83"


def test_a_second_card_in_a_taken_slot_is_told(plugged: VpcdPlug, pcscd: Daemon) -> None:
    second = VpcdPlug(Bench().card, port=pcscd.vpcd_port, first_word_seconds=1.5)
    with pytest.raises(ReaderUnreachable, match="is another card plugged in"):
        second.insert()
    assert plugged.is_present()


def test_python_m_hce_plugs_a_card_until_it_is_stopped(
    tmp_path: Path, reader: Reader, pcscd: Daemon
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hce", "plug", "--lang", "en", "--port", str(pcscd.vpcd_port)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert re.fullmatch(
            r"card 9156\d\d\*{9}\d{4} is in slot 0 of the virtual reader at 127\.0\.0\.1:35963; "
            r"a demonstration card with its own issuer key, kept in var/hce/demo-card\.json; "
            r"Ctrl-C takes it out\n",
            line,
        ), line
        assert reader.await_state(bool) == (True, ATR)
        reader.connect()
        assert reader.transmit(SELECT_CARD)[-2:] == b"\x90\x00"
        answer = GpoResponse.decode(reader.transmit(gpo())[:-2])
        record = FileCardStore(tmp_path / "var" / "hce" / "demo-card.json").record()
        assert record.state.atc == answer.atc == 1
        assert is_signed_by(record.state.certificate.device_public_key, answer)
        reader.disconnect()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert reader.await_state(lambda is_present: not is_present)[0] is False
    finally:
        process.kill()
        process.communicate()


def is_signed_by(public_key: bytes, answer: GpoResponse) -> bool:
    pdol_data = gpo()[7:-1]
    signed = signature_input(
        pdol_data, answer.aip, answer.atc, answer.iad.encode(), answer.cryptogram
    )
    return verify_signature(public_key, signed, answer.signature)
