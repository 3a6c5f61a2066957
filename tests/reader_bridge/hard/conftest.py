"""One city for all hard tests of a module; each test makes its own terminals and purses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reader_bridge.acceptance.world import MANY, OfflineBackend, Stall, open_stall
from tests.reader_bridge.conftest import TestTime
from tests.reader_bridge.hard.world import Town, running_town
from tests.reader_bridge.support import CardKit


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with running_town(tmp_path_factory.mktemp("town")) as running:
        yield running


@pytest.fixture
def backend(kit: CardKit) -> Iterator[OfflineBackend]:
    with OfflineBackend(kit, MANY) as running:
        yield running


@pytest.fixture
def stall(backend: OfflineBackend, folder: Path, test_time: TestTime) -> Iterator[Stall]:
    """A shop at a backend in this process: for what is about the cards alone."""
    opened = open_stall(folder, backend, test_time)
    with opened.terminal:
        yield opened
