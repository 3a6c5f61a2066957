"""A table of the tests' own beside the product's tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rows_world
from db_world import WHICH, probe

from backend.db import Databases


@pytest.fixture
def probe_table(databases: Databases) -> Iterator[None]:
    """The table `probe` in the business database, for the length of a test."""
    engine = databases[WHICH].engine
    probe.metadata.create_all(engine)
    yield
    probe.metadata.drop_all(engine)


@pytest.fixture
def rows_tables(databases: Databases) -> Iterator[None]:
    """The tables of `rows_world` in the business database, for the length of a test."""
    engine = databases[WHICH].engine
    rows_world.metadata.create_all(engine)
    yield
    rows_world.metadata.drop_all(engine)
