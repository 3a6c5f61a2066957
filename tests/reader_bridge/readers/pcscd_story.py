"""pcscd of our own in namespaces of our own: killed in mid-answer, started anew.

`python -m tests.reader_bridge.readers.pcscd_story` inside `unshare --mount --net`; nothing outside
sees this daemon, its socket or its ports. Every step is an assertion; prints a line for each.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from card_protocol.apdu import CommandApdu
from hce.card import Card
from hce.transports.vpcd import VpcdPlug
from reader_bridge.faults import ReaderFault
from reader_bridge.readers import pcsc
from reader_bridge.readers.events import (
    CardArrived,
    CardLeft,
    Event,
    Pace,
    ReaderGone,
    ReaderJoined,
    ReaderSet,
)
from tests.hce.examples import SELECT_DIRECTORY, Bench
from tools import pcscd as pcscd_tool

CONFIG = Path("/etc/reader.conf.d")
RUN = Path("/run")
PATIENCE_SECONDS = 15.0
ANSWER_SECONDS = 1.0
FIRST, SECOND = "Virtual PCD 00 00", "Virtual PCD 00 01"
PACE = Pace(look_seconds=0.2, held_look_seconds=0.1, pause_seconds=0.05, pause_seconds_max=0.4)


def step(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=PATIENCE_SECONDS)


class HangingCard(Card):
    """Answers nothing while the gate is shut."""

    gate: threading.Event
    asked: threading.Event

    def transmit(self, command: bytes) -> bytes:
        self.asked.set()
        assert self.gate.wait(60)
        return super().transmit(command)


def hanging_card() -> HangingCard:
    card = Bench().card
    card.__class__ = HangingCard
    assert isinstance(card, HangingCard)
    card.gate, card.asked = threading.Event(), threading.Event()
    return card


class Daemon:
    """pcscd, with a port that is fresh at each start: a closed connection keeps its port."""

    def __init__(self) -> None:
        self.port = pcscd_tool.VPCD_PORT
        self.config = (CONFIG / "vpcd").read_text()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.plug_in()
        self.process = subprocess.Popen(
            [shutil.which("pcscd", path="/usr/sbin:/usr/bin") or "pcscd", "--foreground"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert pcscd_tool._wait(
            lambda: pcscd_tool.is_running() and pcscd_tool.is_listening(self.port), PATIENCE_SECONDS
        )

    def plug_in(self) -> None:
        text = self.config.replace(f"0x{pcscd_tool.VPCD_PORT:X}", f"0x{self.port:X}")
        assert text != self.config or self.port == pcscd_tool.VPCD_PORT
        (CONFIG / "vpcd").write_text(text)

    def kill(self) -> None:
        """With all its readers: alone, a virtual one cannot be pulled out."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        (RUN / "pcscd" / "pcscd.comm").unlink(missing_ok=True)
        (RUN / "pcscd" / "pcscd.pid").unlink(missing_ok=True)
        self.port += 2


def expect(readers: ReaderSet, is_wanted: Callable[[Event], bool], count: int = 1) -> list[Event]:
    """Takes events until enough of the wanted came."""
    deadline, found = time.monotonic() + PATIENCE_SECONDS, list[Event]()
    while len(found) < count:
        event = readers.next_event(deadline - time.monotonic())
        assert event is not None, f"missing: {found}"
        if is_wanted(event):
            found.append(event)
    return found


def joined(name: str) -> Callable[[Event], bool]:
    return lambda event: event == ReaderJoined(name)


def gone(name: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, ReaderGone) and event.reader_name == name


def tap(readers: ReaderSet, plug: VpcdPlug) -> None:
    with plug:
        (arrived,) = expect(readers, lambda event: isinstance(event, CardArrived))
        assert isinstance(arrived, CardArrived)
        assert arrived.reader_name == FIRST
        assert arrived.channel.transmit(SELECT_DIRECTORY)[-2:] == b"\x90\x00"
        arrived.channel.close()
    expect(readers, lambda event: event == CardLeft(FIRST))


