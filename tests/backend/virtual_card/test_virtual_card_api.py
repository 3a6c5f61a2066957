"""The citizen's resources over HTTP: statuses, shapes, problem documents."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from card_world import Phone, World
from flask import Flask
from flask.testing import FlaskClient

from backend.kernel import new_id
from backend.keys import key_to_jwk
from card_protocol import key_batch
from card_protocol.mobile_card import Certificate


def unb64u(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Citizen:
    """A client that logs in and names its requests."""

    def __init__(self, client: FlaskClient, bearer: dict[str, str]) -> None:
        self.client, self.bearer = client, bearer

    def post(self, path: str, body: dict[str, Any], key: str) -> Any:
        headers = {**self.bearer, "Idempotency-Key": key}
        return self.client.post(path, json=body, headers=headers)

    def get(self, path: str) -> Any:
        return self.client.get(path, headers=self.bearer)


@pytest.fixture
def citizen(app: Flask, bearer: dict[str, str]) -> Citizen:
    return Citizen(app.test_client(), bearer)


def enrol_body(world: World, phone: Phone) -> dict[str, Any]:
    return {
        "device_id": phone.device_id,
        "name": "Pixel 9",
        "signing_key": key_to_jwk(phone.signing.public_key()),
        "sealing_key": key_to_jwk(phone.sealing.public_key()),
        "proof": phone.proof(world.clock),
    }


def test_a_phone_from_enrolment_to_loss_and_release(world: World, citizen: Citizen) -> None:
    """Goal: one phone's life over HTTP, with the keys really opened."""
    phone, token_id = Phone(), new_id("tok")
    enrolled = citizen.post("/v1/me/devices", enrol_body(world, phone), "d1")
    assert enrolled.status_code == 201
    assert set(enrolled.json) == {"device_id", "name", "state", "enrolled_at"}
    assert enrolled.json["state"] == "active"
    assert citizen.get("/v1/me/devices").json == {"data": [enrolled.json], "next": None}
    body = {
        "token_id": token_id,
        "device_id": phone.device_id,
        "wallet_id": world.wallet_id,
        "product": "phone_card",
    }
    made = citizen.post("/v1/me/cards", body, "c1")
    assert made.status_code == 201
    card = made.json
    assert Certificate.decode(unb64u(card["certificate"])).token_number == card["token_number"]
    keys = card["keys"]
    assert (keys["key_index"], keys["suite"], keys["uses_max"]) == (1, 1, 20)
    key_batch.open_sealed(unb64u(keys["sealed"]), phone.sealing, card["token_number"], 1)
    again = citizen.post("/v1/me/cards", body, "c1")
    assert again.json == card
    assert again.headers["Idempotent-Replayed"] == "true"
    path = f"/v1/me/cards/{token_id}"
    assert citizen.get(path).json == {**card, "keys": None}
    assert citizen.get("/v1/me/cards").json == {"data": [{**card, "keys": None}], "next": None}
    refilled = citizen.post(f"{path}/keys", {"atc": 14}, "k1")
    assert (refilled.status_code, refilled.json["key_index"]) == (201, 2)
    key_batch.open_sealed(unb64u(refilled.json["sealed"]), phone.sealing, card["token_number"], 2)
    lost = citizen.post(f"{path}/loss-report", {}, "l1")
    assert (lost.status_code, lost.json["state"], lost.json["keys"]) == (200, "suspended", None)
    refused = citizen.post(f"{path}/keys", {"atc": 14}, "k2")
    assert (refused.status_code, refused.json["code"]) == (402, "token_suspended")
    released = citizen.post(f"{path}/release", {}, "l2")
    assert (released.status_code, released.json["state"]) == (200, "active")
    ended = citizen.post(f"/v1/me/devices/{phone.device_id}/end", {}, "e1")
    assert (ended.status_code, ended.json["state"]) == (200, "ended")
    assert citizen.get(path).json["state"] == "deleted"


def test_refusals_are_problem_documents(world: World, citizen: Citizen) -> None:
    phone = Phone()
    forged = {**enrol_body(world, phone), "proof": Phone().proof(world.clock)}
    answer = citizen.post("/v1/me/devices", forged, "d1")
    assert (answer.status_code, answer.json["code"]) == (401, "proof_invalid")
    citizen.post("/v1/me/devices", enrol_body(world, phone), "d2")
    body = {
        "token_id": new_id("tok"),
        "device_id": phone.device_id,
        "wallet_id": world.wallet_id,
        "product": "phone_card",
    }
    for key, changes, status, code in (
        ("c1", {"product": "gold_card"}, 422, "product_unknown"),
        ("c2", {"wallet_id": new_id("wal")}, 404, "wallet_unknown"),
        ("c3", {"device_id": new_id("dev")}, 404, "device_unknown"),
    ):
        answer = citizen.post("/v1/me/cards", {**body, **changes}, key)
        assert (answer.status_code, answer.json["code"]) == (status, code)
    assert citizen.post("/v1/me/cards", body, "c4").status_code == 201
    answer = citizen.post("/v1/me/cards", {**body, "token_id": new_id("tok")}, "c5")
    assert (answer.status_code, answer.json["code"]) == (409, "token_exists")
    assert answer.json["token_id"] == body["token_id"]
    world.registered.clear()
    answer = citizen.post("/v1/me/cards", {**body, "token_id": new_id("tok")}, "c6")
    assert (answer.status_code, answer.json["code"]) == (403, "person_not_registered")
    assert citizen.get(f"/v1/me/cards/{new_id('tok')}").status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/me/devices", {}),
        ("/v1/me/cards", {"token_id": "x"}),
        ("/v1/me/cards/tok_1/keys", {}),
        ("/v1/me/cards/tok_1/keys", {"atc": -1}),
        ("/v1/me/cards/tok_1/keys", {"atc": 65536}),
        ("/v1/me/cards/tok_1/keys", {"atc": "1"}),
        ("/v1/me/cards/tok_1/keys", {"atc": True}),
        ("/v1/me/cards/tok_1/loss-report", {"why": "x"}),
    ],
    ids=str,
)
def test_bodies_that_do_not_fit_are_422(citizen: Citizen, path: str, body: dict[str, Any]) -> None:
    assert citizen.post(path, body, "x").status_code == 422


def test_nobody_else_comes_in(app: Flask, citizen: Citizen) -> None:
    client = app.test_client()
    for path in ("/v1/me/devices", "/v1/me/cards", "/v1/me/cards/tok_1"):
        assert client.get(path).status_code == 401
    missing = client.post("/v1/me/cards", json={}, headers=citizen.bearer)
    assert missing.status_code == 422
