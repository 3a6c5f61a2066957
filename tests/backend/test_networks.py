"""Goal: each network shows what it should, to whom it should, and its document says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient

from backend.app import Parts, create_internal_app, create_public_app, open_parts
from backend.config import load_config
from backend.web import Caller, CallerKind
from backend.web.describe import operation_refusals

SHARED = {"/healthz", "/readyz", "/metrics", "/docs", "/docs/errors", "/openapi.json", "/"}
PREFIXES = {
    CallerKind.CITIZEN: "/v1/me",
    CallerKind.TERMINAL: "/v1/terminal",
    CallerKind.MERCHANT: "/v1/merchant",
    CallerKind.STAFF: "/v1/ops",
    CallerKind.BANK: "/v1/bank",
}
OPEN_COMMANDS = {"/v1/login/codes", "/v1/login/sessions", "/v1/login/refresh"} | {
    "/v1/activations",
    "/v1/token",
}
BEARERS = (CallerKind.CITIZEN, CallerKind.TERMINAL, CallerKind.MERCHANT)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """A whole city on SQLite, empty."""
    var = tmp_path_factory.mktemp("var")
    opened = open_parts(load_config({"CITY_VAR": str(var)}), make=True)
    yield opened
    opened.databases.close()


@pytest.fixture(scope="module")
def public(parts: Parts) -> Flask:
    return create_public_app(parts)


@pytest.fixture(scope="module")
def internal(parts: Parts) -> Flask:
    return create_internal_app(parts)


def views(app: Flask) -> Iterator[tuple[str, str, Any]]:
    """(path, method, view method) of every route."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        view_class = getattr(view, "view_class", None)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule.rule, method, getattr(view_class, method.lower(), view)


def paths(app: Flask) -> set[str]:
    return {rule.rule for rule in app.url_map.iter_rules()}


def test_the_networks_share_no_route_but_the_common_ones(public: Flask, internal: Flask) -> None:
    shared = {path for path in paths(public) & paths(internal) if path.startswith("/v1")}
    assert shared == set()
    assert paths(public) >= SHARED
    assert paths(internal) >= SHARED


@pytest.mark.parametrize("network", ["public", "internal"])
def test_every_route_says_who_may_call_it(network: str, request: pytest.FixtureRequest) -> None:
    app: Flask = request.getfixturevalue(network)
    nameless = [
        (path, method)
        for path, method, view in views(app)
        if not hasattr(view, "access") and path != "/openapi.json"
    ]
    assert nameless == []


@pytest.mark.parametrize("network", ["public", "internal"])
def test_the_path_tells_the_caller(network: str, request: pytest.FixtureRequest) -> None:
    app: Flask = request.getfixturevalue(network)
    for path, _, view in views(app):
        if not path.startswith("/v1"):
            continue
        kind = view.access.kind
        if kind is CallerKind.ANYONE:
            assert path in OPEN_COMMANDS or path == "/v1/ops/session", path
        else:
            assert path.startswith(PREFIXES[kind]), (path, kind)


def call(client: FlaskClient, path: str, method: str, **more: Any) -> int:
    filled = path.replace("<date:business_date>", "2026-11-23")
    filled = "/".join("x" if part.startswith("<") else part for part in filled.split("/"))
    headers = {"Idempotency-Key": "k", **more.pop("headers", {})}
    return client.open(filled, method=method, json={}, headers=headers).status_code


def test_every_public_route_refuses_every_other_caller(parts: Parts, public: Flask) -> None:
    client = public.test_client()
    place = {"merchant_id": "mer_x", "shop_id": "shp_x", "session_id": "ses_x"}
    scopes = frozenset(kind.value for kind in BEARERS) | {"me"}
    tokens = {kind: parts.tokens.issue(Caller(kind, "x", scopes, place)) for kind in BEARERS}
    for path, method, view in views(public):
        kind = getattr(view, "access", None) and view.access.kind
        if kind not in BEARERS:
            continue
        assert call(client, path, method) == 401, path
        for other, token in tokens.items():
            status = call(client, path, method, headers={"Authorization": f"Bearer {token}"})
            assert (status == 403) == (other is not kind), (path, method, other, status)
            assert status not in (401, 500), (path, method, other, status)


def test_no_bearer_token_opens_the_internal_network(parts: Parts, internal: Flask) -> None:
    client = internal.test_client()
    for kind in (*BEARERS, CallerKind.STAFF):
        token = parts.tokens.issue(Caller(kind, "stf_x", frozenset({"ledger.read"})))
        for path, method, view in views(internal):
            if getattr(view, "access", None) and view.access.kind is CallerKind.STAFF:
                headers = {"Authorization": f"Bearer {token}"}
                assert call(client, path, method, headers=headers) == 401, path


@pytest.mark.parametrize("network", ["public", "internal"])
def test_every_operation_is_documented(network: str, request: pytest.FixtureRequest) -> None:
    app: Flask = request.getfixturevalue(network)
    document = app.test_client().get("/openapi.json").get_json()
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            where = f"{method} {path}"
            assert operation.get("summary"), where
            assert operation["x-caller"] in {kind.value for kind in CallerKind}, where
            assert any(status.startswith("2") for status in operation["responses"]), where
            assert "503" in operation["responses"], where
            if operation["x-caller"] not in ("anyone", "bank"):
                assert operation["security"], where


@pytest.mark.parametrize("network", ["public", "internal"])
def test_every_named_thing_may_be_unknown(network: str, request: pytest.FixtureRequest) -> None:
    """An operation about one thing says how it answers for a thing that is not yours."""
    app: Flask = request.getfixturevalue(network)
    silent = []
    for path, method, view in views(app):
        if path.startswith("/v1") and "<" in path and "<date:" not in path:
            codes = {refusal.code for refusal in operation_refusals(view)}
            if not any(code.endswith("_unknown") for code in codes):
                silent.append((method, path))
    assert silent == []


def test_commands_that_make_or_move_demand_an_idempotency_key(public: Flask) -> None:
    free = OPEN_COMMANDS | {"/v1/bank/notices", "/v1/me/merchant-codes"}
    for path, method, view in views(public):
        if path.startswith("/v1") and method == "POST" and path not in free:
            assert getattr(view, "is_command", False), (method, path)


def test_the_keys_of_the_tokens_are_published(parts: Parts, public: Flask) -> None:
    token = parts.tokens.issue(Caller(CallerKind.CITIZEN, "per_x", frozenset({"me"}), {}))
    (published,) = public.test_client().get("/.well-known/jwks.json").get_json()["keys"]
    key = jwt.PyJWK(published)
    assert jwt.get_unverified_header(token)["kid"] == published["kid"]
    assert jwt.decode(token, key, algorithms=["ES256"])["sub"] == "per_x"
    assert "d" not in published


def test_pages_and_documents_answer(public: Flask, internal: Flask, tmp_path: Path) -> None:
    for app in (public, internal):
        for path in ("/docs", "/docs/errors", "/healthz", "/readyz", "/metrics", "/"):
            assert app.test_client().get(path).status_code == 200, path
        assert app.test_client().get("/static/../application.py").status_code == 404
