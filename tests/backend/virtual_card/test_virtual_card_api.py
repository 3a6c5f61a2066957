"""The citizen's resources over HTTP: statuses, shapes, problem documents."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from card_world import PHONE_CARD, VENDOR, Phone, World
from flask import Flask
from flask.testing import FlaskClient

from backend.db import Databases
from backend.kernel import new_id
from backend.keys import KeyRef, SoftwareKeys, key_to_jwk, point_to_jwk
from backend.virtual_card import IssuerProfile
from backend.virtual_card.api import internal_blueprint
from backend.web import Caller, CallerKind
from backend.web.application import Network, make_app
from card_protocol import key_batch, sm2
from card_protocol.mobile_card import Certificate, Suite, compressed_point, verify_certificate


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
    names = {"device_id", "name", "state", "enrolled_at", "attested", "os_integrity", "suites"}
    assert set(enrolled.json) == names
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


def sm2_body(phone: Phone, **said: Any) -> dict[str, Any]:
    given = phone.sm2_given(**said)
    key = point_to_jwk(sm2.uncompressed(given.signing_key), Suite.SM4_SM2)
    return {"signing_key": key, "proof": b64u(given.proof)}


def test_an_sm2_key_over_http(world: World, citizen: Citizen) -> None:
    """Goal: enrolled with the key, or added to it; what is no such key is refused by field."""
    phone, later = Phone(), Phone()
    body = {**enrol_body(world, phone), "sm2": sm2_body(phone)}
    assert citizen.post("/v1/me/devices", body, "d1").json["suites"] == [1, 2]
    enrolled = citizen.post("/v1/me/devices", enrol_body(world, later), "d2")
    assert enrolled.json["suites"] == [1]
    path = f"/v1/me/devices/{later.device_id}/sm2-key"
    asked = {"sm2": sm2_body(later), "proof": later.proof(world.clock, aud=path)}
    added = citizen.post(path, asked, "s1")
    assert (added.status_code, added.json) == (200, {**enrolled.json, "suites": [1, 2]})
    replayed = citizen.post(path, asked, "s1")
    assert (replayed.json, replayed.headers["Idempotent-Replayed"]) == (added.json, "true")
    other = replace(later, sm2=Phone().sm2)
    refused = citizen.post(path, {**asked, "sm2": sm2_body(other)}, "s2")
    assert (refused.status_code, refused.json["code"]) == (409, "device_key_exists")
    forged = {**asked, "sm2": sm2_body(later, device_id=phone.device_id)}
    refused = citizen.post(path, forged, "s3")
    assert (refused.status_code, refused.json["code"]) == (401, "proof_invalid")
    p256 = key_to_jwk(later.signing.public_key())
    for key in (p256, {**p256, "crv": "SM2"}, {**asked["sm2"]["signing_key"], "crv": "P-256"}):
        wrong = {**asked, "sm2": {**asked["sm2"], "signing_key": key}}
        assert citizen.post(path, wrong, "s4").status_code == 422
    short = {**asked, "sm2": {**asked["sm2"], "proof": b64u(bytes(63))}}
    assert citizen.post(path, short, "s5").status_code == 422
    stranger = citizen.post(f"/v1/me/devices/{new_id('dev')}/sm2-key", asked, "s6")
    assert stranger.status_code == 404


def test_a_card_of_the_sm_suite_over_http(world: World, citizen: Citizen) -> None:
    product = replace(PHONE_CARD, suite=Suite.SM4_SM2)
    issuer = IssuerProfile(products={"phone_card": product})
    object.__setattr__(world.cards.issuing, "issuer", issuer)  # the application holds these cards
    phone = Phone()
    citizen.post("/v1/me/devices", enrol_body(world, phone), "d1")
    body = {
        "token_id": new_id("tok"),
        "device_id": phone.device_id,
        "wallet_id": world.wallet_id,
        "product": "phone_card",
    }
    refused = citizen.post("/v1/me/cards", body, "c1")
    assert (refused.status_code, refused.json["code"]) == (409, "device_key_missing")
    assert refused.json["suite"] == "sm4_sm2"
    path = f"/v1/me/devices/{phone.device_id}/sm2-key"
    asked = {"sm2": sm2_body(phone), "proof": phone.proof(world.clock, aud=path)}
    citizen.post(path, asked, "s1")
    card = citizen.post("/v1/me/cards", body, "c2").json
    assert (card["suite"], card["keys"]["suite"]) == (2, 2)
    certificate = Certificate.decode(unb64u(card["certificate"]))
    assert certificate.device_key.point == phone.sm2.public_key
    assert verify_certificate(certificate, world.keys.public_point(KeyRef.ISSUER_SIGNING_SM2))


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


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_an_attested_phone_over_http(world: World, citizen: Citizen) -> None:
    phone = Phone()
    nonce = unb64u(citizen.get("/v1/me/devices/attestation-nonce").json["nonce"])
    point = compressed_point(phone.signing.public_key())
    statement = VENDOR.attest(point, nonce, world.clock.now(), os_integrity="broken")
    given = {"nonce": b64u(nonce), "statement": b64u(statement)}
    body = {**enrol_body(world, phone), "attestation": given}
    enrolled = citizen.post("/v1/me/devices", body, "d1")
    assert (enrolled.json["attested"], enrolled.json["os_integrity"]) == ("hardware", "broken")
    card = {
        "token_id": new_id("tok"),
        "device_id": phone.device_id,
        "wallet_id": world.wallet_id,
        "product": "phone_card",
    }
    declined = citizen.post("/v1/me/cards", card, "c1")
    assert (declined.status_code, declined.json["code"]) == (403, "provisioning_declined")
    assert declined.json["reasons"] == ["os_integrity_broken"]
    forged = {
        **body,
        "device_id": new_id("dev"),
        "attestation": {**given, "nonce": b64u(bytes(56))},
    }
    forged["proof"] = phone.proof(world.clock, jti=forged["device_id"])
    refused = citizen.post("/v1/me/devices", forged, "d2")
    assert (refused.status_code, refused.json["code"]) == (409, "attestation_nonce_unknown")


def test_events_codes_and_history_over_http(world: World, citizen: Citizen) -> None:
    phone, card, _ = world.issued()
    path = f"/v1/me/cards/{card.token_id}"
    event = {"event_id": new_id("cev"), "kind": "lost_phone", "device_id": phone.device_id}
    told = citizen.post("/v1/me/card-events", event, "e1")
    assert told.status_code == 201
    effect = {"token_id": card.token_id, "action": "suspend", "state": "suspended"}
    assert told.json == {
        "event_id": event["event_id"], "kind": "lost_phone", "effects": [effect]
    }  # fmt: skip
    assert citizen.post("/v1/me/card-events", event, "e2").json == told.json
    assert citizen.get(path).json["suspended_for"] == "lost_phone"
    asked = citizen.post(f"{path}/release", {}, "r1")
    assert (asked.status_code, asked.json["code"]) == (403, "step_up_required")
    world.deliver()
    text = world.sms.sent[-1][2]
    code = next(word for word in text.split() if word[:6].isdecimal())[:6]
    answers = f"/v1/me/step-ups/{asked.json['step_up_id']}/answers"
    assert citizen.post(answers, {"code": "12345"}, "a1").status_code == 422
    answered = citizen.post(answers, {"code": code}, "a2")
    assert (answered.status_code, answered.json["state"]) == (200, "passed")
    assert citizen.post(f"{path}/release", {}, "r2").json["state"] == "active"
    lines = citizen.get(f"{path}/history").json["data"]
    assert [(one["after"], one["reason"], one["by"]) for one in lines] == [
        ("active", "provisioned", "citizen"),
        ("suspended", "lost_phone", "citizen"),
        ("active", "holder_released", "citizen"),
    ]
    assert lines[1]["event_id"] == event["event_id"]
    assert "by_id" not in lines[0]


@pytest.mark.parametrize("kind", ["death", "moved_away", "rain"])
def test_a_citizen_may_not_tell_everything(citizen: Citizen, kind: str) -> None:
    event = {"event_id": new_id("cev"), "kind": kind}
    assert citizen.post("/v1/me/card-events", event, "e1").status_code == 422


class Desk:
    """The service line's login, granted or not; only this door is under test."""

    def __init__(self, *scopes: str) -> None:
        self.caller = Caller(CallerKind.STAFF, "stf_7", frozenset(scopes))

    def authenticate(self) -> Caller:
        return self.caller


