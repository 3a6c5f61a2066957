"""What a card bench repeats at a reader, and how each command and each whole dialogue is timed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from card_protocol.commands import GetProcessingOptions, ReadRecord, Select
from card_protocol.mobile_card import (
    CERTIFICATE_RECORD,
    CERTIFICATE_SFI,
    MOBILE_CARD_AID,
    PPSE_NAME,
    TransactionData,
    TransactionType,
)
from reader_bridge import ReaderFault
from reader_bridge.readers.pcsc import PcscReader
from tools.bench import ROOT
from tools.benches.errors import BenchFailed
from tools.benches.rounds import Round, ranked
from tools.story.reader import CARD_SECONDS, READER_NAME

STOP_SECONDS: Final = 10.0
OVERTIME_SECONDS: Final = 60.0  # for coming in, warming up and leaving
WARM_UP_DIALOGUES: Final = 10
DONE: Final = b"\x90\x00"
Transmit = Callable[[bytes], bytes]
Dialogue = Callable[[Transmit], None]  # one after the other; raises BenchFailed for a wrong answer

TRANSACTION: Final = TransactionData(
    amount_fen=200,
    date=bytes.fromhex("251123"),
    time=bytes.fromhex("080000"),
    transaction_type=TransactionType.PURCHASE,
    unpredictable_number=bytes.fromhex("01020304"),
    terminal_number="BENCH001",
    merchant_number="BENCH0000000001",
)
TAP: Final[Mapping[str, bytes]] = {
    "SELECT directory": Select(PPSE_NAME).to_apdu().encode(),
    "SELECT card": Select(MOBILE_CARD_AID).to_apdu().encode(),
    "GET PROCESSING OPTIONS": GetProcessingOptions(TRANSACTION.encode()).to_apdu().encode(),
    "READ RECORD": ReadRecord(CERTIFICATE_SFI, CERTIFICATE_RECORD).to_apdu().encode(),
}


def tap(transmit: Transmit) -> None:
    """Directory, card, cryptogram, certificate: each has to be done."""
    for name, command in TAP.items():
        if transmit(command)[-2:] != DONE:
            raise BenchFailed(f"{name}: not 9000")


@dataclass(slots=True)
class Clocked:
    """A channel that keeps how long each command took, by its name."""

    transmit_untimed: Transmit
    clock_ns: Callable[[], int] = time.perf_counter_ns
    spent_ns: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def transmit(self, command: bytes) -> bytes:
        began = self.clock_ns()
        answer = self.transmit_untimed(command)
        self.spent_ns[_name(command)].append(self.clock_ns() - began)
        return answer


def _name(command: bytes) -> str:
    """SELECT is told apart by whom it asks for, everything else by its header."""
    for name, known in TAP.items():
        if command == known:
            return name
    return command[:2].hex().upper()


@dataclass(slots=True)
class CardSubject:
    """A dialogue with a card in the virtual reader, over and over.

    `is_whole`: a round's durations are of whole dialogues, else of single commands. Each round
    begins with a fresh card, put in by a process of its own.
    """

    name: str
    kind: str  # of card: a key of `card_process.CARDS`
    dialogue: Dialogue
    is_whole: bool = False
    by_command: dict[str, list[Round]] = field(default_factory=lambda: defaultdict(list))

    def run(self, seconds: float) -> Round:
        with _card_in(self.kind, seconds + OVERTIME_SECONDS), _channel() as transmit:
            return self.repeat(transmit, seconds)

    def repeat(
        self,
        transmit: Transmit,
        seconds: float,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> Round:
        """Plays the dialogue until time is over. Raises BenchFailed."""
        for _ in range(WARM_UP_DIALOGUES):
            self.dialogue(transmit)
        clocked, whole_ns = Clocked(transmit, clock_ns), list[int]()
        began = clock_ns()
        ends = began + int(seconds * 1e9)
        while (now := clock_ns()) < ends:
            self.dialogue(clocked.transmit)
            whole_ns.append(clock_ns() - now)
        spent = (clock_ns() - began) / 1e9
        for name, spent_ns in clocked.spent_ns.items():
            self.by_command[name].append(_round(spent_ns, spent))
        single_ns = [one for spent_ns in clocked.spent_ns.values() for one in spent_ns]
        return _round(whole_ns if self.is_whole else single_ns, spent)


def _round(spent_ns: Sequence[int], seconds: float) -> Round:
    return Round(len(spent_ns), len(spent_ns), seconds, times=ranked(spent_ns))


@contextmanager
def _channel() -> Iterator[Transmit]:
    """The card in the virtual reader, as the terminal holds it. Raises BenchFailed."""
    reader = PcscReader(READER_NAME)
    try:
        channel = reader.wait_for_card(CARD_SECONDS)
        if channel is None:
            raise BenchFailed("the virtual reader shows no card")
        try:
            yield channel.transmit
        finally:
            channel.close()
    except ReaderFault as fault:
        raise BenchFailed(f"the card left: {fault.code}") from None
    finally:
        reader.close()


@contextmanager
def _card_in(kind: str, seconds_max: float) -> Iterator[None]:
    """Raises BenchFailed when the card does not come into the reader.

    After `seconds_max` the card is killed: nothing that waits for its answer waits for ever.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.benches.card_process", kind],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    killer = threading.Timer(seconds_max, process.kill)
    killer.start()
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "in":
            raise BenchFailed(
                f"the card did not come into the reader: {process.wait(STOP_SECONDS)}"
            )
        yield
    finally:
        killer.cancel()
        try:
            process.communicate("", timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def ageing(
    transaction: Callable[[int], object],
    transactions: int,
    window: int,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
) -> float:
    """Time per transaction of the last `window` of them over that of the first: medians.

    Raises ValueError when the two windows overlap.
    """
    if not 0 < 2 * window <= transactions:
        raise ValueError("two windows fit into all transactions")
    spent_ns: list[int] = []
    for number in range(transactions):
        began = clock_ns()
        transaction(number)
        spent_ns.append(clock_ns() - began)
    return median(spent_ns[-window:]) / median(spent_ns[:window])
