"""Recorded taps played as a reader: the very bytes, or a fault that names the line."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from reader_bridge.faults import ReaderFault, RecordingFault
from reader_bridge.readers.recording import Asked, Exchanged, Left, Tap, masked


class ReplayChannel:
    """One recorded presentation. Raises RecordingFault for a command that was not recorded."""

    def __init__(self, tap: Tap, pause: Callable[[float], object] | None) -> None:
        self._steps = deque(tap.steps)
        self._line, self._pause = tap.line, pause
        self._is_closed = False

    def transmit(self, command: bytes) -> bytes:
        """The recorded answer. Raises the recorded fault; RecordingFault(recording_differs)."""
        if self._is_closed:
            raise ReaderFault("card_removed")
        while self._steps and isinstance(self._steps[0], Asked):
            self._line = self._steps.popleft().line  # asked then, not asked now
        if not self._steps:
            raise RecordingFault("recording_over", line=self._line, got=masked(command))
        step = self._steps.popleft()
        self._line = step.line
        if isinstance(step, Left):
            raise ReaderFault("card_removed")
        if not isinstance(step, Exchanged) or not step.matches(command):
            expected = step.command if isinstance(step, Exchanged) else "?"
            raise RecordingFault(
                "recording_differs", line=step.line, expected=expected, got=masked(command)
            )
        if self._pause is not None:
            self._pause(step.milliseconds / 1000)
        if isinstance(step.outcome, bytes):
            return step.outcome
        raise step.outcome

    def is_present(self) -> bool:
        """As recorded at this place; where nobody asked then, until the card left."""
        if self._is_closed:
            return False
        if self._steps and isinstance(self._steps[0], Asked):
            step = self._steps.popleft()
            assert isinstance(step, Asked)
            return step.is_present
        return not self._has_left()

    def wait_for_removal(self, timeout_seconds: float) -> bool:
        """At once: a recording's hand is as fast as it is asked."""
        del timeout_seconds
        return self._has_left()

    def close(self) -> None:
        self._is_closed = True

    @property
    def unplayed_line(self) -> int | None:
        """The first recorded command that never came, or None."""
        return next((step.line for step in self._steps if isinstance(step, Exchanged)), None)

    def _has_left(self) -> bool:
        return not any(isinstance(step, Exchanged) for step in self._steps)


class ReplayReader:
    """Shows the recorded cards, one after the other.

    `pause` (seconds) is called before each answer with the time the card took; without it the
    answers come at once.
    """

    def __init__(
        self,
        taps: Iterable[Tap],
        *,
        name: str = "replay",
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self.name = name
        self._taps, self._pause = deque(taps), pause
        self._shown: list[ReplayChannel] = []

    def wait_for_card(self, timeout_seconds: float) -> ReplayChannel | None:
        """The next tap's card, at once; None when all were shown."""
        del timeout_seconds
        if not self._taps:
            return None
        channel = ReplayChannel(self._taps.popleft(), self._pause)
        self._shown.append(channel)
        return channel

    def close(self) -> None:
        self._taps.clear()

    def require_played(self) -> None:
        """Raises RecordingFault(recording_differs) at the first command that never came."""
        lines = [channel.unplayed_line for channel in self._shown]
        lines += [tap.line for tap in self._taps]
        for line in lines:
            if line is not None:
                raise RecordingFault(
                    "recording_differs", line=line, expected="this line", got="the end"
                )
