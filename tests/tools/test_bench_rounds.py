"""Rounds in turn: their order, what ends them, medians and ratios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from tools.benches.command import Form, run
from tools.benches.errors import BenchFailed
from tools.benches.rounds import (
    Round,
    Times,
    check,
    interleave,
    median_p99_ms,
    median_per_second,
    ranked,
    ratio,
)

MILLISECOND_NS = 1_000_000


@dataclass
class Scripted:
    """A subject that says what it is told to, and writes down when it was asked."""

    name: str
    speeds: Sequence[int]
    diary: list[tuple[str, float]] = field(default_factory=list)

    def run(self, seconds: float) -> Round:
        turn = sum(name == self.name for name, _ in self.diary)
        self.diary.append((self.name, seconds))
        return Round(self.speeds[turn], self.speeds[turn], 1.0)


def test_subjects_take_turns_and_the_peer_has_the_last() -> None:
    diary: list[tuple[str, float]] = []
    told: list[str] = []
    peer, subject = Scripted("A", [10, 20, 90], diary), Scripted("B", [5, 25], diary)
    seen = interleave([peer, subject], 1.5, 2, lambda name, _: told.append(name))
    assert diary == [("A", 1.5), ("B", 1.5), ("A", 1.5), ("B", 1.5), ("A", 1.5)]
    assert told == list("ABABA")
    assert [one.acknowledged for one in seen["A"]] == [10, 20, 90]
    assert ratio(seen["B"], seen["A"]) == 15 / 20


@pytest.mark.parametrize(("subjects", "rounds"), [([], 1), ([Scripted("A", [1])], 0)])
def test_nothing_to_interleave(subjects: list[Scripted], rounds: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        interleave(subjects, 1, rounds)


def test_a_lost_operation_ends_the_bench() -> None:
    with pytest.raises(BenchFailed, match="x: 1000 acknowledged, 999 found"):
        check("x", Round(1000, 999, 1.0))


def test_an_operation_nobody_was_told_of_ends_the_bench() -> None:
    with pytest.raises(BenchFailed, match="1000 acknowledged, 1001 found"):
        check("x", Round(1000, 1001, 1.0))


def test_few_refusals_are_borne_and_more_are_listed() -> None:
    check("x", Round(9990, 9990, 1.0, {"503": 10}))
    with pytest.raises(BenchFailed, match="11 of 10000 refused: 409 x 4, 503 x 7"):
        check("x", Round(9989, 9989, 1.0, {"503": 7, "409": 4}))


def test_a_round_in_which_nothing_was_done() -> None:
    with pytest.raises(BenchFailed, match="nothing was done"):
        check("x", Round(0, 0, 1.0))


def test_ranks() -> None:
    durations = [number * MILLISECOND_NS for number in range(200, 0, -1)]
    assert ranked(durations) == Times(mean_ms=100.5, p50_ms=100, p95_ms=190, p99_ms=198)
    assert ranked([]) is None


def test_medians() -> None:
    rounds = [Round(n, n, 2.0, times=Times(1, 1, 1, n)) for n in (30, 10, 20)]
    assert median_per_second(rounds) == 10
    assert median_p99_ms(rounds) == 20
    with pytest.raises(BenchFailed, match="p99"):
        median_p99_ms([*rounds, Round(1, 1, 1.0, times=Times(mean_ms=1))])


@pytest.mark.parametrize(
    ("arguments", "form"),
    [
        ([], Form(is_long=False, seconds=1.25, rounds=2)),
        (["--long"], Form(is_long=True, seconds=8, rounds=5)),
        (["--long", "--seconds", "2", "--rounds", "1"], Form(is_long=True, seconds=2, rounds=1)),
        (["--processes", "2"], Form(is_long=False, seconds=1.25, rounds=2, processes=2)),
    ],
)
def test_what_may_be_chosen(arguments: list[str], form: Form) -> None:
    seen: list[Form] = []
    assert run("x", "a bench", seen.append, arguments) == 0
    assert seen == [form]


@pytest.mark.parametrize("argument", ["--seconds=0", "--seconds=61", "--rounds=-1", "--rounds=51"])
def test_what_may_not_be_chosen(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("x", "a bench", lambda form: None, [argument])
    assert "above 0 and up to" in capsys.readouterr().err


def test_a_bench_that_failed_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(form: Form) -> None:
        raise BenchFailed("3 lost")

    assert run("tools.benches.x", "a bench", fail, []) == 1
    assert capsys.readouterr().err == "tools.benches.x: 3 lost\n"
