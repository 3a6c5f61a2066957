"""Counting of requests: a window per caller and route, bounded in number."""

from __future__ import annotations

from backend.web.rates import WINDOW_SECONDS, Rates


class Clock:
    """Seconds that go on when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_window_begins_with_the_first_request_and_ends_a_minute_later() -> None:
    clock = Clock()
    rates = Rates(2, clock)
    assert rates.count("a") == (1, 60)
    clock.seconds += 59.5
    assert rates.count("a") == (0, 1)
    assert rates.count("a") == (-1, 1)
    clock.seconds += 0.5
    assert rates.count("a") == (1, 60)


def test_keys_are_counted_apart() -> None:
    rates = Rates(1, Clock())
    assert [rates.count(key)[0] for key in ("a", "b", ("a", "b"), "a")] == [0, 0, 0, -1]


def test_windows_that_ended_are_forgotten_by_and_by() -> None:
    clock = Clock()
    rates = Rates(1, clock)
    for number in range(100):
        rates.count(number)
    clock.seconds += WINDOW_SECONDS
    for number in range(100):
        rates.count(-1 - number)
    assert len(rates) == 100


def test_invented_callers_do_not_fill_the_memory() -> None:
    """Past the bound the oldest window goes, also one that still counts."""
    rates = Rates(1, Clock(), keys_max=10)
    for number in range(1000):
        rates.count(number)
    assert len(rates) == 10
    assert rates.count(999)[0] == -1
    assert rates.count(0)[0] == 0
