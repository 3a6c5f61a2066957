"""Migrated SQLite files to copy, and keys: a simulation begins hundreds of cities."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.keys import SoftwareKeys
from tests.support.databases import make_template


@pytest.fixture(scope="session")
def empty_city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three migrated, empty databases."""
    return make_template(tmp_path_factory.mktemp("empty-city"))


@pytest.fixture(scope="session")
def city_keys(tmp_path_factory: pytest.TempPathFactory) -> SoftwareKeys:
    folder = tmp_path_factory.mktemp("city-keys")
    return SoftwareKeys.make(folder / "keystore.json", folder / "kek")
