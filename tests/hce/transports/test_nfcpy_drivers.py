"""Drivers we have no reader for, played: who answers RATS itself, how each says it is over."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import Any

import nfc.clf
import pytest

from hce.card import Card
from hce.errors import ReaderUnreachable
from hce.transports import nfcpy_listener
from hce.transports.isodep_frames import Ats
from hce.transports.isodep_session import Ending, Patience
from hce.transports.nfcpy_listener import FAILURES_MAX, NfcpyListener
from tests.hce.examples import SELECT_CARD, Bench

I_SELECT = b"\x02" + SELECT_CARD
Heard = bytes | Exception | None


class Frontend:
    """Hears what is written down; `listen` gives one target, then fails or says nobody came."""

    device = None

    def __init__(self, heard: list[Heard], target: Callable[[Any], Any]) -> None:
        self.heard, self.sent, self.wanted = heard, list[str](), list[Any]()
        self._target, self.is_closed = target, False

    def listen(self, wanted: Any, timeout: float) -> Any:
        assert timeout > 0
        self.wanted.append(wanted)
        return self._target(wanted)

    def exchange(self, frame: bytes | None, timeout: float) -> bytes | None:
        if frame is not None:
            self.sent.append(bytes(frame).hex())
        if timeout == 0:
            return None
        heard = self.heard.pop(0)
        if isinstance(heard, Exception):
            raise heard
        return heard

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Callable[[Frontend], NfcpyListener]:
    def opened(frontend: Frontend) -> NfcpyListener:
        monkeypatch.setattr(nfcpy_listener, "_open", lambda path: frontend)
        # half of 0.3 s for a command: no S(WTX) on a busy machine
        return NfcpyListener(
            Bench().card, "usb", ats=Ats(fwi=10), patience=Patience(listen_seconds=0.01)
        )

    return opened


Opened = Callable[[Frontend], NfcpyListener]


def found(**attributes: bytes) -> Callable[[Any], Any]:
    return lambda wanted: nfc.clf.LocalTarget("106A", **attributes)


def run_once(opened: Opened, frontend: Frontend) -> list[Ending]:
    with opened(frontend) as field:
        endings = field.run(1)
    assert frontend.is_closed
    return endings


def test_what_a_driver_is_asked_for(listener: Opened) -> None:
    frontend = Frontend([nfc.clf.BrokenLinkError("off")], found(tt4_cmd=bytearray(b"\xe0\x80")))
    run_once(listener, frontend)
    (wanted,) = frontend.wanted
    assert wanted.rats_res == bytearray.fromhex("057880A002")
    assert (wanted.sel_res, len(wanted.sdd_res), wanted.sdd_res[0]) == (b"\x20", 4, 8)


def test_a_driver_that_has_answered_rats_and_keeps_it(listener: Opened) -> None:
    """PN53x: the first thing heard is a block; how much the reader takes is unknown."""
    frontend = Frontend([nfc.clf.BrokenLinkError("off")], found(tt4_cmd=bytearray(I_SELECT)))
    assert run_once(listener, frontend) == [Ending.FIELD_LOST]
    (sent,) = frontend.sent
    assert sent.startswith("12")  # chained
    assert len(sent) // 2 == 64 - 2


def test_a_driver_that_has_answered_rats_and_tells_it(listener: Opened) -> None:
    """RC-S380."""
    target = found(tt4_cmd=bytearray(I_SELECT), rats_cmd=bytearray(b"\xe0\x80"))
    frontend = Frontend([b"\xc2"], target)
    assert run_once(listener, frontend) == [Ending.DESELECTED]
    assert frontend.sent[0].endswith("9000")
    assert frontend.sent[1] == "c2"


ENDINGS = {
    "the field goes off": ([nfc.clf.BrokenLinkError("off")], Ending.FIELD_LOST),
    "the driver says nothing": ([None], Ending.FIELD_LOST),
    "the reader is pulled out": ([OSError(errno.EIO, "gone")], Ending.FIELD_LOST),
    "broken frames, then deselect": (
        [nfc.clf.TransmissionError("crc"), nfc.clf.TimeoutError("time"), b"\xc2"],
        Ending.DESELECTED,
    ),
    "nothing but broken frames": ([nfc.clf.TransmissionError("crc")] * 40, Ending.GARBLED),
}


@pytest.mark.parametrize(("heard", "ending"), ENDINGS.values(), ids=ENDINGS)
def test_how_a_session_ends(listener: Opened, heard: list[Heard], ending: Ending) -> None:
    frontend = Frontend(list(heard), found(tt4_cmd=bytearray(b"\xe0\x80")))
    assert run_once(listener, frontend) == [ending]


def test_a_reader_that_cannot_listen(listener: Opened) -> None:
    def refuses(wanted: Any) -> Any:
        raise nfc.clf.UnsupportedTargetError("no")

    with pytest.raises(ReaderUnreachable, match="this reader cannot be a card"):
        run_once(listener, Frontend([], refuses))


def test_a_driver_that_breaks_is_given_up(listener: Opened) -> None:
    def breaks(wanted: Any) -> Any:
        raise OSError(errno.EIO, "USB gone")

    frontend = Frontend([], breaks)
    with pytest.raises(ReaderUnreachable, match="USB gone"):
        run_once(listener, frontend)
    assert len(frontend.wanted) == FAILURES_MAX


def test_nobody_comes_until_stopped(listener: Opened) -> None:
    def nobody(wanted: Any) -> Any:
        if len(frontend.wanted) == 10:
            field.stop()
        if len(frontend.wanted) % 3 == 0:
            raise nfc.clf.TransmissionError("noise")
        return None

    frontend = Frontend([], nobody)
    field = listener(frontend)
    with field:
        assert field.run() == []
    assert len(frontend.wanted) == 10


def test_a_card_that_hangs_holds_up_no_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    class Hanging(Card):
        def transmit(self, command: bytes) -> bytes:
            assert gate.wait(20)
            return b"\x90\x00"

    card = Bench().card
    card.__class__ = Hanging
    granted: list[Heard] = [b"\xf2\x0a"] * 200
    frontend = Frontend([I_SELECT, *granted], found(tt4_cmd=bytearray(b"\xe0\x80")))
    monkeypatch.setattr(nfcpy_listener, "_open", lambda path: frontend)
    try:
        with NfcpyListener(card, "usb", patience=Patience(command_seconds=0.3)) as field:
            assert field.run(1) == [Ending.CARD_SLOW]
    finally:
        gate.set()
