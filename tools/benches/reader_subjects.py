"""Offline taps over and over through pcscd, each round with fresh cards, SAM and journal."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from card_protocol.deny_list import DenyList
from card_protocol.epurse.sam import SamTally
from reader_bridge.faults import Fault
from reader_bridge.journal import Journal
from reader_bridge.readers.pcsc import PcscReader
from reader_bridge.readers.port import Reader
from reader_bridge.sam.pcsc import PcscSam
from reader_bridge.sam.port import Sam
from reader_bridge.sam.sealed import SamKeys
from reader_bridge.sam.software import SoftwareSam
from reader_bridge.sam.tally import TallyFile
from tools.benches.card_purse import KEY_INDEX, TERMINAL
from tools.benches.errors import BenchFailed
from tools.benches.reader_process import CARD_SLOT, SAM_KEYS, SAM_SLOT, plugged
from tools.benches.reader_tap import CARD_SECONDS, Tapping, Till, tap_once
from tools.benches.reader_watch import (
    SAM,
    Split,
    TimedChannel,
    TimedReader,
    TimedSam,
    Watch,
)
from tools.benches.reader_world import make_profile
from tools.benches.rounds import Round, ranked

SLOT_NAMES: Final = ("Virtual PCD 00 00", "Virtual PCD 00 01")
OVERTIME_SECONDS: Final = 60.0  # for coming in, warming up and leaving
WARM_UP_TAPS: Final = 10
LINKS_MAX: Final = 1_000_000
PARTS: Final[tuple[tuple[str, Callable[[Split], int]], ...]] = (
    ("presence", lambda split: split.presence_ns),
    ("card", lambda split: split.card_ns),
    ("SAM", lambda split: split.sam_ns),
    ("bridge", lambda split: split.bridge_ns),
)
SamOpener = Callable[[Path, Watch, ExitStack], Sam]


@dataclass(slots=True)
class TapSubject:
    """Taps of one kind of card; `folder` is on the disk whose syncs are part of the figure."""

    name: str
    card: str  # a key of `reader_process.CARDS`
    deny_list: DenyList
    folder: Path
    open_sam: SamOpener | None = None
    tap: Tapping = tap_once
    splits: list[Sequence[Split]] = field(default_factory=list)  # a sequence per round

    def run(self, seconds: float) -> Round:
        """Raises BenchFailed."""
        with _fresh(self.folder) as folder, ExitStack() as exits:
            seconds_max, watch = seconds + OVERTIME_SECONDS, Watch()
            try:
                sam = self.open_sam(folder, watch, exits) if self.open_sam else None
                point = exits.enter_context(plugged(self.card, CARD_SLOT, folder, seconds_max))
                reader = exits.enter_context(closing(PcscReader(SLOT_NAMES[CARD_SLOT])))
                journal = exits.enter_context(closing(Journal(folder / "journal.sqlite")))
                profile = make_profile(int(time.time()), point)
                return self.repeat(
                    Till(journal, profile, self.deny_list, sam), reader, watch, seconds
                )
            except Fault as fault:
                raise BenchFailed(f"{self.name}: {fault.code}") from None

    def repeat(self, till: Till, reader: Reader, watch: Watch, seconds: float) -> Round:
        """Taps until time is over. A tap counts when the journal holds it afterwards."""
        for _ in range(WARM_UP_TAPS):
            self.tap(till, reader, lambda: None)
        timed, splits = TimedReader(reader, watch), list[Split]()
        began_ns = watch.clock_ns()
        ends_ns = began_ns + int(seconds * 1e9)
        while watch.clock_ns() < ends_ns:
            watch.start()
            self.tap(till, timed, watch.stop)
            splits.append(watch.split())
        spent_seconds = (watch.clock_ns() - began_ns) / 1e9
        self.splits.append(splits)
        kept = len(till.journal.links(LINKS_MAX)) - WARM_UP_TAPS
        times = ranked([split.whole_ns for split in splits])
        return Round(len(splits), kept, spent_seconds, times=times)

    def part_rounds(self, part: Callable[[Split], int]) -> list[Round]:
        """One part of the taps, round by round; a round's seconds are those of that part."""
        return [_part_round([part(one) for one in splits]) for splits in self.splits]


def _part_round(spent_ns: Sequence[int]) -> Round:
    seconds = max(sum(spent_ns), 1) / 1e9
    return Round(len(spent_ns), len(spent_ns), seconds, times=ranked(spent_ns))


@contextmanager
def _fresh(place: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="round-", dir=place) as folder:
        yield Path(folder)


def software_sam(folder: Path, watch: Watch, exits: ExitStack) -> Sam:
    """Its serial is on the disk before MAC1 leaves; the keys are textbook's."""
    tally = TallyFile.create(folder / "tally", SamTally(TERMINAL))
    sam = SoftwareSam(SamKeys(TERMINAL, KEY_INDEX, SAM_KEYS), tally)
    exits.callback(sam.close)
    return TimedSam(sam, watch)


def slot_sam(folder: Path, watch: Watch, exits: ExitStack) -> Sam:
    """A SAM in the second slot. Raises BenchFailed, ReaderFault, SamFault."""
    exits.enter_context(plugged("slot_sam", SAM_SLOT, folder, 2 * OVERTIME_SECONDS))
    reader = exits.enter_context(closing(PcscReader(SLOT_NAMES[SAM_SLOT])))
    channel = reader.wait_for_card(CARD_SECONDS)
    if channel is None:
        raise BenchFailed("the SAM's slot is empty")
    exits.callback(channel.close)
    return PcscSam(TimedChannel(channel, watch, SAM), sends_issuer=True)
