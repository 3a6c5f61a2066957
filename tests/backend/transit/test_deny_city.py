"""Goal: what a citizen does to a token reaches the terminals of a whole city, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask

from backend.app import Parts, create_public_app, open_parts
from backend.config import load_config
from backend.db import Operation
from backend.db.operations import Answer
from backend.kernel import new_id
from backend.keys import key_to_jwk
from backend.merchants import AddMerchant, AddShop, AddTerminal, ChooseProfile
from backend.web import Caller, CallerKind
from card_protocol.deny_list import DenyPart
from card_protocol.fares import FlatFare
from card_protocol.ride_certificate import RideSuite
from card_protocol.signatures import Suite
from card_protocol.signed_document import decode_b64u
from card_protocol.terminal_profile import Mode
from reader_bridge.deny_list import DenyListKeeper, DenyListStore
from reader_bridge.offline import Level, RideGate, SqliteUsedCodes, standing_of
from reader_bridge.profile import ProfileKeeper, deny_list_keys


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    opened = open_parts(load_config({"CITY_VAR": str(tmp_path / "var")}), make=True)
    yield opened
    opened.databases.close()


@pytest.fixture
def public(parts: Parts) -> Flask:
    return create_public_app(parts)


def test_a_terminal_asks_for_the_list(parts: Parts, public: Flask) -> None:
    api = public.test_client()
    token = parts.tokens.issue(Caller(CallerKind.TERMINAL, "trm_x", frozenset({"terminal"})))
    headers = {"Authorization": f"Bearer {token}"}
    first = api.get("/v1/terminal/deny-list?since=0", headers=headers)
    assert first.status_code == 200
    part = DenyPart.decode(decode_b64u(first.json["part"]))
    assert (part.since, part.upto, part.head) == (0, 0, 0)
    known = {**headers, "If-None-Match": first.headers["ETag"]}
    assert api.get("/v1/terminal/deny-list?since=0", headers=known).status_code == 304
    for wrong in ("-1", "x", str(2**63)):
        assert api.get(f"/v1/terminal/deny-list?since={wrong}", headers=headers).status_code == 422


def test_what_the_city_signs_a_terminal_believes(
    parts: Parts, public: Flask, tmp_path: Path
) -> None:
    """Goal: both sides read the same bytes: activation, profile, deny list, one key."""
    api, key = public.test_client(), ec.generate_private_key(ec.SECP256R1())
    merchant_id, shop_id, terminal_id = new_id("mer"), new_id("shp"), new_id("trm")
    parts.shops.add_merchant(AddMerchant(merchant_id, "公交", "4111", "银城", name_en="BUS"))
    parts.shops.add_shop(AddShop(shop_id, merchant_id, "1 路"))
    ordered = parts.shops.add_terminal(AddTerminal(terminal_id, shop_id, "bus 1"))
    activation = {"activation_code": ordered.activation_code, "label": "bus 1"}
    activation["public_key"] = key_to_jwk(key.public_key())
    activated = api.post("/v1/activations", json=activation)
    operation = Operation("test", "k", {}, lambda _: Answer(200, ""))
    parts.terminal_profiles.choose(ChooseProfile(terminal_id, "bus"), operation)
    place = {"merchant_id": merchant_id, "shop_id": shop_id}
    caller = Caller(CallerKind.TERMINAL, terminal_id, frozenset({"terminal"}), place)
    headers = {"Authorization": f"Bearer {parts.tokens.issue(caller)}"}

    def ask(path: str, params: Mapping[str, str] | None = None) -> Any:
        answer = api.get(path, query_string=params, headers=headers)
        assert answer.status_code == 200
        return answer.json

    profiles = ProfileKeeper(tmp_path, terminal_id, ask)
    profiles.pin(activated.json["profile_keys"])
    profile = profiles.refresh()
    assert (profile.terms.mode, profile.terms.fare) == (Mode.BUS, FlatFare(200))
    assert profile.ride_codes is not None
    assert profile.ride_codes.suite is RideSuite.ES256
    assert set(profile.issuer_keys) == {(suite, 1) for suite in Suite}
    now = int(parts.clock.now().timestamp())
    assert profile.issued_at <= now < profile.expires_at
    lists = DenyListKeeper(DenyListStore(tmp_path), ask, lambda: deny_list_keys(profiles.pins()))
    deny_list = lists.refresh()
    assert standing_of(profile, deny_list, now).level is Level.FULL
    with closing(SqliteUsedCodes(tmp_path / "used.db")) as used:
        RideGate(profile, deny_list, used)


def test_every_event_has_a_listener(parts: Parts) -> None:
    assert {"token_changed", "purse_changed"} <= set(parts.worker.consumers)
