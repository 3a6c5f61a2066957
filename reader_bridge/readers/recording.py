"""Taps written down as text, line by line, while they happen; and read back. Knows no command but
those that carry a PIN.

    recording 1                     first line; 1 is the version of this format
    tap ACS ACR1252 PICC 0          a card was shown to this reader
    > 00A404000E3250...             a command; `xx` stands for a byte that is not told
    < 6F2C...9000 1.204             its answer with the status word, and milliseconds
    ! reader card_removed 3.100     instead of an answer: ReaderFault or CardFault by code, and
                                    milliseconds; data behind it as JSON
    ? 1                             somebody asked whether the card is there: 1 or 0
    left                            somebody waited for the card to leave, and it left
    close                           the terminal let the card go
    # …                             a remark; like an empty line it means nothing

Keys never cross this line. A PIN does, and is masked. Card and token numbers, balances and journeys
are what a card says to everybody who asks, and stay: a recording is personal data.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from reader_bridge.faults import CardFault, ReaderFault, RecordingFault
from reader_bridge.readers.port import CardChannel, Reader

_log = logging.getLogger(__name__)

FIRST_LINE: Final = "recording 1"
RECORDING_CHARACTERS_MAX: Final = 4 * 1024 * 1024
HEADER_BYTES: Final = 5  # CLA INS P1 P2 Lc
MASKED: Final = "xx"
# VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER; and the purse's CHANGE PIN (Part B.1.4).
PIN_INSTRUCTIONS: Final = frozenset({(0x00, 0x20), (0x00, 0x24), (0x00, 0x2C), (0x80, 0x5E)})
FAULTS: Final[Mapping[str, type[ReaderFault | CardFault]]] = {
    "reader": ReaderFault,
    "card": CardFault,
}

WriteLine = Callable[[str], object]
Outcome = bytes | ReaderFault | CardFault


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One command and what became of it. `command` is hex, perhaps with `xx`."""

    line: int
    command: str
    outcome: Outcome
    milliseconds: float

    def matches(self, command: bytes) -> bool:
        """Whether this very command was sent, as far as it is told."""
        sent, told = command.hex().upper(), self.command
        pairs = [(told[at : at + 2], sent[at : at + 2]) for at in range(0, len(told), 2)]
        return len(sent) == len(told) and all(one in {MASKED, other} for one, other in pairs)


@dataclass(frozen=True, slots=True)
class Asked:
    """Whether the card was there."""

    line: int
    is_present: bool


@dataclass(frozen=True, slots=True)
class Left:
    """The card left."""

    line: int


Step = Exchanged | Asked | Left


@dataclass(frozen=True, slots=True)
class Tap:
    """One card's presentation."""

    line: int
    reader_name: str
    steps: tuple[Step, ...]


