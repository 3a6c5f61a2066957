"""The sample network as a Flask application, and callers that may use it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from web_world import Things, make_blueprint

from backend.db import Databases, Units
from backend.kernel import ManualClock
from backend.keys import SoftwareKeys
from backend.web import AccessTokens, Caller, CallerKind
from backend.web.application import BearerAuthenticator, Network, make_app

MakeApp = Callable[..., Flask]


@pytest.fixture
def tokens(keys: SoftwareKeys, clock: ManualClock) -> AccessTokens:
    return AccessTokens(keys, clock)


@pytest.fixture
def sample_app(
    databases: Databases, units: Units, keys: SoftwareKeys, tokens: AccessTokens
) -> MakeApp:
    def make(requests_per_minute: int = 6000) -> Flask:
        return make_app(
            Network(
                name="public",
                title="Samples",
                blueprints=[make_blueprint()],
                authenticator=BearerAuthenticator(tokens),
                keys=keys,
                databases=databases,
                services=[Things(units)],
                requests_per_minute=requests_per_minute,
            )
        )

    return make


@pytest.fixture
def client(sample_app: MakeApp) -> FlaskClient:
    return sample_app().test_client()


@pytest.fixture
def citizen(tokens: AccessTokens) -> dict[str, str]:
    """Headers of a citizen who is logged in."""
    token = tokens.issue(Caller(CallerKind.CITIZEN, "per_1", context={"session_id": "ses_1"}))
    return {"Authorization": f"Bearer {token}"}
