"""bench-reader: where a tap's time is said to go, what ends the bench, and a short run."""

from __future__ import annotations

import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from card_protocol.deny_list import DenyList
from card_protocol.mobile_card import CERTIFICATE_RECORD, CERTIFICATE_SFI, Certificate
from hce.card import Card
from reader_bridge.journal import Entry, Journal
from reader_bridge.readers.loopback import LoopbackReader
from reader_bridge.sam.pcsc import PcscSam
from reader_bridge.sam.port import Sam
from tools.benches import command, disk, reader
from tools.benches.errors import BenchFailed
from tools.benches.reader_process import CARDS
from tools.benches.reader_subjects import PARTS, SamOpener, TapSubject, software_sam
from tools.benches.reader_tap import MetroTaps, Tapping, Till, tap_once
from tools.benches.reader_watch import (
    CARD,
    SAM,
    Split,
    TimedChannel,
    TimedReader,
    Watch,
)
from tools.benches.reader_world import FARE_FEN, make_deny_list, make_profile
from tools.benches.report import Report
from tools.benches.rounds import Round, Times, run_once
from tools.chaos.errors import ChaosFailed
from tools.chaos.till import TillResult
from tools.pcscd import Daemon

ROOT = Path(__file__).resolve().parents[2]
NOW = int(time.time())
DENIED = 1_000


@pytest.fixture(scope="module")
def deny_list(tmp_path_factory: pytest.TempPathFactory) -> DenyList:
    return make_deny_list(tmp_path_factory.mktemp("list"), NOW, DENIED)


@pytest.fixture
def exits() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Hands:
    """A clock that only moves when told."""

    def __init__(self) -> None:
        self.now_ns = 100

    def clock_ns(self) -> int:
        return self.now_ns

    def takes(self, spent_ns: int, answer: bytes = b"\x90\x00") -> Callable[[bytes], bytes]:
        def act(command: bytes) -> bytes:
            self.now_ns += spent_ns
            return answer

        return act


def test_a_taps_time_is_shared_out_and_ends_with_the_green_light() -> None:
    hands = Hands()
    watch = Watch(hands.clock_ns)
    card = TimedReader(LoopbackReader(hands.takes(30)), watch)
    slot = LoopbackReader(hands.takes(7)).wait_for_card(0)
    assert slot is not None
    for _ in range(2):  # the second tap begins at nought
        watch.start()
        watch.timed("presence", lambda: hands.takes(1_000)(b""))
        channel = card.wait_for_card(0)
        assert channel is not None
        channel.transmit(b"")
        hands.takes(200)(b"")  # our own code
        channel.transmit(b"")
        TimedChannel(slot, watch, SAM).transmit(b"")
        watch.stop()
        channel.transmit(b"")
        hands.takes(9_999)(b"")
        assert watch.split() == Split(whole_ns=1_267, presence_ns=1_000, card_ns=60, sam_ns=7)
        assert watch.split().bridge_ns == 200


def test_a_tap_has_one_green_light() -> None:
    watch = Watch(Hands().clock_ns)
    watch.start()
    with pytest.raises(BenchFailed, match="without a green light"):
        watch.split()
    watch.stop()
    with pytest.raises(BenchFailed, match="two green lights"):
        watch.stop()


def test_a_card_that_leaves_was_timed_until_then() -> None:
    hands = Hands()

    def leaves(command: bytes) -> bytes:
        hands.takes(40)(command)
        raise ConnectionError

    watch = Watch(hands.clock_ns)
    watch.start()
    with pytest.raises(ConnectionError):
        watch.timed(CARD, lambda: leaves(b""))
    watch.stop()
    assert watch.split().card_ns == 40


def rounds_of(*p95_ms: float | None) -> list[Round]:
    return [
        Round(1, 1, 1.0, times=None if one is None else Times(one / 2, p95_ms=one))
        for one in p95_ms
    ]


def test_a_figure_is_the_middle_round_of_the_slower_kind() -> None:
    assert reader.median_p95_ms(rounds_of(9.0, 1.0, 2.0)) == 2.0
    kinds = [rounds_of(1.0, 1.0, 50.0), rounds_of(4.0, 3.0, 2.0)]
    assert reader.slowest_p95_ms(kinds) == 3.0
    for nothing in (rounds_of(), rounds_of(1.0, None)):
        with pytest.raises(BenchFailed, match="no p95"):
            reader.median_p95_ms(nothing)


class Counter:
    """A terminal of the bench without pcscd: cards in this process."""

    def __init__(self, kind: str, deny_list: DenyList, folder: Path, exits: ExitStack) -> None:
        self.card, point = CARDS[kind](folder)
        self.card.power_on()
        self.reader = LoopbackReader(self.card.transmit)
        self.watch = Watch()
        self.subject = TapSubject(kind, kind, deny_list, folder)
        self.journal = exits.enter_context(closing(Journal(folder / "journal.sqlite")))
        self.till = Till(self.journal, make_profile(NOW, point), deny_list)

    def run(self, till: Till, seconds: float) -> Round:
        return self.subject.repeat(till, self.reader, self.watch, seconds)


