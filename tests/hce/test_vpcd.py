"""The plug against a reader of ours on a loopback socket: frames, pieces, restarts, stops."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hce.errors import ReaderUnreachable
from hce.transports.vpcd import VpcdPlug
from tests.hce.examples import READ_CERTIFICATE, SELECT_CARD, Bench

OFF, ON, RESET, GET_ATR = b"\x00", b"\x01", b"\x02", b"\x04"
ATR = bytes.fromhex("3B8A800180584349545943415244C0")
SECONDS = 5.0


class FakeReader:
    """The reader's side of the wire, as vpcd speaks it: length and payload in two writes."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(SECONDS)
        self.port: int = self._listener.getsockname()[1]
        self.line: socket.socket | None = None

    def accept(self) -> None:
        if self.line is not None:
            self.line.close()
        self.line, _ = self._listener.accept()
        self.line.settimeout(SECONDS)

    def tell(self, payload: bytes) -> None:
        assert self.line is not None
        self.line.sendall(len(payload).to_bytes(2))
        self.line.sendall(payload)

    def ask(self, payload: bytes) -> bytes:
        self.tell(payload)
        return self._exactly(int.from_bytes(self._exactly(2)))

    def hears_the_end(self) -> bool:
        assert self.line is not None
        return self.line.recv(1) == b""

    def hang_up(self) -> None:
        assert self.line is not None
        self.line.close()

    def close(self) -> None:
        self._listener.close()
        if self.line is not None:
            self.line.close()

    def _exactly(self, size: int) -> bytes:
        assert self.line is not None
        body = b""
        while len(body) < size:
            chunk = self.line.recv(size - len(body))
            assert chunk, "the card hung up"
            body += chunk
        return body


@pytest.fixture
def reader() -> Iterator[FakeReader]:
    with contextlib.closing(FakeReader()) as fake:
        yield fake


