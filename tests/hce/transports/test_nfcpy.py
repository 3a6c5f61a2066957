"""nfcpy as the reader, a card in another process, nfcpy's simulated field (udp) between them.

The reader's own recovery stands in nfcpy: it asks again after its waiting time, up to 5 times, and
not for S(WTX). So lost frames and a slow card are two tests.
"""

from __future__ import annotations

import random
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nfc
import nfc.clf
import pytest
from nfc.tag import tt4

from card_protocol.mobile_card import Certificate, GpoResponse
from hce.errors import ReaderUnreachable
from hce.transports.nfcpy_listener import NfcpyListener
from tests.hce.examples import (
    READ_CERTIFICATE,
    SELECT_CARD,
    SELECT_DIRECTORY,
    Bench,
    gpo,
    is_genuine,
)
from tests.hce.transports.card_process import ECHO_AID

ROOT = Path(__file__).resolve().parents[3]
SELECT_ECHO = b"\x00\xa4\x04\x00" + bytes((len(ECHO_AID),)) + ECHO_AID
CARD_MODULE = "tests.hce.transports.card_process"
FWI, PATIENT_FWI = 7, 9  # 38.7 ms; 155 ms, where frames get lost on a busy machine
ACTIVATIONS_MAX = 8
Talk = Callable[[Any], None]


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class CardProcess:
    """The other process; `ending` is how its last session ended."""

    def __init__(self, fwi: int) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", CARD_MODULE, str(self.port), str(fwi)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "listening"

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def close(self) -> str:
        """What it said on stderr."""
        try:
            return self._process.communicate("", timeout=20)[1]
        finally:
            self._process.kill()


@contextmanager
def card_process(fwi: int = FWI) -> Iterator[CardProcess]:
    card = CardProcess(fwi)
    try:
        yield card
    finally:
        told = card.close()
    assert told == ""


def tap(port: int, talk: Talk) -> None:
    """One activation, as nfcpy's users write it. The field goes off afterwards."""
    with nfc.ContactlessFrontend(f"udp:127.0.0.1:{port}") as frontend:
        tapped = []

        def on_connect(tag: Any) -> bool:
            tapped.append(tag)
            talk(tag)
            return False

        options = {"targets": ["106A"], "on-connect": on_connect, "beep-on-connect": False}
        tries = iter(range(ACTIVATIONS_MAX))
        frontend.connect(rdwr=options, terminate=lambda: bool(tapped) or next(tries, None) is None)
        assert tapped, "the reader saw no card"


def send(tag: Any, command: bytes) -> bytes:
    return bytes(tag.transceive(command))


def test_a_whole_tap_of_the_mobile_card() -> None:
    def talk(tag: Any) -> None:
        assert isinstance(tag, tt4.Type4ATag)
        assert send(tag, SELECT_DIRECTORY)[-2:] == b"\x90\x00"
        assert send(tag, SELECT_CARD)[-2:] == b"\x90\x00"
        answer = GpoResponse.decode(send(tag, gpo())[:-2])
        assert is_genuine(answer)
        atcs.append(answer.atc)
        Certificate.decode(send(tag, READ_CERTIFICATE)[:-2])
        assert tag.is_present  # R(NAK)

    atcs: list[int] = []
    with card_process() as card:
        for _ in range(2):  # the field goes off and on: a fresh selection, the next counter
            tap(card.port, talk)
            assert card.line() == "field lost"
    assert atcs == [258, 259]


def test_chaining_both_ways_and_send_apdu() -> None:
    body = bytes(range(255))

    def talk(tag: Any) -> None:
        send(tag, SELECT_ECHO)
        tag._dep.miu = 20  # a reader with a small buffer sends the same command in 14 blocks
        assert send(tag, b"\x80\xec\x00\x00\xff" + body) == body + b"\x90\x00"
        tag._dep.miu = 253
        assert tag.send_apdu(0x80, 0xEC, 0, 0, body, mrl=256) == body
        whole = send(tag, bytes.fromhex("805E1000"))  # no Le: all of 4096 bytes, in 17 blocks
        assert (len(whole), whole[:3], whole[-2:]) == (4098, b"\x00\x01\x02", b"\x90\x00")
        with pytest.raises(tt4.Type4TagCommandError):
            tag.send_apdu(0x80, 0xEE, 0, 0)

    with card_process() as card:
        tap(card.port, talk)


def test_a_slow_card_asks_for_time() -> None:
    """Goal: 0.9 s of computing on a waiting time of 38.7 ms; nfcpy gives up after six of those."""

    def talk(tag: Any) -> None:
        send(tag, SELECT_ECHO)
        assert send(tag, bytes.fromhex("805D5A0004")) == bytes.fromhex("000000019000")
        assert send(tag, bytes.fromhex("805D000004")) == bytes.fromhex("000000029000")

    with card_process() as card:
        tap(card.port, talk)


def test_deselect_lets_the_card_go_and_it_comes_again() -> None:
    def talk(tag: Any) -> None:
        send(tag, SELECT_ECHO)
        assert bytes(tag.clf.exchange(b"\xc2", 1.0)) == b"\xc2"
        with pytest.raises(nfc.clf.TimeoutError):  # halted: silent until it is woken
            tag.clf.exchange(b"\x02" + SELECT_ECHO, 0.2)

    with card_process() as card:
        for _ in range(2):
            tap(card.port, talk)
            assert card.line() == "deselected"


