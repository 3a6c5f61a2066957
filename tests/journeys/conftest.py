"""Servers for journeys: `python -m backend` as processes of their own, stopped by the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tools.story.instance import Instance, fresh_instance


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    """One running city for a module's journeys."""
    with fresh_instance() as running:
        yield running
