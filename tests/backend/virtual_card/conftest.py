"""Virtual cards joined on real databases, as services and as a Flask application."""

from __future__ import annotations

import pytest
from card_world import World
from flask import Flask

from backend.db import Databases, Units
from backend.kernel import ManualClock
from backend.keys import SoftwareKeys
from backend.virtual_card.api import blueprint
from backend.web import AccessTokens, Caller, CallerKind
from backend.web.application import BearerAuthenticator, Network, make_app


@pytest.fixture
def world(units: Units, keys: SoftwareKeys, clock: ManualClock) -> World:
    return World(units, keys, clock)


@pytest.fixture
def app(world: World, databases: Databases, keys: SoftwareKeys, clock: ManualClock) -> Flask:
    authenticator = BearerAuthenticator(AccessTokens(keys, clock))
    services = (world.devices, world.cards)
    return make_app(
        Network("public", "test", (blueprint,), authenticator, keys, databases, services)
    )


@pytest.fixture
def bearer(world: World, keys: SoftwareKeys, clock: ManualClock) -> dict[str, str]:
    token = AccessTokens(keys, clock).issue(Caller(CallerKind.CITIZEN, world.person_id))
    return {"Authorization": f"Bearer {token}"}
