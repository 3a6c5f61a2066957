"""Several readers and scanners watched at once: what is told, in which order; no thread left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reader_bridge.faults import CodeFault, ReaderFault
from reader_bridge.readers.events import (
    EVENTS_MAX,
    CardArrived,
    CardLeft,
    CardUnread,
    CodeRead,
    CodeUnread,
    Event,
    Pace,
    ReaderGone,
    ReaderJoined,
    ReaderSet,
    SeveralCards,
)
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.readers.port import CardChannel, Reader
from reader_bridge.readers.watches import WATCHERS_MAX, HeldChannel

PACE = Pace(look_seconds=0.05, held_look_seconds=0.01, pause_seconds=0.01, pause_seconds_max=0.04)
PATIENCE_SECONDS = 5.0
QUIET_SECONDS = 0.3
OK = b"\x90\x00"


def card(command: bytes) -> bytes:
    return command[:1] + OK


def watch_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("watch ")]


@contextmanager
def watched(*args: object, pace: Pace = PACE, **options: object) -> Iterator[ReaderSet]:
    with ReaderSet(*args, pace=pace, **options) as readers:  # type: ignore[arg-type]
        yield readers
    assert watch_threads() == []


def wait_for(readers: ReaderSet, kind: type[Event]) -> Event:
    """The next event, which has to be of this kind."""
    event = readers.next_event(PATIENCE_SECONDS)
    assert isinstance(event, kind), event
    return event


def test_a_card_comes_is_spoken_to_and_goes():
    reader = LoopbackReader(name="counter", waits=True)
    with watched([reader]) as readers:
        assert wait_for(readers, ReaderJoined) == ReaderJoined("counter")
        reader.insert(card)
        arrived = wait_for(readers, CardArrived)
        assert isinstance(arrived, CardArrived)
        assert arrived.reader_name == "counter"
        assert arrived.channel.transmit(b"\x00\xa4") == b"\x00" + OK
        assert arrived.channel.is_present()
        reader.remove()
        assert wait_for(readers, CardLeft) == CardLeft("counter")
        with pytest.raises(ReaderFault, match="card_removed"):
            arrived.channel.transmit(b"\x00")
        assert not arrived.channel.is_present()


@pytest.mark.parametrize("is_let_go", [True, False])
def test_a_card_left_lying_is_one_arrival(is_let_go):
    reader = LoopbackReader(waits=True)
    with watched([reader]) as readers:
        wait_for(readers, ReaderJoined)
        reader.insert(card)
        arrived = wait_for(readers, CardArrived)
        assert isinstance(arrived, CardArrived)
        if is_let_go:
            arrived.channel.close()
        assert list(readers.events(QUIET_SECONDS)) == []
        reader.insert(card)  # taken up and laid down again between two looks
        wait_for(readers, CardLeft)
        wait_for(readers, CardArrived)


def test_several_cards_are_told_once_until_one_is_left():
    reader = LoopbackReader(waits=True)
    with watched([reader]) as readers:
        wait_for(readers, ReaderJoined)
        reader.insert(card, card)
        assert wait_for(readers, SeveralCards) == SeveralCards("loopback")
        assert list(readers.events(QUIET_SECONDS)) == []
        reader.insert(card)
        wait_for(readers, CardArrived)
        reader.insert(card, card)
        wait_for(readers, CardLeft)
        wait_for(readers, SeveralCards)


class Scripted:
    """Raises what it is told to, until told otherwise; counts how often it is asked."""

    def __init__(self, name: str = "scripted") -> None:
        self.name = name
        self.fault: Exception | None = None
        self.channel: CardChannel | None = None
        self.asked = 0
        self.is_closed = False

    def wait_for_card(self, timeout_seconds: float) -> CardChannel | None:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        return self.channel

    def close(self) -> None:
        self.is_closed = True


def test_a_card_that_is_mute_is_told_once_and_a_waved_one_not_at_all():
    reader = Scripted()
    reader.fault = ReaderFault("card_removed")
    with watched([reader]) as readers:
        wait_for(readers, ReaderJoined)
        assert list(readers.events(QUIET_SECONDS)) == []
        reader.fault = ReaderFault("card_mute")
        unread = wait_for(readers, CardUnread)
        assert isinstance(unread, CardUnread)
        assert unread.fault.code == "card_mute"
        assert list(readers.events(QUIET_SECONDS)) == []
        assert reader.asked < 200
    assert reader.is_closed


def test_a_reader_that_breaks_and_comes_back_is_told_once_and_not_asked_in_a_spin():
    reader = Scripted()
    with watched([reader]) as readers:
        wait_for(readers, ReaderJoined)
        reader.fault = ReaderFault("reader_missing", name="")
        gone = wait_for(readers, ReaderGone)
        assert isinstance(gone, ReaderGone)
        assert gone.fault.code == "reader_missing"
        asked, started = reader.asked, time.monotonic()
        assert list(readers.events(QUIET_SECONDS)) == []
        pauses = (time.monotonic() - started) / PACE.pause_seconds_max
        assert reader.asked - asked <= pauses + 5  # doubling, then one question a longest pause
        reader.fault = None
        wait_for(readers, ReaderJoined)


def test_a_reader_that_answers_at_once_is_asked_once_a_look():
    reader = Scripted()
    started = time.monotonic()
    with watched([reader]) as readers:
        wait_for(readers, ReaderJoined)
        assert list(readers.events(QUIET_SECONDS)) == []
        assert reader.asked <= (time.monotonic() - started) / PACE.look_seconds + 2


class Slow:
    """A card at a reader that breaks while the card lies there."""

    def __init__(self) -> None:
        self.fault: ReaderFault | None = None
        self.entered = threading.Event()
        self.leave = threading.Event()
        self.looks = 0

    def transmit(self, command: bytes) -> bytes:
        self.entered.set()
        assert self.leave.wait(PATIENCE_SECONDS)
        return OK

    def is_present(self) -> bool:
        return True

    def wait_for_removal(self, timeout_seconds: float) -> bool:
        self.looks += 1
        if self.fault is not None:
            raise self.fault
        return False

    def close(self) -> None:
        self.leave.set()


def test_a_reader_that_breaks_under_a_card():
    reader, slow = Scripted(), Slow()
    reader.channel = slow
    with watched([reader]) as readers:
        wait_for(readers, ReaderJoined)
        wait_for(readers, CardArrived)
        reader.channel, reader.fault = None, ReaderFault("reader_missing", name="")
        slow.fault = ReaderFault("service_missing")
        wait_for(readers, CardLeft)
        gone = wait_for(readers, ReaderGone)
        assert isinstance(gone, ReaderGone)
        assert gone.fault.code == "service_missing"


def test_the_watch_never_speaks_into_an_exchange():
    slow = Slow()
    held = HeldChannel(slow)
    answers: list[bytes] = []
    speaker = threading.Thread(target=lambda: answers.append(held.transmit(b"\x00")))
    speaker.start()
    assert slow.entered.wait(PATIENCE_SECONDS)
    assert not held.has_left(PACE)
    assert slow.looks == 0
    slow.leave.set()
    speaker.join(PATIENCE_SECONDS)
    assert answers == [OK]
    assert not held.has_left(PACE)
    assert slow.looks == 1


class ScriptedScanner:
    """Gives or raises what was laid down, one a question, then nothing."""

    def __init__(self, *script: bytes | Exception | None, name: str = "scanner") -> None:
        self.name = name
        self.script = list(script)
        self.is_closed = False

    def read(self, timeout_seconds: float) -> bytes | None:
        word = self.script.pop(0) if self.script else None
        if isinstance(word, Exception):
            raise word
        return word

    def close(self) -> None:
        self.is_closed = True


def test_a_scanner_reads_fails_and_comes_back():
    broken = ReaderFault("scanner_failed", reason="unplugged")
    scanner = ScriptedScanner(
        b"96", None, CodeFault("code_too_long"), broken, broken, None, b"\x81\x00"
    )
    with watched([], [scanner]) as readers:
        assert wait_for(readers, CodeRead) == CodeRead("scanner", b"96")
        unread = wait_for(readers, CodeUnread)
        assert isinstance(unread, CodeUnread)
        assert unread.fault.code == "code_too_long"
        assert isinstance(wait_for(readers, ReaderGone), ReaderGone)
        assert wait_for(readers, ReaderJoined) == ReaderJoined("scanner")
        assert wait_for(readers, CodeRead) == CodeRead("scanner", b"\x81\x00")
    assert scanner.is_closed


def test_a_bug_in_a_driver_is_told_and_hurts_nobody_else(caplog):
    scanner = ScriptedScanner(ZeroDivisionError("a bug"))
    reader = LoopbackReader(waits=True)
    with watched([reader], [scanner]) as readers:
        events = {type(readers.next_event(PATIENCE_SECONDS)) for _ in range(2)}
        assert events == {ReaderJoined, ReaderGone}
        reader.insert(card)
        wait_for(readers, CardArrived)
    assert "ZeroDivisionError" in caplog.text


class Service:
    """A service whose readers come and go; `fault` is the service itself gone."""

    name = "pcsc"

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.fault: ReaderFault | None = None
        self.readers: dict[str, LoopbackReader] = {}
        self.moved = threading.Condition()
        self.is_closed = False

    def set(self, *names: str, fault: ReaderFault | None = None) -> None:
        with self.moved:
            self.names, self.fault = names, fault
            self.moved.notify_all()

    def wait_for_change(self, known: tuple[str, ...], timeout_seconds: float) -> tuple[str, ...]:
        with self.moved:
            self.moved.wait_for(lambda: self.fault or self.names != known, timeout_seconds)
            if self.fault is not None:
                raise self.fault
            return self.names

    def open(self, name: str) -> Reader:
        self.readers[name] = LoopbackReader(name=name, waits=True)
        return self.readers[name]

    def close(self) -> None:
        self.is_closed = True


def test_readers_are_plugged_in_and_pulled_out():
    service = Service()
    with watched(plugs=[service]) as readers:
        service.set("A", "B")
        joined = {readers.next_event(PATIENCE_SECONDS) for _ in range(2)}
        assert joined == {ReaderJoined("A"), ReaderJoined("B")}
        service.readers["B"].insert(card)
        wait_for(readers, CardArrived)
        service.set("A")  # pulled out with a card on it
        assert wait_for(readers, CardLeft) == CardLeft("B")
        gone = wait_for(readers, ReaderGone)
        assert isinstance(gone, ReaderGone)
        assert gone.reader_name == "B"
        assert sorted(watch_threads()) == ["watch A", "watch pcsc"]
        service.set("C", "A")
        assert wait_for(readers, ReaderJoined) == ReaderJoined("C")
    assert service.is_closed


def test_a_service_that_restarts():
    service = Service()
    service.set("A")
    with watched(plugs=[service]) as readers:
        wait_for(readers, ReaderJoined)
        service.set(fault=ReaderFault("service_missing"))
        gone = [wait_for(readers, ReaderGone) for _ in range(2)]
        assert [one.reader_name for one in gone if isinstance(one, ReaderGone)] == ["A", "pcsc"]
        assert list(readers.events(QUIET_SECONDS)) == []
        service.set("A")
        assert wait_for(readers, ReaderJoined) == ReaderJoined("pcsc")
        assert wait_for(readers, ReaderJoined) == ReaderJoined("A")


def test_a_full_queue_holds_the_watchers_and_loses_nothing():
    codes = [number.to_bytes(2) for number in range(1, EVENTS_MAX + 100)]
    with watched([], [ScriptedScanner(*codes)]) as readers:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while readers._events.qsize() < EVENTS_MAX and time.monotonic() < deadline:
            threading.Event().wait(0.005)
        assert readers._events.qsize() == EVENTS_MAX
        read = [wait_for(readers, CodeRead) for _ in codes]
        assert [one.payload for one in read if isinstance(one, CodeRead)] == codes


def test_closing_with_a_full_queue_and_with_cards_on_every_reader():
    channels = [LoopbackReader(card, name=f"R{number}", waits=True) for number in range(8)]
    scanner = ScriptedScanner(*[b"x"] * (EVENTS_MAX + 50))
    with watched(channels, [scanner]):
        pass


def test_too_many_readers_and_closing_twice():
    with pytest.raises(ValueError, match="at most"):
        ReaderSet([LoopbackReader(name=str(number)) for number in range(WATCHERS_MAX + 1)])
    readers = ReaderSet([LoopbackReader(waits=True)], pace=PACE)
    readers.close()
    readers.close()
    assert watch_threads() == []
    while readers.next_event(0.0) is not None:
        continue
    assert readers.next_event(0.01) is None


def test_a_driver_that_hangs_is_named(monkeypatch):
    gate = threading.Event()

    class Hanging(Scripted):
        def wait_for_card(self, timeout_seconds: float) -> CardChannel | None:
            assert gate.wait(PATIENCE_SECONDS)
            return None

    monkeypatch.setattr("reader_bridge.readers.events.CLOSE_SECONDS", 0.05)
    readers = ReaderSet([Hanging("stuck")], pace=PACE)
    with pytest.raises(RuntimeError, match="watch stuck"):
        readers.close()
    gate.set()
    readers._watches[0].thread.join(PATIENCE_SECONDS)
    assert watch_threads() == []