class RecordingReader:
    """Any reader, with every tap written down. A line that cannot be written stops no tap."""

    def __init__(
        self,
        reader: Reader,
        write_line: WriteLine,
        elapsed: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._reader, self._elapsed = reader, elapsed
        self._write = _careful(write_line)
        self._write(FIRST_LINE)

    @property
    def name(self) -> str:
        return self._reader.name

    def wait_for_card(self, timeout_seconds: float) -> RecordingChannel | None:
        channel = self._reader.wait_for_card(timeout_seconds)
        if channel is None:
            return None
        self._write(f"tap {self.name}")
        return RecordingChannel(channel, self._write, self._elapsed)

    def close(self) -> None:
        self._reader.close()


class RecordingChannel:
    """Any channel, with what goes over it written down."""

    def __init__(
        self, channel: CardChannel, write_line: WriteLine, elapsed: Callable[[], float]
    ) -> None:
        self._channel, self._write, self._elapsed = channel, write_line, elapsed

    def transmit(self, command: bytes) -> bytes:
        self._write(f"> {masked(command)}")
        started = self._elapsed()
        try:
            answer = self._channel.transmit(command)
        except (ReaderFault, CardFault) as fault:
            self._write(f"! {_words_of(fault, self._since(started))}")
            raise
        self._write(f"< {answer.hex().upper()} {self._since(started)}")
        return answer

    def is_present(self) -> bool:
        is_there = self._channel.is_present()
        self._write(f"? {int(is_there)}")
        return is_there

    def wait_for_removal(self, timeout_seconds: float) -> bool:
        has_left = self._channel.wait_for_removal(timeout_seconds)
        if has_left:
            self._write("left")
        return has_left

    def close(self) -> None:
        self._channel.close()
        self._write("close")

    def _since(self, started: float) -> str:
        return f"{(self._elapsed() - started) * 1000:.3f}"


def masked(command: bytes) -> str:
    """The command in hex, without a PIN."""
    text = command.hex().upper()
    if len(command) > HEADER_BYTES and (command[0] & 0xF0, command[1]) in PIN_INSTRUCTIONS:
        body = len(command) - HEADER_BYTES
        return text[: 2 * HEADER_BYTES] + MASKED * body
    return text


def parse(text: str) -> tuple[Tap, ...]:
    """The taps of a recording. Raises RecordingFault(recording_malformed, recording_too_large)."""
    if len(text) > RECORDING_CHARACTERS_MAX:
        raise RecordingFault("recording_too_large")
    reading = _Reading()
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            reading.take(number, line.rstrip())
    return reading.finish()


class _Reading:
    """What was read so far."""

    def __init__(self) -> None:
        self._taps: list[tuple[int, str, list[Step]]] = []
        self._command: str | None = None
        self._command_line = 0
        self._has_begun = False
        self._line = 0

    def take(self, number: int, line: str) -> None:
        self._line = number
        word, _, rest = line.partition(" ")
        if not self._has_begun:
            self._require(line == FIRST_LINE, f"the first line is not '{FIRST_LINE}'")
            self._has_begun = True
        elif word == "tap":
            self._require(self._command is None, "a command without an answer")
            self._taps.append((number, rest, []))
        else:
            self._require(bool(self._taps), "outside a tap")
            self._step(word, rest)

    def finish(self) -> tuple[Tap, ...]:
        self._require(self._has_begun, f"the first line is not '{FIRST_LINE}'")
        self._require(self._command is None, "a command without an answer")
        return tuple(Tap(line, name, tuple(steps)) for line, name, steps in self._taps)

    def _step(self, word: str, rest: str) -> None:
        steps = self._taps[-1][2]
        is_outcome = word in {"<", "!"}
        self._require(
            is_outcome == (self._command is not None), "command and answer do not alternate"
        )
        if word == ">":
            self._command, self._command_line = self._hex(rest, may_mask=True), self._line
        elif self._command is not None:
            outcome, milliseconds = self._answer(rest) if word == "<" else self._fault(rest)
            steps.append(Exchanged(self._command_line, self._command, outcome, milliseconds))
            self._command = None
        elif word == "?" and rest in {"0", "1"}:
            steps.append(Asked(self._line, rest == "1"))
        elif (word, rest) == ("left", ""):
            steps.append(Left(self._line))
        else:
            self._require((word, rest) == ("close", ""), "not a line of a recording")

    def _answer(self, rest: str) -> tuple[bytes, float]:
        body, _, milliseconds = rest.partition(" ")
        return bytes.fromhex(self._hex(body)), self._milliseconds(milliseconds)

    def _fault(self, rest: str) -> tuple[ReaderFault | CardFault, float]:
        kind, code, milliseconds, data = (*rest.split(" ", 3), "", "", "", "")[:4]
        try:
            values = json.loads(data or "{}")
            fault = FAULTS[kind](code, **values)
            fault.text("en")
        except (KeyError, TypeError, ValueError, RecursionError):
            self._require(False, "no such fault")
            raise
        return fault, self._milliseconds(milliseconds)

    def _hex(self, text: str, *, may_mask: bool = False) -> str:
        told = text.replace(MASKED, "00") if may_mask else text
        is_hex = len(text) % 2 == 0 and set(told) <= set("0123456789ABCDEF")
        self._require(is_hex, "not upper-case hex")
        return text

    def _milliseconds(self, text: str) -> float:
        whole, _, part = text.partition(".")
        is_figure = whole.isdecimal() and part.isdecimal() and text.isascii() and len(text) < 16
        self._require(is_figure, "no milliseconds")
        return float(text)

    def _require(self, is_true: bool, reason: str) -> None:
        if not is_true:
            raise RecordingFault("recording_malformed", line=self._line, reason=reason)


def _words_of(fault: ReaderFault | CardFault, milliseconds: str) -> str:
    kind = "reader" if isinstance(fault, ReaderFault) else "card"
    words = f"{kind} {fault.code} {milliseconds}"
    if not fault.data:
        return words
    return f"{words} {json.dumps(dict(fault.data), ensure_ascii=False, default=str)}"


def _careful(write_line: WriteLine) -> WriteLine:
    """A full disk ends the recording, not the tap."""
    has_failed = False

    def write(line: str) -> None:
        nonlocal has_failed
        if has_failed:
            return
        try:
            write_line(line)
        except OSError as error:
            has_failed = True
            _log.warning("the recording ends here: %s", error)

    return write
