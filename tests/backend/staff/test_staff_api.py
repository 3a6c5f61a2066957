"""The staff session over HTTP: cookie, CSRF token, scopes, and every refusal."""

from __future__ import annotations

from datetime import timedelta

import pytest

PASSWORD = "correct horse"
SESSION, LEDGER = "/v1/ops/session", "/v1/ops/ledger"


@pytest.fixture
def internal(make_internal):
    return make_internal()


@pytest.fixture
def client(internal):
    return internal.test_client()


@pytest.fixture
def body(totp):
    return {"username": "wang", "password": PASSWORD, "totp": totp()}


@pytest.fixture
def csrf(client, body):
    """The CSRF token of a client that has logged in."""
    answer = client.post(SESSION, json=body)
    assert answer.status_code == 200
    return {"X-CSRF-Token": answer.json["csrf_token"]}


def told(answer):
    return answer.status_code, answer.json["code"]


def test_a_day_at_the_desk(client, csrf):
    me = client.get(LEDGER)
    assert me.status_code == 200
    assert me.json["id"].startswith("stf_")
    assert (me.json["username"], me.json["roles"]) == ("wang", "operator")
    assert "ledger.read" in me.json["scopes"]
    assert client.post(LEDGER, headers=csrf).status_code == 200
    answer = client.delete(SESSION, headers=csrf)
    assert (answer.status_code, answer.data) == (204, b"")
    assert told(client.get(LEDGER)) == (401, "token_missing")  # the cookie is gone


@pytest.mark.parametrize("secure", [True, False])
def test_the_cookie(make_internal, body, secure):
    answer = make_internal(secure=secure).test_client().post(SESSION, json=body)
    assert set(answer.json) == {"csrf_token", "username", "roles"}
    assert answer.json["roles"] == ["operator"]
    cookie = answer.headers["Set-Cookie"]
    attributes = {part.strip() for part in cookie.split(";")[1:]}
    expected = {"HttpOnly", "SameSite=Strict", "Path=/"} | ({"Secure"} if secure else set())
    assert attributes == expected
    token = cookie.split(";")[0].removeprefix("staff=")
    assert len(token) == 43
    assert token not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "change", [{"username": "nobody"}, {"password": "wrong horse!"}, {"totp": "000000"}]
)
def test_every_refused_login_reads_the_same(client, body, change):
    answer = client.post(SESSION, json={**body, **change})
    assert told(answer) == (401, "staff_login_refused")
    assert "Set-Cookie" not in answer.headers
    stable = {name: value for name, value in answer.json.items() if name != "request_id"}
    assert stable == {
        "type": "/docs/errors#staff_login_refused",
        "title": "登录失败",
        "status": 401,
        "code": "staff_login_refused",
        "detail": "用户名、密码或动态码不正确，或账号已暂时锁定。",
        "retryable": False,
        "article": None,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"totp": "12345"},
        {"totp": "１２３４５６"},
        {"totp": 123456},
        {"username": "wang\x00"},
        {"username": "\ud800"},
        {"password": "\ud800"},
        {"password": "x" * 257},
        {"more": 1},
    ],
)
def test_a_malformed_login_is_422(client, body, change):
    assert client.post(SESSION, json={**body, **change}).status_code == 422


@pytest.fixture
def stranger(internal, body, csrf, clock, totp):
    """The CSRF token of somebody else's session."""
    clock.advance(timedelta(seconds=30))
    answer = internal.test_client().post(SESSION, json={**body, "totp": totp()})
    return {"X-CSRF-Token": answer.json["csrf_token"]}


def test_unsafe_methods_need_the_csrf_token(client, csrf, stranger):
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x" * 43}, stranger):
        assert told(client.post(LEDGER, headers=headers)) == (403, "csrf_invalid")
        assert told(client.delete(SESSION, headers=headers)) == (403, "csrf_invalid")
    assert client.get(LEDGER).status_code == 200
    assert client.post(LEDGER, headers=csrf).status_code == 200


def test_a_made_up_cookie(client):
    client.set_cookie("staff", "x" * 43)
    assert told(client.get(LEDGER)) == (401, "token_invalid")


def test_a_cookie_after_logging_out(client, csrf):
    token = client.get_cookie("staff").value
    assert client.delete(SESSION, headers=csrf).status_code == 204
    client.set_cookie("staff", token)
    assert told(client.get(LEDGER)) == (401, "token_invalid")


def test_an_expired_session(client, csrf, clock):
    clock.advance(timedelta(minutes=15))
    assert told(client.get(LEDGER)) == (401, "staff_session_expired")
    assert told(client.post(LEDGER, headers=csrf)) == (401, "staff_session_expired")


def test_a_bearer_token_opens_nothing_here(client):
    headers = {"Authorization": "Bearer x.y.z"}
    assert told(client.get(LEDGER, headers=headers)) == (401, "token_missing")


def test_roles_decide(client, staff, csrf, secret):
    staff.add("wang", PASSWORD, secret, ["auditor"])
    assert client.get(LEDGER).status_code == 200
    assert told(client.post(LEDGER, headers=csrf)) == (403, "access_denied")
    staff.add("wang", PASSWORD, secret, ["agent"])
    assert told(client.get(LEDGER)) == (403, "access_denied")
