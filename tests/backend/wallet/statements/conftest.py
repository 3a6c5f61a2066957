"""Wallets with lines at chosen moments, and the application that shows them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from statement_world import BANK, Books

from backend.db import Databases, Units
from backend.kernel import ManualClock, Words, new_id
from backend.keys import SoftwareKeys
from backend.wallet.statements import Issuer, WalletStatements
from backend.wallet.statements import api as statements_api
from backend.web import AccessTokens, Caller, CallerKind
from backend.web.application import BearerAuthenticator, Network, make_app

ISSUER = Issuer(
    city=Words(zh="澄江湾市", en="Chengjiangwan"),
    card=Words(zh="澄湾通", en="Chengwan Card"),
    operator=Words(zh="澄江湾市民卡服务公司", en="Chengjiangwan Citizen Card Services"),
    hotline="8890",
)

Headers = Callable[[str], dict[str, str]]


@pytest.fixture
def books(units: Units) -> Books:
    made = Books(units)
    made.open_accounts([BANK], "debit", "channel_receivable")
    return made


@pytest.fixture
def person_id() -> str:
    return new_id("per")


@pytest.fixture
def wallet_id(books: Books, person_id: str) -> str:
    """An empty wallet of the person."""
    return books.open_wallet(person_id)


@pytest.fixture
def statements(units: Units) -> WalletStatements:
    return WalletStatements(units)


@pytest.fixture
def tokens(keys: SoftwareKeys, clock: ManualClock) -> AccessTokens:
    return AccessTokens(keys, clock)


@pytest.fixture
def headers(tokens: AccessTokens) -> Headers:
    """Headers of a citizen who is logged in."""

    def of(person: str) -> dict[str, str]:
        token = tokens.issue(Caller(CallerKind.CITIZEN, person, context={"session_id": "ses_1"}))
        return {"Authorization": f"Bearer {token}"}

    return of


@pytest.fixture
def app(
    databases: Databases, statements: WalletStatements, keys: SoftwareKeys, tokens: AccessTokens
) -> Flask:
    return make_app(
        Network(
            name="public",
            title="澄江湾市市民卡",
            blueprints=(statements_api.blueprint,),
            authenticator=BearerAuthenticator(tokens),
            keys=keys,
            databases=databases,
            services=(statements, ISSUER),
        )
    )


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
