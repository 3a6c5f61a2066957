"""Terminals of one city with fares of their own: buses, gates, barriers, docks; each with a SAM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from card_protocol.epurse.files import (
    SFI_JOURNEYS,
    SFI_MANAGEMENT,
    JourneyRecord,
)
from card_protocol.epurse.sam import SamTally
from card_protocol.fares import Fare
from card_protocol.mode_rules import ModeRules
from card_protocol.place import Direction, TerminalPlace
from card_protocol.terminal_profile import Mode
from hce.applets.epurse.purse_files import BinaryFile
from reader_bridge.sam.port import Sam
from reader_bridge.sam.sealed import SamKeys
from reader_bridge.sam.software import SoftwareSam
from tests.hce.epurse_bench import MANAGEMENT, SELECT, purse
from tests.reader_bridge.acceptance.world import (
    MANY,
    OfflineBackend,
    PurseCard,
    Stall,
    Transmit,
    open_stall,
)
from tests.reader_bridge.conftest import TestTime
from tests.reader_bridge.modes.world import ACQUIRER, CITY, OPERATOR
from tests.reader_bridge.sam.examples import KEYS, MemoryTally
from tests.reader_bridge.support import CardKit

LONG = replace(MANY, valid_seconds=172_800, deny_list_age_max_seconds=172_800)
IN, OUT = Direction.IN, Direction.OUT


def sam_of(number: int) -> Sam:
    terminal = bytes.fromhex("3310000000") + bytes((number,))
    return SoftwareSam(SamKeys(terminal, 1, KEYS), MemoryTally(SamTally(terminal)))


@dataclass
class Streets:
    """Where terminals are put up; `wait` is everybody's clock."""

    kit: CardKit
    folder: Path
    time: TestTime
    stack: ExitStack
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 250)))

    def stand(
        self, mode: Mode, fare: Fare | None, rules: ModeRules | None = None, **place: Any
    ) -> Stall:
        """Opened and told everything; each has a backend, a folder and a SAM of its own."""
        number = next(self.numbers)
        terms = replace(LONG, mode=mode, fare=fare, rules=rules or ModeRules())
        backend = self.stack.enter_context(OfflineBackend(self.kit, terms))
        backend.place = TerminalPlace(
            **{"city": CITY, "operator": OPERATOR, "acquirer": ACQUIRER, "line": b"\0\1"} | place
        ).to_document()
        stall = open_stall(self.folder / f"{number}", backend, self.time, sam_of(number))
        self.stack.enter_context(stall.terminal)
        return stall


@contextmanager
def streets_of(kit: CardKit, folder: Path, time: TestTime) -> Iterator[Streets]:
    folder.mkdir()
    with ExitStack() as stack:
        yield Streets(kit, folder, time, stack)


def typed_purse(card_type: int) -> PurseCard:
    """A card with a concession's type in file 17."""
    file = BinaryFile(SFI_MANAGEMENT, replace(MANAGEMENT, card_type=card_type).encode())
    return PurseCard(purse().with_file(file))


def journeys(card: PurseCard) -> list[tuple[int, int]]:
    """(kind, fen) of each, newest first."""
    transmit = card.shown()
    transmit(SELECT)
    found = []
    for number in range(1, 31):
        body = transmit(bytes((0x00, 0xB2, number, SFI_JOURNEYS << 3 | 4, 0x00)))[:-2]
        if not any(body):
            break
        record = JourneyRecord.decode(body)
        found.append((record.kind, record.amount_fen))
    return found


def counted(transmit: Transmit) -> tuple[list[bytes], Transmit]:
    """The commands that a card hears, and the card."""
    heard: list[bytes] = []

    def listening(command: bytes) -> bytes:
        heard.append(command)
        return transmit(command)

    return heard, listening
