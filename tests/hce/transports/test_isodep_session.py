"""What bounds a session: silence, broken frames, a slow card, somebody who stops it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from hce.transports.isodep import IsoDepCard
from hce.transports.isodep_frames import Ats
from hce.transports.isodep_session import Ending, FieldLost, FrameGarbled, Patience, Session

RATS, ATS = bytes.fromhex("E080"), "057880A002"
Heard = bytes | None | type[Exception]


class ScriptedRadio:
    """Hears what is written down, then goes on with the last of it for ever."""

    def __init__(self, *heard: Heard) -> None:
        self._heard, self.sent = list(heard), list[str]()

    def exchange(self, frame: bytes | None, timeout_seconds: float) -> bytes | None:
        assert timeout_seconds > 0
        if frame is not None:
            self.send(frame)
        heard = self._heard[0] if len(self._heard) == 1 else self._heard.pop(0)
        if isinstance(heard, type):
            raise heard
        return heard

    def send(self, frame: bytes) -> None:
        self.sent.append(frame.hex().upper())


class GatedCard:
    """Answers when it may; without `open` it never does."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def transmit(self, command: bytes) -> bytes:
        assert self.open.wait(20)
        return command + b"\x90\x00"


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def card(threads: ThreadPoolExecutor) -> Iterator[GatedCard]:
    """Its gate opens before the pool waits for its threads."""
    gated = GatedCard()
    yield gated
    gated.open.set()


def played(
    card: GatedCard,
    radio: ScriptedRadio,
    threads: ThreadPoolExecutor,
    fwi: int = 10,  # an open card answers in half of 0.3 s, also on a busy machine
    **patience: float,
) -> Ending:
    machine = IsoDepCard(Ats(fwi=fwi))
    bounds = Patience(**patience)  # type: ignore[arg-type]
    return Session(card, machine, radio, threads, patience=bounds).run(RATS)


def test_a_command_is_answered_until_the_field_goes(
    card: GatedCard, threads: ThreadPoolExecutor
) -> None:
    card.open.set()
    radio = ScriptedRadio(bytes.fromhex("0200A4"), FieldLost)
    assert played(card, radio, threads) is Ending.FIELD_LOST
    assert radio.sent[0] == ATS
    assert radio.sent[-1] == "0200A49000"


def test_a_silent_reader_is_left(card: GatedCard, threads: ThreadPoolExecutor) -> None:
    radio = ScriptedRadio(None)
    assert played(card, radio, threads, listen_seconds=0.25, idle_seconds=2.0) is Ending.IDLE
    assert radio.sent == [ATS]


def test_broken_frames_are_met_with_silence_and_counted_in_a_row(
    card: GatedCard, threads: ThreadPoolExecutor
) -> None:
    card.open.set()
    garbled = [FrameGarbled] * 3
    radio = ScriptedRadio(*garbled, b"\x02\xaa", *garbled, b"\x03\xbb", FrameGarbled)
    assert played(card, radio, threads, garbled_max=3) is Ending.GARBLED
    assert radio.sent == [ATS, "02AA9000", "03BB9000"]


def test_deselect_is_answered_without_listening(
    card: GatedCard, threads: ThreadPoolExecutor
) -> None:
    radio = ScriptedRadio(b"\xc2", AssertionError)
    assert played(card, radio, threads) is Ending.DESELECTED
    assert radio.sent == [ATS, "C2"]


def test_a_card_that_never_answers_is_given_up(
    card: GatedCard, threads: ThreadPoolExecutor
) -> None:
    """Goal: S(WTX) cannot hold a reader for ever."""
    radio = ScriptedRadio(b"\x02\xaa", b"\xf2\x0a")
    assert played(card, radio, threads, fwi=0, command_seconds=0.05) is Ending.CARD_SLOW
    asked = radio.sent[1:]
    assert set(asked) == {"F20A"}
    assert 1 < len(asked) < 100


class WaitingRadio(ScriptedRadio):
    """Opens the card's gate when it has been asked for time often enough."""

    def __init__(self, card: GatedCard, times: int, *heard: Heard) -> None:
        super().__init__(*heard)
        self._card, self._times = card, times

    def send(self, frame: bytes) -> None:
        super().send(frame)
        if frame[0] == 0xF2:
            self._times -= 1
            if not self._times:
                self._card.open.set()


def test_the_answer_waits_for_the_grant(card: GatedCard, threads: ThreadPoolExecutor) -> None:
    """The request is lost, then noise, then granted: only then the answer goes out."""
    radio = WaitingRadio(card, 2, b"\x02\xaa", None, b"\xb2", b"\xff", b"\xf2\x0a", FieldLost)
    assert played(card, radio, threads) is Ending.FIELD_LOST
    assert radio.sent == [ATS, "F20A", "F20A", "02AA9000"]


def test_deselect_and_field_loss_while_computing(
    card: GatedCard, threads: ThreadPoolExecutor
) -> None:
    radio = ScriptedRadio(b"\x02\xaa", b"\xc2", AssertionError)
    assert played(card, radio, threads) is Ending.DESELECTED
    assert radio.sent[-1] == "C2"
    card.open.set()
    assert played(card, ScriptedRadio(b"\x02\xaa", FieldLost), threads) is Ending.FIELD_LOST


def test_stopping(card: GatedCard, threads: ThreadPoolExecutor) -> None:
    radio = ScriptedRadio(None)
    session = Session(card, IsoDepCard(), radio, threads, is_stopping=lambda: len(radio.sent) > 0)
    assert session.run(RATS) is Ending.STOPPED


@pytest.mark.parametrize(("fwi", "multiplier"), [(0, 10), (7, 10), (12, 4), (14, 1)])
def test_no_more_time_is_asked_for_than_the_standard_has(
    card: GatedCard, threads: ThreadPoolExecutor, fwi: int, multiplier: int
) -> None:
    session = Session(card, IsoDepCard(Ats(fwi=fwi)), ScriptedRadio(None), threads)
    assert session._multiplier == multiplier
