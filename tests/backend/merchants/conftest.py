"""A merchant with a shop, ways to sign in as its till, and both networks as Flask applications."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from merchant_world import Staff, World, serial

from backend.db import Databases, Units
from backend.kernel import ManualClock, new_id
from backend.keys import SoftwareKeys
from backend.merchants import (
    Acceptance,
    AcceptedApplication,
    Activations,
    AddMerchant,
    AddShop,
    Logins,
    MerchantCodes,
    Merchants,
    TerminalProfiles,
)
from backend.merchants.api import blueprint, internal_blueprint
from backend.web import AccessTokens, Caller, CallerKind
from backend.web.application import BearerAuthenticator, Network, make_app
from card_protocol.mobile_card import MOBILE_CARD_AID, MOBILE_CARD_LABEL


@pytest.fixture
def world(units: Units, keys: SoftwareKeys, clock: ManualClock) -> World:
    merchants = Merchants(units, keys)
    merchant_id, shop_id = new_id("mer"), new_id("shp")
    merchants.add_merchant(
        AddMerchant(merchant_id, "城东超市", "5411", "银城", name_en="CHENGDONG MARKET")
    )
    merchants.add_shop(AddShop(shop_id, merchant_id, "一号店"))
    tokens = AccessTokens(keys, clock)
    application = AcceptedApplication(MOBILE_CARD_AID, MOBILE_CARD_LABEL, 1)
    return World(
        clock=clock,
        merchants=merchants,
        activations=Activations(units, keys),
        logins=Logins(units, tokens),
        codes=MerchantCodes(units, keys, "YINCHENG"),
        profiles=TerminalProfiles(merchants, keys, Acceptance((application,))),
        tokens=tokens,
        merchant_id=merchant_id,
        shop_id=shop_id,
    )


@pytest.fixture
def public_app(world: World, databases: Databases, keys: SoftwareKeys) -> Flask:
    services = (
        world.merchants,
        world.activations,
        world.logins,
        world.codes,
        world.profiles,
    )
    authenticator = BearerAuthenticator(world.tokens)
    return make_app(
        Network("public", "test", (blueprint,), authenticator, keys, databases, services)
    )


@pytest.fixture
def staff() -> Staff:
    return Staff()


@pytest.fixture
def internal_app(world: World, databases: Databases, keys: SoftwareKeys, staff: Staff) -> Flask:
    return make_app(
        Network(
            "internal",
            "test",
            (internal_blueprint,),
            staff,
            keys,
            databases,
            (world.merchants, world.profiles),
        )
    )


@pytest.fixture
def bearer(world: World) -> Callable[[CallerKind, str], dict[str, str]]:
    def headers(kind: CallerKind, caller_id: str) -> dict[str, str]:
        token = world.tokens.issue(Caller(kind, caller_id))
        return {"Authorization": f"Bearer {token}", "Idempotency-Key": f"k-{next(serial)}"}

    return headers
