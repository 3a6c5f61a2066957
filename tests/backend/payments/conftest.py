"""A city that sells, over real databases; after every test the books are audited."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text

from backend.app import Parts, create_public_app, open_parts
from backend.config import load_config
from backend.db import METADATA, Databases, Units, Which
from backend.kernel import ManualClock
from backend.keys import SoftwareKeys
from backend.merchants import TerminalFacts
from tests.simulation.books import audit
from tests.simulation.money_world import Citizen, World, join
from tests.simulation.net import START, Net


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


@pytest.fixture
def till(world: World) -> TerminalFacts:
    return world.terminal(world.shop(world.merchant()))


@pytest.fixture
def citizen(world: World) -> Citizen:
    """With 100 元."""
    return world.citizen(10_000)


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
)
def parts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Parts]:
    settings = {"CITY_VAR": str(tmp_path_factory.mktemp("var"))}
    if request.param == "postgres":
        opened: Databases = request.getfixturevalue("postgres_databases")
        for which in Which:
            url = opened[which].engine.url.render_as_string(hide_password=False)
            settings[f"CITY_{which.name}_DATABASE"] = url
    made = open_parts(load_config(settings), make=True, clock=ManualClock(START))
    yield made
    audit(made.units)
    if request.param == "postgres":
        for which in Which:
            names = ", ".join(f'"{name}"' for name in METADATA[which].tables)
            with made.databases[which].engine.begin() as connection:
                connection.execute(text(f"TRUNCATE {names}"))
    made.databases.close()


@pytest.fixture(scope="module")
def city(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> tuple[Flask, World]:
    assert isinstance(parts.keys, SoftwareKeys)
    assert isinstance(parts.clock, ManualClock)
    world = join(parts.units, parts.keys, parts.clock, tmp_path_factory.mktemp("bank"))
    return create_public_app(parts), world


@pytest.fixture
def net(city: tuple[Flask, World], parts: Parts) -> Net:
    app, world = city
    till = world.terminal(world.shop(world.merchant()))
    return Net(app, parts, world, till, world.citizen(10_000))
