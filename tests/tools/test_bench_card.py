"""bench-card: what is timed, what ends it, and a short run with a real reader."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tests.hce.examples import bench
from tools.benches.card_process import CARDS
from tools.benches.card_purse import PurseTerminal, age
from tools.benches.card_subjects import TAP, CardSubject, ageing, tap
from tools.benches.errors import BenchFailed
from tools.pcscd import Daemon

ROOT = Path(__file__).resolve().parents[2]


def ticking(step_ns: int) -> Callable[[], int]:
    """A clock that is one step further at each look."""
    ticks = count(0, step_ns)
    return lambda: next(ticks)


def test_commands_are_timed_one_by_one_and_by_name() -> None:
    subject = CardSubject("mobile", "mobile_card", tap)
    seen = subject.repeat(bench(atc=0).card.transmit, 100e-6, ticking(1_000))
    assert seen.acknowledged % len(TAP) == 0
    assert seen.acknowledged > 0
    assert seen.times is not None
    assert seen.times.p99_ms == 0.001  # the clock steps 1 µs between two looks
    assert set(subject.by_command) == set(TAP)
    assert sum(one[0].acknowledged for one in subject.by_command.values()) == seen.acknowledged


def test_a_whole_dialogue_is_timed_as_one() -> None:
    subject = CardSubject("mobile", "mobile_card", tap, is_whole=True)
    seen = subject.repeat(bench(atc=0).card.transmit, 100e-6, ticking(1_000))
    assert seen.times is not None
    assert seen.times.p50_ms == 0.009  # two looks a command, one before, one after


def test_a_wrong_answer_ends_the_bench() -> None:
    subject = CardSubject("none", "yes", tap)
    with pytest.raises(BenchFailed, match="GET PROCESSING OPTIONS: not 9000"):
        subject.repeat(bench(atc=0, key=None).card.transmit, 1.0)


def test_a_purchase_is_checked_to_its_last_mac(tmp_path: Path) -> None:
    card, terminal = CARDS["purse"](tmp_path), PurseTerminal.fresh()
    card.power_on()
    subject = CardSubject("purse", "purse", terminal.purchase, is_whole=True)
    seen = subject.repeat(card.transmit, 100e-6, ticking(1_000))
    assert seen.acknowledged > 0
    assert set(subject.by_command) == {"00A4", "8050", "8054", "805A"}

    def spoilt(command: bytes) -> bytes:
        answer = bytearray(card.transmit(command))
        answer[0] ^= command[1] == 0x5A  # one bit of what the purse proves
        return bytes(answer)

    with pytest.raises(BenchFailed, match="proves another purchase"):
        terminal.purchase(spoilt)


def test_a_purse_ages(tmp_path: Path) -> None:
    assert 0.2 < age(tmp_path, 200, 40) < 5


@pytest.mark.parametrize("kind", ["mobile_card", "mobile_card_on_disk", "yes"])
def test_every_card_of_the_bench_bears_a_tap(kind: str, tmp_path: Path) -> None:
    card = CARDS[kind](tmp_path)
    card.power_on()
    for _ in range(3):
        tap(card.transmit)


def test_ageing_is_the_end_over_the_beginning() -> None:
    spent = iter([0, 10] * 50 + [0, 15] * 50)
    ages = count()

    def clock_ns() -> int:
        return next(spent) + 100 * next(ages)

    assert ageing(lambda number: None, 100, 20, clock_ns) == pytest.approx(115 / 110)
    with pytest.raises(ValueError, match="two windows"):
        ageing(lambda number: None, 10, 6)


@pytest.mark.pcsc
@pytest.mark.usefixtures("pcscd")
def test_a_short_run_ends_with_the_line_a_machine_reads(pcscd: Daemon) -> None:
    kept = ROOT / "var" / "bench" / "bench-card.json"
    before = kept.read_bytes() if kept.exists() else None
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tools.benches.card", "--seconds", "0.1", "--rounds", "1"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        figures = dict(one.split("=") for one in done.stdout.splitlines()[-1].split())
        assert list(figures) == ["apdu_overhead_p99_ms", "purse_purchase_p95_ms", "purse_aging"]
        assert -50 < float(figures["apdu_overhead_p99_ms"]) < 50
        assert kept.exists()
    finally:
        if before is not None:
            kept.write_bytes(before)
