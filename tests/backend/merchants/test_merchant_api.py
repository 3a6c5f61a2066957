"""The resources of both networks: statuses, shapes, problem documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from merchant_world import Staff, World

from backend.kernel import new_id
from backend.keys import key_to_jwk
from backend.merchants.schemas import ASSERTION_TYPE
from backend.web import Caller, CallerKind

Headers = Callable[[CallerKind, str], dict[str, str]]


def form(assertion: str, **changes: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
        **changes,
    }


def test_from_order_to_profile(world: World, public_app: Flask, internal_app: Flask) -> None:
    """Goal: an operator's till, from nothing to its profile, over HTTP alone."""
    ops, api = internal_app.test_client(), public_app.test_client()
    merchant_id, shop_id, terminal_id = new_id("mer"), new_id("shp"), new_id("trm")
    merchant = ops.post(
        "/v1/ops/merchants",
        json={"merchant_id": merchant_id, "name": "老王面馆", "mcc": "5812", "city": "银城"},
        headers={"Idempotency-Key": "m"},
    )
    assert merchant.status_code == 201
    shop = ops.post(
        f"/v1/ops/merchants/{merchant_id}/shops",
        json={"shop_id": shop_id, "name": "总店"},
        headers={"Idempotency-Key": "s"},
    )
    assert (shop.status_code, shop.json["merchant_id"]) == (201, merchant_id)
    path, body = f"/v1/ops/shops/{shop_id}/terminals", {"terminal_id": terminal_id, "label": "1"}
    ordered = ops.post(path, json=body)
    assert ordered.status_code == 201
    assert ordered.json["terminal_id"] == terminal_id
    assert ordered.json["state"] == "ordered"
    assert ops.post(path, json=body).json == ordered.json

    key = ec.generate_private_key(ec.SECP256R1())
    activation = {
        "activation_code": ordered.json["activation_code"],
        "public_key": key_to_jwk(key.public_key()),
        "label": "counter",
    }
    activated = api.post("/v1/activations", json=activation)
    assert activated.status_code == 201
    whoami = activated.json
    (pinned,) = whoami.pop("profile_keys")
    assert (pinned["kty"], pinned["crv"], pinned["alg"]) == ("EC", "P-256", "ES256")
    assert whoami == {
        "client_id": terminal_id,
        "kind": "terminal",
        "merchant_id": merchant_id,
        "merchant_name": "老王面馆",
        "shop_id": shop_id,
        "shop_name": "总店",
        "terminal_number": ordered.json["terminal_number"],
        "merchant_number": merchant.json["merchant_number"],
    }
    assert api.post("/v1/activations", json=activation).json == activated.json

    granted = api.post("/v1/token", data=form(world.assertion(terminal_id, key), extra="ignored"))
    assert granted.status_code == 200
    assert granted.json["token_type"] == "Bearer"
    assert granted.json["scope"] == "terminal"
    assert granted.headers["Cache-Control"] == "no-store"
    headers = {"Authorization": f"Bearer {granted.json['access_token']}"}
    profile = api.get("/v1/terminal/profile", headers=headers)
    assert profile.status_code == 200
    assert profile.json["terminal_number"] == ordered.json["terminal_number"]
    assert profile.json["currency"] == 156
    assert profile.json["applications"] == [
        {"aid": "F0434954594341524401", "label": "CITY CARD", "priority": 1}
    ]
    told = profile.json["issuer_keys"]
    names = [(one["suite"], one["index"], one["public_key"]["crv"]) for one in told]
    assert names == [(1, 1, "P-256"), (2, 1, "SM2")]


def test_a_code_made_by_a_till_is_read_by_a_citizen(
    world: World, public_app: Flask, bearer: Headers
) -> None:
    api = public_app.test_client()
    terminal_id, _ = world.terminal()
    headers = bearer(CallerKind.TERMINAL, terminal_id)
    body = {"bill_number": "B42", "amount_fen": 1250}
    first = api.post("/v1/terminal/codes", json=body, headers=headers)
    assert first.status_code == 201
    again = api.post("/v1/terminal/codes", json=body, headers=headers)
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    citizen = bearer(CallerKind.CITIZEN, "per_1")
    read = api.post("/v1/me/merchant-codes", json=first.json, headers=citizen)
    assert (read.status_code, read.json) == (
        200,
        {
            "merchant_name": "城东超市",
            "shop_name": "一号店",
            "shop_id": world.shop_id,
            "amount_fen": 1250,
            "bill_number": "B42",
        },
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"bill_number": ""},
        {"bill_number": "B-1"},
        {"bill_number": "B1\n"},
        {"bill_number": "B" * 26},
        {"bill_number": "B1", "amount_fen": 0},
        {"bill_number": "B1", "amount_fen": "1"},
        {"bill_number": "B1", "amount_fen": 1.5},
        {"bill_number": "B1", "amount_fen": 2**31},
        {"bill_number": "B1", "other": 1},
    ],
    ids=str,
)
def test_bills_that_are_none_are_422(
    world: World, public_app: Flask, bearer: Headers, body: dict[str, Any]
) -> None:
    terminal_id, _ = world.terminal()
    headers = bearer(CallerKind.TERMINAL, terminal_id)
    answer = public_app.test_client().post("/v1/terminal/codes", json=body, headers=headers)
    assert answer.status_code == 422


