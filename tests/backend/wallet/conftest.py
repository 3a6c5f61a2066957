"""The services of money over real databases; after every test the books are audited."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.db import Units
from backend.kernel import ManualClock
from backend.keys import SoftwareKeys
from tests.simulation.books import audit
from tests.simulation.money_world import World, join


@pytest.fixture(autouse=True)
def _audited(request: pytest.FixtureRequest) -> Iterator[None]:
    """Goal: whatever a test did to the ledger, its sum is zero and every balance can be shown."""
    if "units" not in request.fixturenames:
        yield
        return
    units: Units = request.getfixturevalue("units")
    yield
    audit(units)


@pytest.fixture
def world(units: Units, keys: SoftwareKeys, clock: ManualClock, tmp_path: Path) -> World:
    return join(units, keys, clock, tmp_path)