def test_what_is_no_frame_is_borne() -> None:
    def talk(tag: Any) -> None:
        send(tag, SELECT_ECHO)
        device = tag.clf.device
        for noise in (b"106A zz", b"106A", b"\xff\xfe 00", b"106A 00", b"106A 9320", b"212F 00"):
            device.socket.sendto(noise, device.addr)
        assert send(tag, bytes.fromhex("80EC000001AA")) == bytes.fromhex("AA9000")

    with card_process() as card:
        tap(card.port, talk)


class NoisyField:
    """A udp relay between reader and card that loses and doubles blocks, by seed.

    Activation and the end of the field pass: nfcpy waits a second for each lost part of those.
    """

    def __init__(self, card_port: int, seed: int) -> None:
        self.lost = self.doubled = 0
        self._card = ("127.0.0.1", card_port)
        self._chance = random.Random(seed)
        self._towards_reader, self._towards_card = (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)
        )
        for end in (self._towards_reader, self._towards_card):
            end.bind(("127.0.0.1", 0))
        self.port = int(self._towards_reader.getsockname()[1])
        self._reader: tuple[str, int] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> NoisyField:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(5)
        self._towards_reader.close()
        self._towards_card.close()

    def _run(self) -> None:
        ends = [self._towards_reader, self._towards_card]
        while not self._stopping.is_set():
            for end in select.select(ends, [], [], 0.05)[0]:
                datagram, address = end.recvfrom(1024)
                if end is self._towards_reader:
                    self._reader = address
                    times = self._times(datagram, doubles=True)
                    for _ in range(times):
                        self._towards_card.sendto(datagram, self._card)
                elif self._reader is not None and self._times(datagram, doubles=False):
                    self._towards_reader.sendto(datagram, self._reader)

    def _times(self, datagram: bytes, *, doubles: bool) -> int:
        """A reader that hears an answer twice is lost (nfcpy drops nothing): only cards do."""
        first = int(datagram.split()[1][:2], 16) if b" " in datagram else 0
        is_information = first in {0x02, 0x03, 0x12, 0x13}
        if not is_information and first not in {0xA2, 0xA3, 0xB2, 0xB3}:
            return 1
        if self._chance.random() < 0.08:
            self.lost += 1
            return 0
        if doubles and is_information and self._chance.random() < 0.3:
            self.doubled += 1
            return 2
        return 1


@pytest.mark.parametrize("seed", range(2))
def test_lost_and_doubled_frames(seed: int) -> None:
    """Goal: nfcpy's recovery and ours agree: every answer is right, no command runs twice."""
    chance = random.Random(seed)
    bodies = [chance.randbytes(chance.randint(1, 255)) for _ in range(40)]

    def talk(tag: Any) -> None:
        send(tag, SELECT_ECHO)
        for body in bodies:
            tag._dep.miu = chance.choice((100, 253))
            answer = send(tag, b"\x80\xec\x00\x00" + bytes((len(body),)) + body)
            assert answer == body + b"\x90\x00"
        runs = send(tag, bytes.fromhex("805D000004"))
        assert int.from_bytes(runs[:4]) == len(bodies) + 1

    with card_process(PATIENT_FWI) as card, NoisyField(card.port, seed) as field:
        tap(field.port, talk)
        assert field.lost > 2
        assert field.doubled > 2


def test_python_m_hce_listen_holds_a_card_until_it_is_stopped(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "hce",
            "listen",
            "--lang",
            "en",
            "--reader",
            f"udp:127.0.0.1:{port}",
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        expected = (
            rf"card 9156\d\d\*{{9}}\d{{4}} waits for a reader at udp:127\.0\.0\.1:{port}; .*\n"
        )
        assert re.fullmatch(expected, line), line
        answers: list[bytes] = []
        tap(port, lambda tag: answers.extend(send(tag, one) for one in (SELECT_CARD, gpo())))
        assert GpoResponse.decode(answers[1][:-2]).atc == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


def test_python_m_hce_listen_without_a_reader_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hce", "listen", "--lang", "en", "--reader", "udp:192.0.2.1:5"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "hce: udp:192.0.2.1:5: not a reader's name\n"


def test_a_taken_port_a_foreign_host_and_no_reader() -> None:
    port = free_port()
    second = NfcpyListener(Bench().card, f"udp:127.0.0.1:{port}")
    with (
        NfcpyListener(Bench().card, f"udp:127.0.0.1:{port}"),
        pytest.raises(ReaderUnreachable, match="in use"),
    ):
        second.__enter__()
    for name in ("udp:192.0.2.1:54321", "udp:127.0.0.1:x", "udp:127.0.0.1:0"):
        with pytest.raises(ReaderUnreachable, match="not a reader's name"):
            NfcpyListener(Bench().card, name).__enter__()
    with pytest.raises(ReaderUnreachable, match="no reader there"):
        NfcpyListener(Bench().card, "tty:USB9:pn532").__enter__()
