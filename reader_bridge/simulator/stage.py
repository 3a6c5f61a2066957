"""Readers, a scanner and the hand that moves cards, behind the same ports as the real ones."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from typing import Final

from reader_bridge.faults import CardFault, ReaderFault
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.readers.recording import FIRST_LINE, masked
from reader_bridge.simulator.hostile import Transmit
from reader_bridge.simulator.steps import Fault, Present, StepRefused

READY_SECONDS: Final = 10.0  # for a reader that was just plugged in
SCANS_MAX: Final = 16
SCANNER: Final = "simulated scanner"
Trace = Callable[[str], object]
Sleep = Callable[[float], None]


class SimulatedReader(LoopbackReader):
    """One reader while somebody watches it."""

    def __init__(self, name: str, on_close: Callable[[LoopbackReader], None]) -> None:
        super().__init__(name=name, waits=True)
        self._on_close = on_close

    def close(self) -> None:
        super().close()
        self._on_close(self)


class SimulatedPlugs:
    """A service whose readers come and go when they are told to; outlives the terminal."""

    name = "simulator"

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._plugged = dict.fromkeys(names, True)
        self._readers: dict[str, LoopbackReader] = {}
        self._changed = threading.Condition()

    def wait_for_change(self, known: tuple[str, ...], timeout_seconds: float) -> tuple[str, ...]:
        with self._changed:
            self._changed.wait_for(lambda: self.there() != known, timeout_seconds)
            return self.there()

    def open(self, name: str) -> LoopbackReader:
        reader = SimulatedReader(name, self._closed)
        with self._changed:
            self._readers[name] = reader
            self._changed.notify_all()
        return reader

    def close(self) -> None:
        """The terminal lets go; each of its readers was closed before."""

    def set(self, name: str, *, is_plugged: bool) -> None:
        with self._changed:
            self._plugged[name] = is_plugged
            self._changed.notify_all()

    def get_reader(self, name: str) -> LoopbackReader:
        """Raises StepRefused while it is not plugged in or nobody watches it."""
        with self._changed:
            if not self._plugged[name]:
                raise StepRefused(f"reader '{name}' is unplugged")
            if not self._changed.wait_for(lambda: name in self._readers, READY_SECONDS):
                raise StepRefused(f"the terminal does not watch reader '{name}'")
            return self._readers[name]

    def find_reader(self, name: str) -> LoopbackReader | None:
        with self._changed:
            return self._readers.get(name)

    def _closed(self, reader: LoopbackReader) -> None:
        with self._changed:
            if self._readers.get(reader.name) is reader:
                del self._readers[reader.name]

    def there(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if self._plugged[name])


class SimulatedScanner:
    """Gives what was scanned, once."""

    name = SCANNER

    def __init__(self) -> None:
        self._scans: queue.Queue[bytes] = queue.Queue(SCANS_MAX)

    def scan(self, payload: bytes) -> None:
        """Raises StepRefused when nobody reads."""
        try:
            self._scans.put_nowait(payload)
        except queue.Full:
            raise StepRefused(f"{SCANS_MAX} codes wait already: nobody reads them") from None

    def read(self, timeout_seconds: float) -> bytes | None:
        try:
            return self._scans.get(timeout=max(0.0, timeout_seconds))
        except queue.Empty:
            return None

    def close(self) -> None:
        """Let go by one terminal, to be read by the next."""


class Stage:
    """What the player moves. `trace` takes each presentation as the lines of a recording."""

    def __init__(self, names: tuple[str, ...], sleep: Sleep, trace: Trace) -> None:
        self.plugs, self.scanner = SimulatedPlugs(names), SimulatedScanner()
        self._sleep, self._trace = sleep, trace
        self._shown: _Shown | None = None
        trace(FIRST_LINE)

    def present(self, step: Present, card: Transmit, others: tuple[Transmit, ...]) -> None:
        """Raises StepRefused."""
        name = step.reader or self.plugs.names[0]
        reader = self.plugs.get_reader(name)
        self._trace(f"tap {name}")
        self._shown = _Shown(self, name, reader, card, step)
        reader.insert(self._shown, *others)

    def withdraw(self, name: str | None) -> None:
        """From one reader, or from all."""
        for one in self.plugs.names if name is None else (name,):
            reader = self.plugs.find_reader(one)
            if reader is not None:
                reader.remove()

    def unplug(self, name: str | None) -> None:
        chosen = name or self.plugs.names[0]
        self.plugs.set(chosen, is_plugged=False)
        self.withdraw(chosen)  # nothing is read there any more

    def plug(self, name: str | None) -> None:
        self.plugs.set(name or self.plugs.names[0], is_plugged=True)

    def lying(self) -> tuple[str, ...]:
        """The readers on which a card lies."""
        readers = ((name, self.plugs.find_reader(name)) for name in self.plugs.names)
        return tuple(name for name, reader in readers if reader is not None and reader.card)

    def commands(self) -> int:
        """How many the card that was presented last has been sent."""
        return 0 if self._shown is None else self._shown.commands

    def spoken(self, line: str) -> None:
        self._trace(line)

    def pause(self, milliseconds: int) -> None:
        self._sleep(milliseconds / 1000)


class _Shown:
    """One presentation: counts its commands, and lets happen what was asked for."""

    def __init__(
        self, stage: Stage, name: str, reader: LoopbackReader, card: Transmit, step: Present
    ) -> None:
        self._stage, self._name, self._reader = stage, name, reader
        self._card, self._step = card, step
        self.commands = 0

    def __call__(self, command: bytes) -> bytes:
        self.commands += 1
        self._stage.spoken(f"> {masked(command)}")
        try:
            answer = self._answer(command)
        except (ReaderFault, CardFault) as fault:
            kind = "reader" if isinstance(fault, ReaderFault) else "card"
            words = f"! {kind} {fault.code} 0.000"
            data = json.dumps(dict(fault.data), ensure_ascii=False, default=str)
            self._stage.spoken(f"{words} {data}" if fault.data else words)
            self._leave()
            raise
        self._stage.spoken(f"< {answer.hex().upper()} 0.000")
        return answer

    def _answer(self, command: bytes) -> bytes:
        fault = self._step.fault if self.commands == self._step.at else None
        if self._step.slow_milliseconds:
            self._stage.pause(self._step.slow_milliseconds)
        if fault is Fault.TEAR:
            raise ReaderFault("card_removed")
        if fault is Fault.UNPLUG:
            raise ReaderFault("reader_missing", name=f": {self._name}")
        answer = self._card(command)
        if fault is Fault.TEAR_AFTER:
            raise ReaderFault("card_removed")
        return answer

    def _leave(self) -> None:
        """After the fault was written down: whoever sees the card gone may show the next one."""
        if self.commands != self._step.at:
            return
        if self._step.fault is Fault.UNPLUG:
            self._stage.unplug(self._name)
        else:
            self._reader.remove()