def slot_sam(folder: Path, watch: Watch, exits: ExitStack) -> Sam:
    """As `reader_subjects.slot_sam`, without a slot."""
    card, _ = CARDS["slot_sam"](folder)
    card.power_on()
    channel = LoopbackReader(card.transmit).wait_for_card(0)
    assert channel is not None
    exits.callback(channel.close)
    return PcscSam(TimedChannel(channel, watch, SAM), sends_issuer=True)


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("mobile_card", (None, tap_once)),
        ("purse", (software_sam, tap_once)),
        ("purse", (software_sam, MetroTaps())),
        ("purse", (slot_sam, MetroTaps())),
    ],
    ids=["mobile", "bus", "software", "slot"],
)
def test_every_tap_is_in_the_journal_and_shared_out_whole(
    kind: str,
    way: tuple[SamOpener | None, Tapping],
    deny_list: DenyList,
    tmp_path: Path,
    exits: ExitStack,
) -> None:
    counter = Counter(kind, deny_list, tmp_path, exits)
    open_sam, counter.subject.tap = way
    sam = open_sam(tmp_path, counter.watch, exits) if open_sam else None
    seen = counter.run(replace(counter.till, sam=sam), 0.05)
    assert seen.acknowledged == seen.found > 0
    links = counter.journal.links(10_000)
    is_metro = isinstance(way[1], MetroTaps)
    assert {entry.draft.amount_fen for entry in links} <= {FARE_FEN, 0 if is_metro else FARE_FEN}
    assert {entry.draft.method for entry in links} == {"purse" if sam else "tap"}
    assert not counter.journal.torn()
    (splits,) = counter.subject.splits
    assert len(splits) == seen.acknowledged
    for split in splits:
        parts = {name: part(split) for name, part in PARTS}
        assert sum(parts.values()) == split.whole_ns
        assert min(split.presence_ns, split.card_ns, split.bridge_ns) > 0
        assert (parts["SAM"] > 0) is (sam is not None)
    for _, part in PARTS:
        (one,) = counter.subject.part_rounds(part)
        assert one.acknowledged == seen.acknowledged
        assert one.times is not None


@pytest.mark.parametrize(("tap", "fares"), [(tap_once, (1, 2, 3)), (MetroTaps(), (0, 1, 1))])
def test_a_purse_pays_each_fare_once(
    tap: Tapping, fares: tuple[int, ...], deny_list: DenyList, tmp_path: Path, exits: ExitStack
) -> None:
    """Goal: a bus takes a fare at each tap, a metro on the way out."""
    counter = Counter("purse", deny_list, tmp_path, exits)
    till = replace(counter.till, sam=software_sam(tmp_path, counter.watch, exits))
    before_fen = balance_fen(counter.card)
    greens: list[int] = []
    for number, count in enumerate(fares, start=1):
        tap(till, counter.reader, lambda: greens.append(len(counter.journal.links(10))))
        assert greens == list(range(1, number + 1))  # the light comes after the journal
        assert balance_fen(counter.card) == before_fen - count * FARE_FEN


def balance_fen(card: Card) -> int:
    assert card.transmit(bytes.fromhex("00A4040008A00000063201010500"))[-2:] == b"\x90\x00"
    answer = card.transmit(bytes.fromhex("805C030204"))
    assert answer[-2:] == b"\x90\x00"
    return int.from_bytes(answer[:4])


class Forgetful(Journal):
    """Loses its first accepted sale."""

    def links(self, limit: int, after_link: int = 0) -> tuple[Entry, ...]:
        return super().links(limit, after_link)[1:]


def test_a_lost_sale_ends_the_bench(deny_list: DenyList, tmp_path: Path, exits: ExitStack) -> None:
    counter = Counter("mobile_card", deny_list, tmp_path, exits)
    journal = exits.enter_context(closing(Forgetful(tmp_path / "other.sqlite")))

    class Once:
        name = "forgetful"

        def run(self, seconds: float) -> Round:
            return counter.run(replace(counter.till, journal=journal), seconds)

    with pytest.raises(BenchFailed, match="found afterwards"):
        run_once(Once(), 0.02)


def test_a_refused_card_ends_the_bench(
    deny_list: DenyList, tmp_path: Path, exits: ExitStack
) -> None:
    counter = Counter("mobile_card", deny_list, tmp_path, exits)
    tap_once(counter.till, counter.reader, lambda: None)
    number = CERTIFICATE_RECORD, CERTIFICATE_SFI << 3 | 4
    record = counter.card.transmit(bytes((0x00, 0xB2, *number, 0x00)))
    token = int(Certificate.decode(record[:-2]).token_number)
    denying = replace(deny_list, tokens=array("Q", [token]))
    with pytest.raises(BenchFailed, match="card_denied"):
        tap_once(replace(counter.till, deny_list=denying), counter.reader, pytest.fail)
    assert len(counter.journal.links(10)) == 1


