"""A stall of a shop, its backend, and cards with room for offline sales."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reader_bridge.acceptance.world import MANY, OfflineBackend, Stall, open_stall
from tests.reader_bridge.conftest import TestTime
from tests.reader_bridge.support import CardKit


@pytest.fixture
def backend(kit: CardKit) -> Iterator[OfflineBackend]:
    with OfflineBackend(kit, MANY) as running:
        yield running


@pytest.fixture
def stall(backend: OfflineBackend, folder: Path, test_time: TestTime) -> Iterator[Stall]:
    opened = open_stall(folder, backend, test_time)
    with opened.terminal:
        yield opened