def test_refusals_are_problem_documents_in_the_callers_language(
    world: World, public_app: Flask, bearer: Headers
) -> None:
    api = public_app.test_client()
    key = ec.generate_private_key(ec.SECP256R1())
    body = {
        "activation_code": "2222-2222",
        "public_key": key_to_jwk(key.public_key()),
        "label": "x",
    }
    unknown = api.post("/v1/activations", json=body)
    assert (unknown.status_code, unknown.json["code"]) == (404, "activation_code_unknown")
    assert unknown.content_type == "application/problem+json"
    assert unknown.json["title"] == "激活码不正确"
    english = api.post("/v1/activations", json=body, headers={"Accept-Language": "en"})
    assert english.json["title"] == "Activation code unknown"
    stranger = api.post("/v1/token", data=form(world.assertion(new_id("trm"), key)))
    assert (stranger.status_code, stranger.json["code"]) == (401, "client_unknown")
    garbage = api.post("/v1/token", data=form("a.b.c"))
    assert (garbage.status_code, garbage.json["code"]) == (401, "assertion_invalid")
    citizen = bearer(CallerKind.CITIZEN, "per_1")
    for content, status, code in (
        ("hello", 422, "merchant_code_malformed"),
        ("\ud800", 422, "fields_invalid"),
    ):
        sent = json.dumps({"content": content})
        answer = api.post(
            "/v1/me/merchant-codes", data=sent, content_type="application/json", headers=citizen
        )
        assert (answer.status_code, answer.json["code"]) == (status, code)


@pytest.mark.parametrize(
    "changes",
    [{"grant_type": "password"}, {"client_assertion_type": "x"}],
    ids=str,
)
def test_other_grants_are_refused(world: World, public_app: Flask, changes: dict[str, str]) -> None:
    terminal_id, key = world.terminal()
    sent = form(world.assertion(terminal_id, key), **changes)
    answer = public_app.test_client().post("/v1/token", data=sent)
    assert answer.status_code == 422


def test_a_suspended_terminal_is_403_everywhere(
    world: World, public_app: Flask, internal_app: Flask, bearer: Headers
) -> None:
    terminal_id, key = world.terminal()
    headers = bearer(CallerKind.TERMINAL, terminal_id)
    ops = internal_app.test_client()
    changed = ops.post(
        f"/v1/ops/clients/{terminal_id}/changes",
        json={"event": "suspend"},
        headers={"Idempotency-Key": "x"},
    )
    assert (changed.status_code, changed.json["state"]) == (200, "suspended")
    api = public_app.test_client()
    for answer in (
        api.post("/v1/token", data=form(world.assertion(terminal_id, key))),
        api.get("/v1/terminal/profile", headers=headers),
        api.post("/v1/terminal/codes", json={"bill_number": "B"}, headers=headers),
    ):
        assert (answer.status_code, answer.json["code"]) == (403, "terminal_not_active")
    denied = ops.post(f"/v1/ops/clients/{terminal_id}/activation-codes", json={})
    assert (denied.status_code, denied.json["code"]) == (409, "terminal_transition_refused")


def test_a_merchants_server_is_ordered_with_a_code(world: World, internal_app: Flask) -> None:
    ops, client_id = internal_app.test_client(), new_id("mcl")
    path = f"/v1/ops/merchants/{world.merchant_id}/clients"
    ordered = ops.post(path, json={"client_id": client_id, "label": "web"})
    assert ordered.status_code == 201
    assert (ordered.json["client_id"], ordered.json["shop_id"]) == (client_id, None)
    fresh = ops.post(f"/v1/ops/clients/{client_id}/activation-codes", json={})
    assert fresh.status_code == 201
    assert fresh.json["activation_code"] != ordered.json["activation_code"]
    other = ops.post(path, json={"client_id": client_id, "label": "another"})
    assert (other.status_code, other.json["code"]) == (409, "idempotency_conflict")


def test_staff_without_the_scope_change_nothing(
    world: World, internal_app: Flask, staff: Staff
) -> None:
    staff.scopes = frozenset({"merchants.read"})
    ops = internal_app.test_client()
    for rule in internal_app.url_map.iter_rules():
        if not rule.rule.startswith("/v1/ops/"):
            continue
        path = rule.rule.replace("<string:", "<").replace("<", "").replace(">", "")
        answer = ops.post(path, json={}, headers={"Idempotency-Key": "x"})
        assert answer.status_code == 403, path


def test_only_tills_and_citizens_come_in(public_app: Flask, bearer: Headers) -> None:
    api = public_app.test_client()
    assert api.get("/v1/terminal/profile").status_code == 401
    citizen = bearer(CallerKind.CITIZEN, "per_1")
    assert api.get("/v1/terminal/profile", headers=citizen).status_code == 403
    merchant = bearer(CallerKind.MERCHANT, "mcl_1")
    body = {"content": "x"}
    assert api.post("/v1/me/merchant-codes", json=body, headers=merchant).status_code == 403


def test_a_merchant_prints_the_code_of_its_own_shops_only(world: World, public_app: Flask) -> None:
    """Goal: what a static code is for can be done over the API, and for nobody else's shop."""
    api = public_app.test_client()
    path = f"/v1/merchant/shops/{world.shop_id}/code"

    def ask(merchant_id: str, where: str = path) -> tuple[int, dict[str, str]]:
        who = Caller(CallerKind.MERCHANT, "mcl_1", context={"merchant_id": merchant_id})
        headers = {"Authorization": f"Bearer {world.tokens.issue(who)}"}
        answer = api.get(where, headers=headers)
        return answer.status_code, answer.get_json()

    status, body = ask(world.merchant_id)
    assert status == 200
    read = world.codes.read(body["content"])
    assert (read.shop.shop_id, read.amount_fen, read.bill_number) == (world.shop_id, None, None)
    stranger, unknown = ask(new_id("mer")), ask(world.merchant_id, "/v1/merchant/shops/shp_x/code")
    assert stranger[0] == unknown[0] == 404
    assert stranger[1]["code"] == unknown[1]["code"] == "shop_unknown"
