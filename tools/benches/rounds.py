"""Rounds of several subjects in turn, their medians and ratios; knows not what a subject does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

from tools.bench import percentile
from tools.benches.errors import BenchFailed

REFUSED_SHARE_MAX = 0.001
NANOSECONDS_PER_MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Times:
    """How long single operations of a round took; a peer may tell its mean alone."""

    mean_ms: float
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """What one subject did in one round.

    acknowledged: operations it was told are done; found: those of them that are in the books
    afterwards; refused: other answers, by their code.
    """

    acknowledged: int
    found: int
    seconds: float
    refused: Mapping[str, int] = field(default_factory=dict)
    times: Times | None = None
    late_ms_max: float = 0.0  # at a fixed rate: how late the generator itself was, at worst

    @property
    def per_second(self) -> float:
        return self.acknowledged / self.seconds


class Subject(Protocol):
    """Something that can be made to work for a while."""

    @property
    def name(self) -> str: ...

    def run(self, seconds: float) -> Round: ...


Rounds = Mapping[str, Sequence[Round]]


def ranked(durations_ns: Sequence[int]) -> Times | None:
    """Durations by rank; None without any."""
    if not durations_ns:
        return None
    ordered = [one / NANOSECONDS_PER_MILLISECOND for one in sorted(durations_ns)]
    return Times(
        mean_ms=sum(ordered) / len(ordered),
        p50_ms=percentile(ordered, 0.50),
        p95_ms=percentile(ordered, 0.95),
        p99_ms=percentile(ordered, 0.99),
    )


def silent(name: str, one: Round) -> None:
    """Tells nobody how a round went."""


Tell = Callable[[str, Round], None]


def check(name: str, one: Round) -> None:
    """Raises BenchFailed when an acknowledged operation is lost, or too many were refused."""
    if one.found != one.acknowledged:
        raise BenchFailed(f"{name}: {one.acknowledged} acknowledged, {one.found} found afterwards")
    refused = sum(one.refused.values())
    if refused > REFUSED_SHARE_MAX * (refused + one.acknowledged):
        codes = ", ".join(f"{code} x {count}" for code, count in sorted(one.refused.items()))
        raise BenchFailed(f"{name}: {refused} of {refused + one.acknowledged} refused: {codes}")
    if not one.acknowledged:
        raise BenchFailed(f"{name}: nothing was done in {one.seconds:.1f} s")


def interleave(
    subjects: Sequence[Subject],
    seconds: float,
    rounds: int,
    tell: Tell = silent,
) -> dict[str, list[Round]]:
    """A B C, A B C, … A: every subject `rounds` times in turn, the first (the peer) once more.

    What slows the machine down for a while slows all of them. Raises what `check` does.
    """
    if rounds < 1 or not subjects:
        raise ValueError("at least one subject and one round")
    done: dict[str, list[Round]] = {subject.name: [] for subject in subjects}
    for subject in [*list(subjects) * rounds, subjects[0]]:
        done[subject.name].append(run_once(subject, seconds, tell))
    return done


def run_once(subject: Subject, seconds: float, tell: Tell = silent) -> Round:
    """One checked round. Raises what `check` does."""
    one = subject.run(seconds)
    check(subject.name, one)
    tell(subject.name, one)
    return one


def median_per_second(rounds: Sequence[Round]) -> float:
    """Operations a second, the middle round."""
    return median(one.per_second for one in rounds)


def median_p99_ms(rounds: Sequence[Round]) -> float:
    """The middle round's p99. Raises BenchFailed when a round timed nothing."""
    times = [one.times for one in rounds if one.times is not None]
    seen = [one.p99_ms for one in times if one.p99_ms is not None]
    if len(seen) != len(rounds) or not seen:
        raise BenchFailed("a round without durations has no p99")
    return median(seen)


def ratio(of: Sequence[Round], over: Sequence[Round]) -> float:
    """Throughput of one over that of the other: median by median."""
    return median_per_second(of) / median_per_second(over)