def killed_in_mid_answer(readers: ReaderSet, daemon: Daemon) -> None:
    card = hanging_card()
    plug = VpcdPlug(card, port=daemon.port, reconnects_max=0)
    plug.insert()
    (arrived,) = expect(readers, lambda event: isinstance(event, CardArrived))
    assert isinstance(arrived, CardArrived)
    killer = threading.Thread(target=lambda: (card.asked.wait(60), daemon.kill()))
    killer.start()
    started = time.monotonic()
    with pytest.raises(ReaderFault) as caught:
        arrived.channel.transmit(SELECT_DIRECTORY)
    step(f"killed in mid-answer: {caught.value.code}")
    assert time.monotonic() - started < pcsc.ANSWER_SECONDS + PATIENCE_SECONDS / 3
    killer.join(PATIENCE_SECONDS)
    card.gate.set()
    plug.remove()
    expect(readers, gone("pcsc"))
    arrived.channel.close()


def mute_card(daemon: Daemon) -> None:
    """A card that never answers holds up one tap; when it lets go, all is as before."""
    reader = pcsc.PcscReader(FIRST)
    card = hanging_card()
    with VpcdPlug(card, port=daemon.port):
        channel = reader.wait_for_card(PATIENCE_SECONDS)
        assert channel is not None
        started = time.monotonic()
        with pytest.raises(ReaderFault, match="card_mute"):
            channel.transmit(CommandApdu(0, 0xA4, 4, 0, b"").encode())
        assert ANSWER_SECONDS <= time.monotonic() - started < ANSWER_SECONDS + 2
        channel.close()
        assert not channel.wait_for_removal(0.0)
        started = time.monotonic()
        with pytest.raises(ReaderFault, match="card_mute"):  # it still lies there
            reader.wait_for_card(PATIENCE_SECONDS)
        assert time.monotonic() - started < pcsc.CONNECT_SECONDS + 2
        card.gate.set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (leaving := reader.wait_for_card(0.2)) is not None:
        leaving.close()
        assert time.monotonic() < deadline
    with VpcdPlug(Bench().card, port=daemon.port):
        again = reader.wait_for_card(PATIENCE_SECONDS)
        assert again is not None
        assert again.transmit(SELECT_DIRECTORY)[-2:] == b"\x90\x00"
        again.close()
    reader.close()
    step("a mute card, and a good one after it")


def no_thread_left() -> bool:
    return not [one for one in threading.enumerate() if one.name.startswith(("watch", "pcsc"))]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(CONFIG / "vpcd", folder)
        run("mount", "--bind", folder, str(CONFIG))
        run("mount", "-t", "tmpfs", "tmpfs", str(RUN))
        run("ip", "link", "set", "lo", "up")
        (RUN / "pcscd").mkdir()
        daemon = Daemon()
        try:
            play(daemon)
        finally:
            daemon.kill()


def play(daemon: Daemon) -> None:
    with ReaderSet(plugs=[pcsc.PcscPlugs(excluded_names=[SECOND])], pace=PACE) as readers:
        expect(readers, gone("pcsc"))
        step("no service yet")
        daemon.start()
        expect(readers, joined(FIRST))
        tap(readers, VpcdPlug(Bench().card, port=daemon.port))
        step("a tap")
        killed_in_mid_answer(readers, daemon)
        daemon.start()
        expect(readers, joined(FIRST))
        tap(readers, VpcdPlug(Bench().card, port=daemon.port))
        step("a tap after the restart")
    pcsc.ANSWER_SECONDS = pcsc.CONNECT_SECONDS = ANSWER_SECONDS  # type: ignore[misc]
    mute_card(daemon)
    assert pcscd_tool._wait(no_thread_left, PATIENCE_SECONDS), threading.enumerate()
    step("no thread left")


if __name__ == "__main__":
    main()
