"""Where one tap's time goes: card, SAM, transport, and the rest; knows not what a tap does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from reader_bridge.readers.port import CardChannel, Reader
from reader_bridge.sam.port import Sam, SamOffer, SamRequest, Verified
from tools.benches.errors import BenchFailed

PRESENCE: Final = "presence"
CARD: Final = "card"
SAM: Final = "sam"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Split:
    """Where one tap's time went, presentation to green light; nanoseconds."""

    whole_ns: int
    presence_ns: int  # pcscd says that a card is there, powers and connects it
    card_ns: int  # inside the card's `transmit`
    sam_ns: int  # inside the SAM's `transmit`, or inside a SAM in software

    @property
    def bridge_ns(self) -> int:
        """What is neither card, SAM nor transport: our own code, and the journal's disk."""
        return self.whole_ns - self.presence_ns - self.card_ns - self.sam_ns


@dataclass(slots=True)
class Watch:
    """Times one tap after the other; what happens after the green light is not timed."""

    clock_ns: Callable[[], int] = time.perf_counter_ns
    _began_ns: int = 0
    _spent_ns: dict[str, int] = field(default_factory=dict)
    _split: Split | None = None

    def start(self) -> None:
        self._spent_ns, self._split = dict.fromkeys((PRESENCE, CARD, SAM), 0), None
        self._began_ns = self.clock_ns()

    def stop(self) -> None:
        """The light is green. Raises BenchFailed when it was green before."""
        whole_ns = self.clock_ns() - self._began_ns
        if self._split is not None:
            raise BenchFailed("one tap, and two green lights")
        spent = self._spent_ns
        self._split = Split(whole_ns, spent[PRESENCE], spent[CARD], spent[SAM])

    def split(self) -> Split:
        """Raises BenchFailed for a tap without a green light."""
        if self._split is None:
            raise BenchFailed("a tap without a green light")
        return self._split

    def timed(self, part: str, act: Callable[[], T]) -> T:
        began_ns = self.clock_ns()
        try:
            return act()
        finally:
            spent_ns = self.clock_ns() - began_ns
            self._spent_ns[part] = self._spent_ns.get(part, 0) + spent_ns


@dataclass(frozen=True, slots=True)
class TimedChannel:
    """A card channel whose `transmit` counts for `part`."""

    channel: CardChannel
    watch: Watch
    part: str

    def transmit(self, command: bytes) -> bytes:
        return self.watch.timed(self.part, lambda: self.channel.transmit(command))

    def is_present(self) -> bool:
        return self.channel.is_present()

    def wait_for_removal(self, timeout_seconds: float) -> bool:
        return self.channel.wait_for_removal(timeout_seconds)

    def close(self) -> None:
        self.channel.close()


@dataclass(frozen=True, slots=True)
class TimedReader:
    """A reader whose wait for a card counts as presence."""

    reader: Reader
    watch: Watch

    @property
    def name(self) -> str:
        return self.reader.name

    def wait_for_card(self, timeout_seconds: float) -> CardChannel | None:
        found = self.watch.timed(PRESENCE, lambda: self.reader.wait_for_card(timeout_seconds))
        return None if found is None else TimedChannel(found, self.watch, CARD)

    def close(self) -> None:
        self.reader.close()


@dataclass(frozen=True, slots=True)
class TimedSam:
    """A SAM in software: all of it is the SAM's time."""

    sam: Sam
    watch: Watch

    @property
    def is_test(self) -> bool:
        return self.sam.is_test

    def read_terminal_number(self) -> bytes:
        return self.watch.timed(SAM, self.sam.read_terminal_number)

    def key_index(self) -> int:
        return self.watch.timed(SAM, self.sam.key_index)

    def begin_purchase(self, request: SamRequest) -> SamOffer:
        return self.watch.timed(SAM, lambda: self.sam.begin_purchase(request))

    def finish_purchase(self, mac2: bytes) -> Verified:
        return self.watch.timed(SAM, lambda: self.sam.finish_purchase(mac2))

    def prove_purchase(self, request: SamRequest, offer: SamOffer, mac2: bytes) -> Verified:
        return self.watch.timed(SAM, lambda: self.sam.prove_purchase(request, offer, mac2))

    def close(self) -> None:
        self.sam.close()
