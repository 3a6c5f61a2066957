"""`python -m tools.chaos.till [--kills N] [--seed N]`: a till is killed again and again, with -9.

Sales go on all the time, tapped and from purses; the network loses, cuts and doubles, and for
moments or seconds it is not there at all. At the end everything is uploaded, and what the customers
saw is compared with what the backend charged. The last line: `lost_or_doubled=… kills=… sales=…`.
A seed says how the weather is and how many sales come before each kill; which instruction a kill
meets is the machine's affair.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from reader_bridge.journal import GENESIS, Journal, next_chain
from tools.chaos.dice import dice_for
from tools.chaos.errors import ChaosFailed
from tools.chaos.till_backend import Book, TillBackend
from tools.chaos.till_child import Orders, amount_fen_of, is_purse

ROOT = Path(__file__).resolve().parent.parent.parent
KILLS = 500
SEEDS = 1 << 31
LINES_BETWEEN = (0, 40)
LATE_SECONDS_MAX = (0.004, 0.004, 0.08)  # a third of the tills live long enough to upload
LINE_SECONDS_MAX = 30.0
DRAIN_SECONDS_MAX = 120.0
LINKS_MAX = 10_000_000


@dataclass(slots=True)
class Seen:
    """What stood beside the till: cards, lights, and nothing that was inside it."""

    tried: set[int] = field(default_factory=set)
    debited: set[int] = field(default_factory=set)
    green: dict[int, set[str]] = field(default_factory=dict)  # reference -> payment ids

    def note(self, line: str) -> None:
        word, *rest = line.split()
        if word == "T":
            self.tried.add(int(rest[0]))
        elif word == "D":
            self.debited.add(int(rest[0]))
        elif word == "A":
            self.green.setdefault(int(rest[0]), set()).add(rest[1])

    def orders(self, *, is_last: bool) -> Orders:
        again = sorted(self.tried - self.green.keys())
        return Orders(again, sorted(self.debited), max(self.tried, default=-1) + 1, is_last)


@dataclass(frozen=True, slots=True)
class TillResult:
    """The figures of one run. `wrong` names every promise that was broken."""

    kills: int
    sales: int
    uploads: int
    lost_answers: int
    outages: int  # connections were refused meanwhile
    seconds: float
    wrong: tuple[str, ...]

    def line(self) -> str:
        return (
            f"lost_or_doubled={len(self.wrong)} kills={self.kills} sales={self.sales}"
            f" uploads={self.uploads} lost_on_the_way={self.lost_answers}"
            f" outages={self.outages}"
            f" seconds={self.seconds:.0f}"
        )


class Nursery:
    """The process that forks tills; the parent speaks to it by lines."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process, self._rest = process, b""

    def begin(self, orders: Orders) -> int:
        """The process id of a new till."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(orders)).encode() + b"\n")
        self._process.stdin.flush()
        line = self.line(LINE_SECONDS_MAX)
        if not line.startswith("P "):
            raise ChaosFailed(f"no till was born: {line}")
        return int(line.split()[1])

    def line(self, seconds: float) -> str:
        """Raises ChaosFailed when none comes in time."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise ChaosFailed("the till says nothing any more")
            part = os.read(self._process.stdout.fileno(), 65_536)
            if not part:
                raise ChaosFailed("the nursery ended")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()


def kill_tills(folder: Path, seed: int, kills: int) -> TillResult:
    """Raises ChaosFailed when a till does not come back; broken promises are in the result."""
    dice, seen, started = dice_for(seed, "kills"), Seen(), time.monotonic()
    with TillBackend(seed) as backend, nursery(folder, backend.url) as tills:
        for _ in range(kills):
            _one_life(tills, seen, dice)
        with backend.lock:
            backend.book.is_calm = True
        _last_life(tills, seen)
    wrong = (*_against_backend(seen, backend.book), *_against_journal(folder, backend.book))
    return TillResult(
        kills=kills,
        sales=len(seen.green),
        uploads=backend.book.uploads,
        lost_answers=backend.book.lost,
        outages=backend.book.outages,
        seconds=time.monotonic() - started,
        wrong=wrong,
    )


