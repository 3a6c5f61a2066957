"""A simulated terminal with a prompt, and what it tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reader_bridge.simulator.card_specs import BUILT_IN
from reader_bridge.simulator.prompt import Prompt
from reader_bridge.simulator.world import Settings, World


@dataclass
class Desk:
    """`type` gives what one line made the prompt tell."""

    world: World
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._prompt = Prompt(self.world, self.told.append)

    def type(self, line: str) -> str:
        before = len(self.told)
        assert self._prompt.do(line)
        return "\n".join(self.told[before:])

    def is_left_by(self, line: str) -> bool:
        return not self._prompt.do(line)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "desk", BUILT_IN, ("counter", "door"))


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    with World(settings) as world:
        yield Desk(world)


@pytest.fixture
def open_desk() -> Iterator[Callable[[Settings], Desk]]:
    """For a test that opens one after the other; the last one is closed here."""
    opened: list[World] = []

    def open_one(chosen: Settings) -> Desk:
        for world in opened:
            world.close()
        opened[:] = [World(chosen).__enter__()]
        return Desk(opened[0])

    yield open_one
    for world in opened:
        world.close()
