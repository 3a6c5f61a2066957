"""The reader bridge offline, as a bus has it: pcscd, cards and a SAM in processes of their own.

A tap is timed from the card's presence at the reader to the green light, which comes when the sale
is on the disk; it is the joined terminal's tap, but for the compound purchase, which the kernel is
asked for. What is neither card, SAM nor transport is the bridge's own share.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from card_protocol.deny_list import DenyList
from tools.bench import RESULTS
from tools.benches import command
from tools.benches.disk import require_on_disk
from tools.benches.errors import BenchFailed
from tools.benches.reader_decide import KNOWN, LOOK_UP, NEW, decision_subjects
from tools.benches.reader_rides import ride_subject
from tools.benches.reader_subjects import PARTS, TapSubject, slot_sam, software_sam
from tools.benches.reader_tap import MetroTaps
from tools.benches.reader_world import make_deny_list
from tools.benches.report import Report, Row, busy_share, publish
from tools.benches.rounds import Round, interleave, median_p99_ms, run_once
from tools.chaos.errors import ChaosFailed
from tools.chaos.till import KILLS, kill_tills
from tools.pcscd import PcscdUnavailable, ensure_running

NAME: Final = "bench-reader"
TAP_SECONDS_MORE: Final = 1.6  # a p95 of few taps is nearly their worst
TAP_SECONDS_MAX: Final = 30.0  # the purse of a round holds 25 000 fares
DECISION_SHARE: Final = 0.4  # of a round's seconds: decisions are many in a moment
RIDERS, RIDERS_LONG = 60, 300
KILLS_QUICK: Final = 20
MOBILE, PURSE = "offline tap", "purse, software SAM"
SOFTWARE, SLOT = "capp, software SAM", "capp, SAM in a slot"
NOTES: Final[Mapping[str, str]] = {
    MOBILE: "mobile card: directory, card, cryptogram, certificate, decision, journal; whole",
    PURSE: "e-purse: read, decision, plain purchase, journal twice; whole",
    SOFTWARE: "e-purse: read, decision, compound purchase of two records, journal twice; whole",
    SLOT: "the same, its SAM in the second slot",
    LOOK_UP: "one number, half of them on the list",
    KNOWN: "one signature, look-up, limits",
    NEW: "the same and the certificate's signature",
}
RIDE_NOTE = "picture of 640x480 with noise to the gate's decision, rider new"
TILL_NOTE = "sales of a till killed with -9 again and again, its network cut and doubled"
_PART_NOTES: Final[Mapping[str, str]] = {
    "presence": "pcscd tells of the card, powers and connects it",
    "card": "inside transmit",
    "SAM": "inside transmit, or inside the SAM in software",
    "bridge": "all the rest, the journal's disk in it",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """What all parts stand on. `folder` is on the disk under var/bench and gone at the end."""

    form: command.Form
    folder: Path
    deny_list: DenyList


@dataclass(frozen=True, slots=True)
class Part:
    """What one measurement found: rows for the table, figures for the last line."""

    rows: tuple[Row, ...]
    figures: Mapping[str, float]


def measure_taps(stage: Stage) -> Part:
    """The kinds in turn. Raises BenchFailed, also where there is no pcscd."""
    form, lists, folder = stage.form, stage.deny_list, stage.folder
    subjects = [
        TapSubject(MOBILE, "mobile_card", lists, folder),
        TapSubject(PURSE, "purse", lists, folder, software_sam),
        TapSubject(SOFTWARE, "purse", lists, folder, software_sam, MetroTaps()),
        TapSubject(SLOT, "purse", lists, folder, slot_sam, MetroTaps()),
    ]
    seconds = min(form.seconds * TAP_SECONDS_MORE, TAP_SECONDS_MAX)
    seen: dict[str, list[Round]] = {one.name: [] for one in subjects}
    try:
        with ensure_running():
            for one in subjects * form.rounds:
                seen[one.name].append(run_once(one, seconds, form.tell_round))
    except PcscdUnavailable as reason:
        raise BenchFailed(str(reason)) from None
    rows = [row for one in subjects for row in _tap_rows(one, seen[one.name])]
    bridge = dict(PARTS)["bridge"]
    figures = {
        "offline_tap_p95_ms": median_p95_ms(seen[MOBILE]),
        "capp_p95_ms": slowest_p95_ms([seen[SOFTWARE], seen[SLOT]]),
        "bridge_share_p95_ms": slowest_p95_ms([one.part_rounds(bridge) for one in subjects]),
    }
    return Part(tuple(rows), figures)


def _tap_rows(subject: TapSubject, seen: Sequence[Round]) -> list[Row]:
    rows = [Row(subject.name, seen, NOTES[subject.name])]
    for name, part in PARTS:
        if name != "SAM" or subject.open_sam is not None:
            label = f"  {name}, {subject.name}"
            rows.append(Row(label, subject.part_rounds(part), _PART_NOTES[name]))
    return rows


def measure_decisions(stage: Stage) -> Part:
    form = stage.form
    subjects = decision_subjects(stage.deny_list, int(time.time()))
    seen = interleave(subjects, form.seconds * DECISION_SHARE, form.rounds, form.tell_round)
    rows = tuple(Row(one.name, seen[one.name], NOTES[one.name]) for one in subjects)
    return Part(rows, {"deny_p99_ms": max(median_p99_ms(seen[name]) for name in (KNOWN, NEW))})


def measure_rides(stage: Stage) -> Part:
    form = stage.form
    riders = RIDERS_LONG if form.is_long else RIDERS
    subject = ride_subject(stage.deny_list, int(time.time()), riders, stage.folder)
    seen = [run_once(subject, form.seconds, form.tell_round) for _ in range(form.rounds)]
    return Part((Row(subject.name, seen, RIDE_NOTE),), {"ride_code_p95_ms": median_p95_ms(seen)})


def measure_kills(stage: Stage) -> Part:
    """Raises BenchFailed when a till does not come back; what it lost is in the figure."""
    form, kills = stage.form, KILLS if stage.form.is_long else KILLS_QUICK
    seed = time.time_ns() % (1 << 31)
    form.tell(f"  {kills} kills, seed {seed}")
    try:
        with tempfile.TemporaryDirectory(prefix="till-", dir=stage.folder) as place:
            result = kill_tills(Path(place), seed, kills)
    except ChaosFailed as failure:
        raise BenchFailed(f"tills, seed {seed}: {failure}") from None
    for sentence in result.wrong:
        form.tell(f"  seed {seed}: {sentence}")
    row = Row(f"{kills} kills", [Round(result.sales, result.sales, result.seconds)], TILL_NOTE)
    return Part((row,), {"lost_or_doubled": float(len(result.wrong))})


# In the order of the last line.
MEASURED: tuple[Callable[[Stage], Part], ...] = (
    measure_taps,
    measure_decisions,
    measure_rides,
    measure_kills,
)


def median_p95_ms(rounds: Sequence[Round]) -> float:
    """The middle round's p95. Raises BenchFailed when a round timed nothing."""
    seen = [one.times.p95_ms for one in rounds if one.times is not None]
    known = [one for one in seen if one is not None]
    if len(known) != len(rounds) or not known:
        raise BenchFailed("a round without durations has no p95")
    return median(known)