def desk_app(world: World, databases: Databases, keys: SoftwareKeys, *scopes: str) -> Flask:
    services = (world.devices, world.cards)
    blueprints = (internal_blueprint,)
    return make_app(
        Network("internal", "test", blueprints, Desk(*scopes), keys, databases, services)
    )


def test_the_service_line_tells_reads_and_releases(
    world: World, databases: Databases, keys: SoftwareKeys
) -> None:
    phone = Phone()
    world.enrol_attested(phone)
    card = world.provision(phone, product="main_on_phone")
    client = desk_app(world, databases, keys, "cards.write").test_client()
    event = {"event_id": new_id("cev"), "kind": "moved_away", "person_id": world.person_id}
    headers = {"Idempotency-Key": "k1"}
    told = client.post("/v1/ops/card-events", json=event, headers=headers)
    assert (told.status_code, told.json["effects"][0]["state"]) == (201, "suspended")
    path = f"/v1/ops/cards/{card.token_id}"
    assert client.get(path).json["suspended_for"] == "moved_away"
    released = client.post(f"{path}/release", json={}, headers={"Idempotency-Key": "k2"})
    assert released.json["state"] == "active"
    lines = client.get(f"{path}/history").json["data"]
    assert [(one["reason"], one["by"], one["by_id"]) for one in lines[1:]] == [
        ("moved_away", "staff", "stf_7"),
        ("staff_released", "staff", "stf_7"),
    ]
    assert client.get(f"/v1/ops/cards/{new_id('tok')}").status_code == 404


def test_staff_without_the_scope_stays_out(
    world: World, databases: Databases, keys: SoftwareKeys
) -> None:
    client = desk_app(world, databases, keys, "ledger.read").test_client()
    assert client.get(f"/v1/ops/cards/{new_id('tok')}").status_code == 403
