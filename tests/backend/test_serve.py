"""The worker's own rounds: they go on after whatever goes wrong, at the pace that is written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backend import serve
from backend.cards import PurseUnknown
from backend.transit import DenyListUpkeep


class Ended(BaseException):
    """Ends the endless loop from outside, as the process does."""


class Rounds:
    """An upkeep that plays one outcome a turn."""

    def __init__(self, *outcomes: bool | Exception) -> None:
        self.outcomes: Iterator[bool | Exception] = iter(outcomes)

    def turn(self) -> bool:
        outcome = next(self.outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def test_the_sweep_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a page at a pace, a rest after all of them, and no failure ends the sweeping."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 7:
            raise Ended

    monkeypatch.setattr(serve.gevent, "sleep", pause)
    rounds = Rounds(False, PurseUnknown(), False, True, RuntimeError("a bug"), False)
    upkeep: DenyListUpkeep = rounds  # type: ignore[assignment]
    with pytest.raises(Ended):
        serve._sweep_by_and_by(upkeep)
    page, rest = serve.SWEEP_PAUSE_SECONDS, serve.SWEEP_REST_SECONDS
    assert pauses == [page, page, page, page, rest, rest, page]
