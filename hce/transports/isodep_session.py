"""A card in the field, block by block, until the field goes, the reader lets go or time is over.

Joins the frame machine with a card and a radio; knows no driver. A command runs in a thread of
its own, so that S(WTX) can be sent while it computes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures import TimeoutError as StillComputing
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, Protocol

from hce.transports.isodep import Command, Granted, IsoDepCard, Reply, State, Step
from hce.transports.isodep_frames import FWI_MAX, WTXM_MAX, waiting_seconds

_log = logging.getLogger(__name__)

COMPUTING_SHARE: Final = 0.5  # of the waiting time, then S(WTX): the frame needs its way too


class FieldLost(ConnectionError):
    """The reader switched its field off, or the card was taken away."""


class FrameGarbled(Exception):
    """A frame came that no CRC fits: silence, the reader sends it again."""


class Radio(Protocol):
    """What a driver does for a card in the field."""

    def exchange(self, frame: bytes | None, timeout_seconds: float) -> bytes | None:
        """Sends (None: stays silent) and listens; None when time is over.

        Raises FieldLost, FrameGarbled.
        """

    def send(self, frame: bytes) -> None:
        """Sends and does not listen. Raises FieldLost."""


class Transmitter(Protocol):
    """A card: `hce.card.Card`."""

    def transmit(self, command: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """What bounds a session."""

    listen_seconds: float = 0.25  # one look; between two, somebody may ask us to stop
    idle_seconds: float = 60.0  # without a frame
    command_seconds: float = 10.0  # a card slower than this is broken
    garbled_max: int = 16  # in a row
    multiplier: int = 10  # of FWT, asked for at each S(WTX)


@unique
class Ending(Enum):
    """Why a session ended."""

    FIELD_LOST = "field lost"
    DESELECTED = "deselected"
    IDLE = "reader silent"
    GARBLED = "too many broken frames"
    CARD_SLOW = "card too slow"
    STOPPED = "stopped"


class Session:
    """One activation of the card in one field."""

    def __init__(
        self,
        card: Transmitter,
        machine: IsoDepCard,
        radio: Radio,
        threads: Executor,
        *,
        patience: Patience | None = None,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._card, self._machine, self._radio, self._threads = card, machine, radio, threads
        self._patience = patience or Patience()
        self._is_stopping = is_stopping
        fwt, longest = machine.ats.waiting_seconds, waiting_seconds(FWI_MAX)
        self._multiplier = max(1, min(self._patience.multiplier, WTXM_MAX, int(longest / fwt)))
        self._idle_seconds, self._garbled = 0.0, 0

    def run(self, frame: bytes | None) -> Ending:
        """From the first frame the driver heard (None: listen) to the end."""
        try:
            return self._run(frame)
        except FieldLost:
            return Ending.FIELD_LOST

    def _run(self, frame: bytes | None) -> Ending:
        while True:
            step = self._machine.receive(frame) if frame is not None else None
            if isinstance(step, Command):
                ending, answer = self._compute(step)
                if ending is not None:
                    return ending
                step = Reply(self._machine.answer(answer))
            if self._machine.state is State.HALTED:
                return self._let_go(step)
            frame = self._exchange(step.frame if isinstance(step, Reply) else None)
            if (end := self._end()) is not None:
                return end

    def _compute(self, command: Command) -> tuple[Ending | None, bytes]:
        """The card's answer, with S(WTX) as often as it takes; or why there is none."""
        patience, machine = self._patience, self._machine
        waits = machine.ats.waiting_seconds * COMPUTING_SHARE
        answer = self._threads.submit(self._card.transmit, command.apdu)
        waited = 0.0
        while not _is_done(answer, waits):
            waited += waits
            if waited > patience.command_seconds:
                _log.error("no answer from the card in %.1f s: silent from here", waited)
                return Ending.CARD_SLOW, b""
            ending = self._ask_for_time()
            if ending is not None:
                return ending, b""
            waits = machine.ats.waiting_seconds * self._multiplier * COMPUTING_SHARE
        return None, answer.result()

    def _ask_for_time(self) -> Ending | None:
        """S(WTX) until it is granted; or why the session ends."""
        frame: bytes | None = self._machine.extend(self._multiplier)
        while True:
            heard = self._exchange(frame)
            if (end := self._end()) is not None:
                return end
            step = self._machine.receive(heard) if heard is not None else None
            if isinstance(step, Granted):
                return None
            if self._machine.state is State.HALTED:
                return self._let_go(step)
            frame = step.frame if isinstance(step, Reply) else None

    def _exchange(self, frame: bytes | None) -> bytes | None:
        """The next frame, or None; counts silence and broken frames."""
        try:
            heard = self._radio.exchange(frame, self._patience.listen_seconds)
        except FrameGarbled:
            self._garbled += 1
            return None
        if heard is None:
            self._idle_seconds += self._patience.listen_seconds
            return None
        self._idle_seconds, self._garbled = 0.0, 0
        return heard

    def _end(self) -> Ending | None:
        if self._is_stopping():
            return Ending.STOPPED
        if self._garbled > self._patience.garbled_max:
            return Ending.GARBLED
        if self._idle_seconds > self._patience.idle_seconds:
            return Ending.IDLE
        return None

    def _let_go(self, step: Step) -> Ending:
        if isinstance(step, Reply):
            self._radio.send(step.frame)
        return Ending.DESELECTED


def _is_done(answer: Future[bytes], seconds: float) -> bool:
    try:
        answer.exception(seconds)
    except StillComputing:
        return False
    return True