@contextlib.contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """`work` in another thread; what it raises is raised here."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # handed on, below
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(2 * SECONDS)
    assert not thread.is_alive()
    if raised:
        raise raised[0]


def plug(port: int, **options: float) -> VpcdPlug:
    return VpcdPlug(Bench().card, port=port, retry_seconds=0.01, **options)  # type: ignore[arg-type]


@pytest.fixture
def plugged(reader: FakeReader) -> Iterator[VpcdPlug]:
    def welcome() -> None:
        reader.accept()
        assert reader.ask(GET_ATR) == ATR
        reader.tell(ON)

    card = plug(reader.port)
    with meanwhile(welcome):
        card.insert()
    yield card
    card.remove()


def test_a_session_over_the_wire(reader: FakeReader, plugged: VpcdPlug) -> None:
    reader.tell(ON)
    assert reader.ask(SELECT_CARD)[-2:] == b"\x90\x00"
    assert reader.ask(READ_CERTIFICATE)[-2:] == b"\x90\x00"
    assert reader.ask(b"\x00\x00") == b"\x67\x00"  # two bytes are a command, if a bad one
    reader.tell(RESET)
    assert reader.ask(READ_CERTIFICATE) == b"\x6a\x83"
    reader.ask(SELECT_CARD)
    reader.tell(OFF)
    reader.tell(ON)
    assert reader.ask(READ_CERTIFICATE) == b"\x6a\x83"
    assert reader.ask(GET_ATR) == ATR
    assert plugged.is_present()


def test_words_of_no_meaning_get_no_answer_and_do_no_harm(
    reader: FakeReader, plugged: VpcdPlug
) -> None:
    reader.ask(SELECT_CARD)
    for payload in (b"", b"\x03", b"\xff"):
        reader.tell(payload)
    assert reader.ask(READ_CERTIFICATE)[-2:] == b"\x90\x00"


def test_frames_in_pieces_and_frames_glued_together(reader: FakeReader, plugged: VpcdPlug) -> None:
    assert reader.line is not None
    reader.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    frame = len(SELECT_CARD).to_bytes(2) + SELECT_CARD
    for byte in frame:
        reader.line.sendall(bytes((byte,)))
    assert reader._exactly(int.from_bytes(reader._exactly(2)))[-2:] == b"\x90\x00"
    reader.line.sendall(b"\x00\x01\x02" + frame + frame)
    for _ in range(2):
        assert reader._exactly(int.from_bytes(reader._exactly(2)))[-2:] == b"\x90\x00"


def test_the_longest_command_of_the_wire(reader: FakeReader, plugged: VpcdPlug) -> None:
    assert reader.ask(bytes.fromhex("00D60000 00FFF8") + bytes(0xFFF8)) == b"\x6d\x00"


def test_removal_is_seen_and_the_card_can_come_again(reader: FakeReader, plugged: VpcdPlug) -> None:
    plugged.remove()
    plugged.remove()
    assert reader.hears_the_end()
    assert not plugged.is_present()
    assert plugged.wait(0)
    reader.hang_up()

    def welcome() -> None:
        reader.accept()
        reader.tell(ON)

    with meanwhile(welcome):
        plugged.insert()
    assert reader.ask(SELECT_CARD)[-2:] == b"\x90\x00"


def test_a_stop_from_another_thread_ends_the_wait(reader: FakeReader, plugged: VpcdPlug) -> None:
    with meanwhile(plugged.remove):
        assert plugged.wait(SECONDS)


def test_a_reader_that_restarts_is_dialled_again_in_a_fresh_session(
    reader: FakeReader, plugged: VpcdPlug
) -> None:
    reader.ask(SELECT_CARD)
    for _ in range(3):
        reader.hang_up()
        reader.accept()
        assert reader.ask(GET_ATR) == ATR
        assert reader.ask(READ_CERTIFICATE) == b"\x6a\x83"
    assert plugged.is_present()


def test_a_reader_that_stays_away_is_given_up(reader: FakeReader) -> None:
    card = plug(reader.port, reconnects_max=3)

    def welcome() -> None:
        reader.accept()
        reader.tell(ON)
        reader.close()

    with meanwhile(welcome):
        card.insert()
    with pytest.raises(ReaderUnreachable, match="went away"):
        card.wait(SECONDS)
    card.remove()
    assert not card.is_present()


def test_a_card_the_reader_overlooks_leaves_and_comes_again(reader: FakeReader) -> None:
    """Goal: pcscd asks for the ATR and never powers: twice the card tries anew, then it stays."""

    def overlook() -> None:
        for _ in range(2):
            reader.accept()
            for _ in range(3):
                assert reader.ask(GET_ATR) == ATR
            reader.tell(GET_ATR)
            assert reader.hears_the_end()
        reader.accept()
        for _ in range(6):
            assert reader.ask(GET_ATR) == ATR
        reader.tell(ON)

    card = plug(reader.port)
    with meanwhile(overlook):
        card.insert()
    assert card.is_present()
    card.remove()


def test_a_reader_that_leaves_before_it_powered_the_card(reader: FakeReader) -> None:
    def leave() -> None:
        reader.accept()
        reader.ask(GET_ATR)
        reader.close()

    card = plug(reader.port, reconnects_max=2)
    with meanwhile(leave), pytest.raises(ReaderUnreachable, match="went away"):
        card.insert()
    assert not card.is_present()


def test_nobody_listening_a_silent_reader_and_one_that_hangs_up(reader: FakeReader) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ReaderUnreachable, match=rf"127\.0\.0\.1:{port}: no virtual reader"):
        plug(port).insert()
    with pytest.raises(ReaderUnreachable, match=r"silent .* another card"):
        plug(reader.port, first_word_seconds=0.05).insert()
    reader.accept()  # the silent one, out of the queue

    def hang_up() -> None:
        reader.accept()
        reader.hang_up()

    with meanwhile(hang_up), pytest.raises(ReaderUnreachable, match="hung up"):
        plug(reader.port).insert()


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="TCP_QUICKACK is Linux's")
def test_acknowledgements_are_wished_at_once_after_every_receipt(
    reader: FakeReader, plugged: VpcdPlug, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plugged._line is not None
    wished: list[int] = []
    line_type = type(plugged._line)
    wish = line_type._acknowledge_at_once

    def count(line: Any) -> None:
        wished.append(1)
        wish(line)

    monkeypatch.setattr(line_type, "_acknowledge_at_once", count)
    for _ in range(5):
        reader.ask(SELECT_CARD)
    assert len(wished) >= 5
    option = plugged._line._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert option != 0
