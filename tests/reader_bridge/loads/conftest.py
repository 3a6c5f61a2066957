"""One demo city for all tests of loads, whose terminals take purses of the textbook's issuer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.city import City, running_city
from tests.reader_bridge.loads.world import ISSUER_ID, activate, use_textbook_keys
from tools.story.instance import ROOT


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    folder = tmp_path_factory.mktemp("city")
    words = (ROOT / "city.toml").read_text(encoding="utf-8")
    for data in ("data/demo/persons.csv", "data/demo/merchants.toml"):
        words = words.replace(data, str(ROOT / data))
    own = 'issuer_id = "01010000FFFFFFFF"'
    assert own in words
    words = words.replace(own, f'issuer_id = "{ISSUER_ID}"')
    (folder / "city.toml").write_text(words, encoding="utf-8")
    with running_city(folder / "var", folder / "city.toml") as running:
        use_textbook_keys(running)
        yield running


@pytest.fixture(scope="module")
def folder(city: City, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An activated terminal's folder; its journal goes through all tests of a module."""
    made = tmp_path_factory.mktemp("terminal") / "post"
    activate(city, made)
    return made