def test_a_purse_without_a_sam_ends_the_bench(
    deny_list: DenyList, tmp_path: Path, exits: ExitStack
) -> None:
    counter = Counter("purse", deny_list, tmp_path, exits)
    with pytest.raises(BenchFailed, match="not taken"):
        tap_once(counter.till, counter.reader, pytest.fail)


def test_a_tap_that_asks_the_backend_ends_the_bench(
    deny_list: DenyList, tmp_path: Path, exits: ExitStack
) -> None:
    """Goal: an offline figure never holds an online sale, nor one that waited for a refusal."""
    counter = Counter("mobile_card", deny_list, tmp_path, exits)
    profile = counter.till.profile
    away = replace(profile, facts=replace(profile.facts, issuer_keys={}))
    with pytest.raises(BenchFailed, match="wanted the backend"):
        tap_once(replace(counter.till, profile=away), counter.reader, pytest.fail)


def test_a_bench_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"x / ext4 rw 0 0\nx {tmp_path} tmpfs rw 0 0\n")
    assert disk.is_in_memory(tmp_path / "bench", mounts)
    assert not disk.is_in_memory(tmp_path.parent, mounts)
    assert not disk.is_in_memory(tmp_path, tmp_path / "no such file")
    monkeypatch.setattr(disk, "is_in_memory", lambda folder: True)
    monkeypatch.setattr(reader, "RESULTS", tmp_path)
    with pytest.raises(BenchFailed, match="in memory"):
        reader.bench(command.Form(is_long=False, seconds=0.01, rounds=1))


LOST = TillResult(
    kills=20,
    sales=9,
    uploads=3,
    lost_answers=1,
    outages=2,
    seconds=2.0,
    wrong=("sale 4: gone", "sale 5: two"),
)


def test_what_a_till_lost_is_a_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[int] = []

    def kill_tills(folder: Path, seed: int, kills: int) -> TillResult:
        asked.append(kills)
        return LOST

    monkeypatch.setattr(reader, "kill_tills", kill_tills)
    for is_long in (False, True):
        part = reader.measure_kills(stage_of(tmp_path, is_long=is_long))
        assert part.figures == {"lost_or_doubled": 2}
        assert part.rows[0].rounds[0].acknowledged == LOST.sales
    assert asked == [20, 500]

    def fails(folder: Path, seed: int, kills: int) -> TillResult:
        raise ChaosFailed("the till says nothing any more")

    monkeypatch.setattr(reader, "kill_tills", fails)
    with pytest.raises(BenchFailed, match="says nothing"):
        reader.measure_kills(stage_of(tmp_path))


def stage_of(folder: Path, *, is_long: bool = False) -> reader.Stage:
    form = command.Form(is_long=is_long, seconds=0.01, rounds=1)
    return reader.Stage(form, folder, DenyList())


@pytest.mark.parametrize("lost", [0, 1])
def test_the_bench_fails_after_its_report_when_a_sale_was_lost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lost: int
) -> None:
    reports: list[Report] = []
    part = reader.Part((), {"lost_or_doubled": float(lost)})
    monkeypatch.setattr(reader, "RESULTS", tmp_path)
    monkeypatch.setattr(reader, "MEASURED", (lambda stage: part,))
    monkeypatch.setattr(reader, "make_deny_list", lambda folder, now: DenyList())
    monkeypatch.setattr(reader, "publish", reports.append)
    monkeypatch.setattr(disk, "is_in_memory", lambda folder: False)
    with pytest.raises(BenchFailed, match="lost") if lost else nullcontext():
        reader.bench(command.Form(is_long=False, seconds=0.01, rounds=1))
    assert [one.ratios for one in reports] == [{"lost_or_doubled": lost}]
    assert not list(tmp_path.iterdir())


@pytest.mark.pcsc
@pytest.mark.usefixtures("pcscd")
def test_a_short_run_ends_with_the_line_a_machine_reads(pcscd: Daemon) -> None:
    kept = ROOT / "var" / "bench" / "bench-reader.json"
    before = kept.read_bytes() if kept.exists() else None
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tools.benches.reader", "--seconds", "0.05", "--rounds", "1"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        figures = dict(one.split("=") for one in done.stdout.splitlines()[-1].split())
        assert list(figures) == [
            "offline_tap_p95_ms",
            "capp_p95_ms",
            "bridge_share_p95_ms",
            "deny_p99_ms",
            "ride_code_p95_ms",
            "lost_or_doubled",
        ]
        assert float(figures.pop("lost_or_doubled")) == 0
        assert all(0 < float(one) < 10_000 for one in figures.values())
        whole = max(float(figures[name]) for name in ("offline_tap_p95_ms", "capp_p95_ms"))
        assert float(figures["bridge_share_p95_ms"]) <= whole
        assert kept.exists()
    finally:
        if before is not None:
            kept.write_bytes(before)
