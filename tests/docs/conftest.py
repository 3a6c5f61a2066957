"""One demo city for the pages of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.docs.city import City, running_city


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with running_city(tmp_path_factory.mktemp("city") / "var") as running:
        yield running
