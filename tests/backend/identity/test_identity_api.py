"""Log-in and registration over HTTP: shapes, problem documents, who may call."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from backend.identity.api import blueprint, internal_blueprint
from backend.keys import key_to_jwk
from backend.web import Caller, CallerKind
from backend.web.application import BearerAuthenticator, Network, make_app

LIN = ("林晓岚", "999901198804120243")


@dataclass(frozen=True)
class OneCaller:
    """Everybody is this caller."""

    caller: Caller

    def authenticate(self):
        return self.caller


@pytest.fixture
def public(city, keys, databases):
    network = Network(
        "public",
        "public",
        [blueprint],
        BearerAuthenticator(city.tokens),
        keys,
        databases,
        [city.logins, city.identity],
    )
    return make_app(network).test_client()


@pytest.fixture
def internal(city, keys, databases):
    def make(kind, *scopes):
        who = OneCaller(Caller(kind, "stf_1", frozenset(scopes)))
        services = [city.sandbox]
        network = Network(
            "internal", "internal", [internal_blueprint], who, keys, databases, services
        )
        return make_app(network).test_client()

    return make


@pytest.fixture
def operator(internal):
    return internal(CallerKind.STAFF, "sandbox.read")


def ask(public, city, phone):
    answer = public.post("/v1/login/codes", json={"phone": phone.number})
    assert answer.status_code == 202
    city.worker.deliver_due()
    text = city.sandbox.messages(phone.number)[0].text
    (code,) = re.findall("[0-9]{6}", text)
    return answer.json, code


def body_of(phone, asked, code):
    return {
        "challenge_id": asked["challenge_id"],
        "phone": phone.number,
        "code": code,
        "device_key": key_to_jwk(phone.key.public_key()),
        "device_name": "my phone",
        "proof": phone.proof("/v1/login/sessions", asked["challenge_id"]),
    }


def log_in(public, city, phone):
    answer = public.post("/v1/login/sessions", json=body_of(phone, *ask(public, city, phone)))
    assert answer.status_code == 201
    return answer.json


def bearer(tokens):
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def test_a_citizen_s_way_in(public, city):
    city.load(LIN)
    phone = city.phone()
    asked, code = ask(public, city, phone)
    assert set(asked) == {"challenge_id", "expires_at", "resend_at"}
    assert asked["expires_at"] == "2026-11-23T02:05:00.000+00:00"
    answer = public.post("/v1/login/sessions", json=body_of(phone, asked, code))
    assert answer.status_code == 201
    tokens = answer.json
    assert set(tokens) == {
        "access_token", "token_type", "expires_in", "refresh_token", "session_id", "registered",
    }  # fmt: skip
    assert public.get("/v1/me", headers=bearer(tokens)).json == {
        "person_id": city.tokens.check(tokens["access_token"]).id,
        "phone_masked": "138****0001",
        "name_masked": None,
        "id_number_masked": None,
        "registered": False,
        "matched_at": None,
    }
    registration = {"name": LIN[0], "id_number": LIN[1]}
    for _ in range(2):
        me = public.put("/v1/me/registration", json=registration, headers=bearer(tokens))
        assert me.status_code == 200
        assert me.json["name_masked"] == "林**"
        assert me.json["id_number_masked"] == "999***********0243"
        assert me.json["registered"] is True
        assert me.json["matched_at"] == "2026-11-23T02:00:00.000+00:00"
    refresh = {"refresh_token": tokens["refresh_token"], "proof": phone.refresh_proof()}
    renewed = public.post("/v1/login/refresh", json=refresh)
    assert renewed.status_code == 200
    assert renewed.json["registered"] is True
    assert public.get("/v1/me", headers=bearer(renewed.json)).json == me.json


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"code": "000000x"}, 401, "login_code_wrong"),
        ({"code": "x" * 17}, 422, "fields_invalid"),
        ({"code": 123456}, 422, "fields_invalid"),
        ({"phone": "1380000000"}, 422, "phone_invalid"),
        ({"phone": "13800000002"}, 401, "login_code_foreign"),
        ({"proof": "a.b.c"}, 401, "proof_invalid"),
        ({"proof": "\ud800"}, 422, "fields_invalid"),
        ({"device_name": "\ud800"}, 422, "fields_invalid"),
        ({"device_name": "a\x00b"}, 422, "fields_invalid"),
        ({"device_name": ""}, 422, "fields_invalid"),
        ({"device_key": {"kty": "RSA"}}, 422, "fields_invalid"),
        ({"challenge_id": "otc_1"}, 422, "fields_invalid"),
        ({"more": 1}, 422, "fields_invalid"),
    ],
)
def test_a_bad_log_in_is_a_problem(public, city, change, status, code):
    phone = city.phone()
    body = body_of(phone, *ask(public, city, phone))
    answer = public.post("/v1/login/sessions", json={**body, **change})
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert public.post("/v1/login/sessions", json=body).status_code == 201


def test_problems_tell_what_to_do(public, city):
    phone = city.phone()
    body = body_of(phone, *ask(public, city, phone))
    wrong = public.post("/v1/login/sessions", json={**body, "code": "abcdef"})
    assert wrong.json["tries_left"] == 4
    assert wrong.json["detail"] == "还可尝试 4 次。"
    often = public.post(
        "/v1/login/codes", json={"phone": phone.number}, headers={"Accept-Language": "en"}
    )
    assert (often.status_code, often.json["code"]) == (429, "login_too_often")
    assert often.json["detail"] == "Ask for the next code in 60 seconds."
    assert often.json["retry_after_seconds"] == 60
    assert often.json["retryable"] is True
    assert often.headers["Retry-After"] == "60"


def test_the_sms_is_in_the_caller_s_language(public, city):
    headers = {"Accept-Language": "en"}
    public.post("/v1/login/codes", json={"phone": "13800000001"}, headers=headers)
    city.worker.deliver_due()
    assert city.sandbox.messages("13800000001")[0].text.startswith("[City Card] Your login code")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": LIN[0], "id_number": "999901198804120244"}, 422, "id_number_invalid"),
        ({"name": " ", "id_number": LIN[1]}, 422, "name_invalid"),
        ({"name": LIN[0], "id_number": "99990119880412031X"}, 422, "id_number_invalid"),
        ({"name": "张三", "id_number": LIN[1]}, 409, "base_record_differs"),
        ({"name": "\ud800", "id_number": LIN[1]}, 422, "fields_invalid"),
        ({"name": None, "id_number": LIN[1]}, 422, "fields_invalid"),
        ({"name": LIN[0]}, 422, "fields_invalid"),
    ],
)
def test_a_bad_registration_is_a_problem(public, city, body, status, code):
    city.load(LIN)
    tokens = log_in(public, city, city.phone())
    answer = public.put("/v1/me/registration", json=body, headers=bearer(tokens))
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert LIN[1] not in answer.text


def test_a_child_is_told_the_article(public, city, make_id_number):
    tokens = log_in(public, city, city.phone())
    body = {"name": "周小满", "id_number": make_id_number("20150101")}
    answer = public.put("/v1/me/registration", json=body, headers=bearer(tokens))
    assert (answer.status_code, answer.json["code"]) == (403, "guardian_needed")
    assert answer.json["article"] == "个人信息保护法 第三十一条"


@pytest.mark.parametrize(("method", "path"), [("get", "/v1/me"), ("put", "/v1/me/registration")])
def test_a_login_is_needed(public, method, path):
    answer = getattr(public, method)(path, json={})
    assert (answer.status_code, answer.json["code"]) == (401, "token_missing")


@pytest.mark.parametrize("path", ["codes", "sessions", "refresh"])
@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"null"])
def test_what_is_no_object(public, path, body):
    answer = public.post(f"/v1/login/{path}", data=body, content_type="application/json")
    assert answer.status_code in (400, 422)
    assert answer.json["code"] in ("body_malformed", "fields_invalid")


def test_an_operator_reads_the_sandbox(operator, city):
    for n in range(3):
        city.sandbox.send(f"otc_{n}", "13800000001", f"text {n}")
    query = {"phone": "13800000001", "limit": 2}
    page = operator.get("/v1/ops/sandbox/messages", query_string=query).json
    assert page["data"][0] == {
        "message_id": "otc_2",
        "phone": "13800000001",
        "text": "text 2",
        "sent_at": "2026-11-23T02:00:00.000+00:00",
    }
    assert len(page["data"]) == 2
    rest = operator.get(
        "/v1/ops/sandbox/messages", query_string={**query, "after": page["next"]}
    ).json
    assert ([one["text"] for one in rest["data"]], rest["next"]) == (["text 0"], None)


@pytest.mark.parametrize(
    "query",
    ["", "phone=1", "phone=13800000001&after=9223372036854775808", "phone=13800000001&limit=0"],
)
def test_a_bad_query(operator, query):
    answer = operator.get(f"/v1/ops/sandbox/messages?{query}")
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("kind", "scopes"),
    [(CallerKind.STAFF, ["ledger.read"]), (CallerKind.CITIZEN, ["sandbox.read"])],
)
def test_others_do_not(internal, kind, scopes):
    answer = internal(kind, *scopes).get("/v1/ops/sandbox/messages?phone=13800000001")
    assert (answer.status_code, answer.json["code"]) == (403, "access_denied")