def slowest_p95_ms(kinds: Sequence[Sequence[Round]]) -> float:
    """Of several kinds the slower one's: a fast kind does not hide a slow one."""
    return max(median_p95_ms(rounds) for rounds in kinds)


def bench(form: command.Form) -> None:
    """Raises BenchFailed, also after the report when a sale was lost or doubled."""
    began, busy = time.monotonic(), busy_share()
    RESULTS.mkdir(parents=True, exist_ok=True)
    require_on_disk(RESULTS, "put the repository on a disk")
    with tempfile.TemporaryDirectory(prefix="city-reader-bench-", dir=RESULTS) as place:
        folder = Path(place)
        stage = Stage(form, folder, make_deny_list(folder, int(time.time())))
        form.tell(f"deny list made in {time.monotonic() - began:.1f} s")
        parts = [measure(stage) for measure in MEASURED]
    figures = {name: value for part in parts for name, value in part.figures.items()}
    publish(
        Report(
            bench=NAME,
            form=form.name,
            rows=[row for part in parts for row in part.rows],
            ratios=figures,
            versions={},
            seconds=time.monotonic() - began,
            busy_before=busy,
        )
    )
    if figures["lost_or_doubled"]:
        raise BenchFailed("a sale was lost or doubled")


if __name__ == "__main__":
    raise SystemExit(command.run("tools.benches.reader", __doc__, bench))