@contextmanager
def nursery(folder: Path, url: str) -> Iterator[Nursery]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.chaos.till_child", str(folder), url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield Nursery(process)
    finally:
        process.kill()
        process.communicate()


def _one_life(tills: Nursery, seen: Seen, dice: random.Random) -> None:
    """So many lines, a moment more, and the end; what it still said counts."""
    pid = tills.begin(seen.orders(is_last=False))
    for _ in range(dice.randint(*LINES_BETWEEN)):
        seen.note(tills.line(LINE_SECONDS_MAX))
    time.sleep(dice.uniform(0, dice.choice(LATE_SECONDS_MAX)))
    os.kill(pid, signal.SIGKILL)
    while not (line := tills.line(LINE_SECONDS_MAX)).startswith("E "):
        seen.note(line)
    if line != f"E {-signal.SIGKILL}":
        raise ChaosFailed(f"a till ended by itself: {line}")


def _last_life(tills: Nursery, seen: Seen) -> None:
    tills.begin(seen.orders(is_last=True))
    while not (line := tills.line(DRAIN_SECONDS_MAX)).startswith("E "):
        seen.note(line)
    if line != "E 0":
        raise ChaosFailed(f"the last till ended badly: {line}")


def _against_backend(seen: Seen, book: Book) -> Iterator[str]:
    charged: dict[int, list[str]] = {}
    for payment_id, charge in book.charges.items():
        charged.setdefault(int(charge.reference), []).append(payment_id)
        if charge.amount_fen != amount_fen_of(int(charge.reference)):
            yield f"{payment_id}: charged {charge.amount_fen} fen"
    for number, payment_ids in seen.green.items():
        if sorted(payment_ids) != charged.get(number, []):
            yield f"sale {number}: green for {payment_ids}, charged {charged.get(number)}"
    for number in charged.keys() - seen.green.keys():
        yield f"sale {number}: charged, and the light was never green"
    for number in {n for n in charged if is_purse(n)} ^ seen.debited:
        yield f"purse sale {number}: chip and backend do not agree"
    for payment_id in book.changed:
        yield f"{payment_id}: uploaded again with other facts"
    counters = [charge.terminal_counter for charge in book.charges.values()]
    if len(set(counters)) != len(counters):
        yield "a terminal counter was used twice"


def _against_journal(folder: Path, book: Book) -> Iterator[str]:
    with closing(Journal(folder / "journal.sqlite")) as journal:
        if journal.to_upload(1) or journal.torn() or journal.aside():
            yield "the journal still waits for something"
        chain = GENESIS  # of a run of minutes nothing was forgotten
        for number, entry in enumerate(journal.links(LINKS_MAX), start=1):
            chain = next_chain(chain, entry.body)
            if (entry.link, entry.chain) != (number, chain):
                yield f"the chain is broken at link {number}"
            charge = book.charges.get(entry.draft.entry_id)
            if charge is None or charge.chain != chain.hex():
                yield f"{entry.draft.entry_id}: journal and backend know another chain"


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 1 with what went wrong and how to run it again."""
    parser = argparse.ArgumentParser(prog="python -m tools.chaos.till", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=None)
    chosen = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(SEEDS) if chosen.seed is None else chosen.seed
    print(f"seed={seed}", flush=True)
    try:
        with tempfile.TemporaryDirectory(prefix="city-till-") as folder:
            result = kill_tills(Path(folder), seed, chosen.kills)
    except ChaosFailed as failure:
        print(f"chaos=failed seed={seed}: {failure}", flush=True)
        return 1
    for sentence in result.wrong:
        print(sentence)
    print(result.line())
    return 1 if result.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
