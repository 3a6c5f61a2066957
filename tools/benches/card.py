"""What a card in software costs at a real reader: pcscd, the virtual reader, a process a card.

`apdu_overhead_p99_ms`: p99 of a command to the mobile card less p99 of the same command to a card
that only says 9000 in the same reader. The counter is in memory there; what the disk adds to the
one command that counts has rows of its own. `purse_purchase_p95_ms`: a whole purchase with the
e-purse. `purse_aging`: time per transaction at the end of 10^5 over that at their beginning.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from tools.benches import command
from tools.benches.card_purse import PurseTerminal, age
from tools.benches.card_subjects import CardSubject, tap
from tools.benches.errors import BenchFailed
from tools.benches.report import Report, Row, busy_share, publish
from tools.benches.rounds import interleave, median_p99_ms, run_once
from tools.pcscd import PcscdUnavailable, ensure_running

NAME: Final = "bench-card"
ROUNDS_MORE: Final = 2  # a p99 wants more rounds than a median does
YES_NOTE = "a card that only says 9000"
TAP_NOTE = "directory, card, cryptogram, certificate; counter in memory; per command"
PURCHASE_NOTE = "SELECT, INITIALIZE, DEBIT, PROVE; on the disk before each answer; whole"
AGED_TRANSACTIONS, AGED_WINDOW = 100_000, 2_000
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a purse with textbook keys, gone at the end
DISK_NOTE = "the same, its counter on the disk before the answer"


@dataclass(frozen=True, slots=True)
class Part:
    """What one measurement found: rows for the table, figures for the last line."""

    rows: tuple[Row, ...]
    figures: Mapping[str, float]


def measure_overhead(form: command.Form) -> Part:
    yes = CardSubject("9000 only", "yes", tap)
    mobile = CardSubject("mobile card", "mobile_card", tap)
    disk = CardSubject("mobile card on disk", "mobile_card_on_disk", tap)
    rounds = form.rounds * ROUNDS_MORE
    seen = interleave([yes, mobile], form.seconds, rounds, form.tell_round)
    seen |= {disk.name: [run_once(disk, form.seconds, form.tell_round)]}
    notes = ((yes, YES_NOTE), (mobile, TAP_NOTE), (disk, DISK_NOTE))
    rows = [Row(one.name, seen[one.name], note) for one, note in notes]
    rows[2:2] = [Row(f"  {name}", one, "") for name, one in mobile.by_command.items()]
    rows += [Row(f"  {name}", one, "") for name, one in disk.by_command.items()]
    overhead_ms = median_p99_ms(seen[mobile.name]) - median_p99_ms(seen[yes.name])
    return Part(tuple(rows), {"apdu_overhead_p99_ms": overhead_ms})


def measure_purchase(form: command.Form) -> Part:
    purse = CardSubject("purse purchase", "purse", PurseTerminal.fresh().purchase, is_whole=True)
    seen = [run_once(purse, form.seconds, form.tell_round) for _ in range(form.rounds)]
    p95_ms = median(one.times.p95_ms or 0.0 for one in seen if one.times is not None)
    rows = [Row(purse.name, seen, PURCHASE_NOTE)]
    rows += [Row(f"  {name}", one, "") for name, one in purse.by_command.items()]
    return Part(tuple(rows), {"purse_purchase_p95_ms": p95_ms})


def measure_ageing(form: command.Form) -> Part:
    # shorter rounds than the quick form's are a try-out, and so is this then
    transactions = min(AGED_TRANSACTIONS, int(form.seconds * AGED_TRANSACTIONS))
    form.tell(f"  purse: {transactions} transactions")
    with tempfile.TemporaryDirectory(prefix="city-purse-", dir=_folder(form)) as folder:
        ratio = age(Path(folder), transactions, min(AGED_WINDOW, transactions // 4))
    return Part((), {"purse_aging": ratio})


def _folder(form: command.Form) -> str | None:
    """The quick form keeps the purse in memory, the long one on the disk: 2 ms a transaction."""
    return None if form.is_long or not MEMORY.is_dir() else str(MEMORY)


# In the order of the last line.
PARTS: tuple[Callable[[command.Form], Part], ...] = (
    measure_overhead,
    measure_purchase,
    measure_ageing,
)


def bench(form: command.Form) -> None:
    """Raises BenchFailed."""
    began, busy = time.monotonic(), busy_share()
    try:
        with ensure_running():
            parts = [part(form) for part in PARTS]
    except PcscdUnavailable as reason:
        raise BenchFailed(str(reason)) from None
    publish(
        Report(
            bench=NAME,
            form=form.name,
            rows=[row for part in parts for row in part.rows],
            ratios={name: value for part in parts for name, value in part.figures.items()},
            versions={},
            seconds=time.monotonic() - began,
            busy_before=busy,
        )
    )


if __name__ == "__main__":
    raise SystemExit(command.run("tools.benches.card", __doc__, bench))
