"""The rest of the edge: health, figures, limits, documents and files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from flask import Flask
from flask.testing import FlaskClient

from backend.db import Databases, Which
from backend.web import AccessTokens, Caller, CallerKind
from backend.web.docs import STATIC

ON_SQLITE = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
MakeApp = Callable[..., Flask]


def test_a_whole_network_is_alive_and_ready(client: FlaskClient) -> None:
    assert client.get("/healthz").get_json() == {"status": "ok"}
    answer = client.get("/readyz")
    names = dict.fromkeys(("identity", "business", "ledger"), True)
    assert (answer.status_code, answer.get_json()) == (200, {"ready": True, "databases": names})


@ON_SQLITE
def test_without_a_database_it_is_alive_and_not_ready(
    client: FlaskClient, databases: Databases
) -> None:
    Path(str(databases[Which.LEDGER].engine.url.database)).unlink()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.get_json()["databases"] == {"identity": True, "business": True, "ledger": False}
    assert client.get("/healthz").status_code == 200


def _figures(client: FlaskClient) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("http_")
    }


@ON_SQLITE
def test_figures_count_by_route_and_not_by_what_callers_invent(client: FlaskClient) -> None:
    before = _figures(client)
    for number in range(5):
        client.get(f"/v1/days/2026-11-0{number + 1}")
        client.get(f"/nowhere/{number}")
        client.open("/healthz", method=f"BREW{number}")
    after = _figures(client)
    name = next(one for one in after if one.startswith("http_requests_total") and "days" in one)
    assert after[name] - before.get(name, 0) == 5
    assert not [one for one in after if "BREW" in one or "/nowhere" in one]
    assert any('method="other"' in one for one in after)


@ON_SQLITE
def test_a_refused_body_takes_no_hours_in_the_figures(client: FlaskClient) -> None:
    """The clock starts before anything can refuse."""
    before = _figures(client)
    client.post("/v1/echo", data=b"{", content_type="application/json")
    after = _figures(client)
    name = next(
        one for one in after if one.startswith("http_request_seconds_sum") and "echo" in one
    )
    assert 0 < after[name] - before.get(name, 0) < 10


@ON_SQLITE
def test_too_many_requests_hear_when_to_come_again(sample_app: MakeApp) -> None:
    client = sample_app(requests_per_minute=3).test_client()
    left = [int(client.get("/healthz").headers["RateLimit-Remaining"]) for _ in range(3)]
    assert left == [2, 1, 0]
    answer = client.get("/healthz", headers={"X-Request-Id": "request-of-mine"})
    body = answer.get_json()
    assert (answer.status_code, body["code"]) == (429, "too_many_requests")
    assert answer.content_type == "application/problem+json"
    assert body["request_id"] == answer.headers["X-Request-Id"] == "request-of-mine"
    assert 0 < int(answer.headers["Retry-After"]) <= 61
    assert 0 <= int(answer.headers["RateLimit-Reset"]) <= 61
    assert answer.headers["RateLimit-Limit"] == "3"
    assert answer.headers["RateLimit-Remaining"] == "0"


@ON_SQLITE
def test_invented_logins_share_the_limit_of_their_address(sample_app: MakeApp) -> None:
    """Else a new header a request would be a way around the limit, and fill the memory."""
    client = sample_app(requests_per_minute=3).test_client()
    codes = [
        client.get("/healthz", headers={"Authorization": f"Bearer {number}"}).status_code
        for number in range(5)
    ]
    assert codes == [200, 200, 200, 429, 429]


@ON_SQLITE
def test_a_login_has_a_limit_of_its_own(sample_app: MakeApp, tokens: AccessTokens) -> None:
    client = sample_app(requests_per_minute=2).test_client()

    def codes(person: str) -> list[int]:
        """Two requests, each with a fresh token of the same person."""
        return [
            client.get(
                "/healthz",
                headers={
                    "Authorization": f"Bearer {tokens.issue(Caller(CallerKind.CITIZEN, person))}"
                },
            ).status_code
            for _ in range(2)
        ]

    assert codes("per_1") == [200, 200]
    assert codes("per_1") == [429, 429]
    assert codes("per_2") == [200, 200]
    assert client.get("/healthz").status_code == 200


@ON_SQLITE
def test_the_document_and_its_pages_are_there(client: FlaskClient) -> None:
    spec = client.get("/openapi.json").get_json()
    assert spec["openapi"].startswith("3.1")
    post = spec["paths"]["/v1/things"]["post"]
    header, dry_run = [one for one in post["parameters"] if one.get("in") == "header"]
    assert (dry_run["name"], dry_run["required"]) == ("Dry-Run", False)
    assert (header["name"], header["required"]) == ("Idempotency-Key", True)
    page = client.get("/docs").text
    for link in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert not link.startswith(("http:", "https:", "//")), "browsable offline"
        if link.startswith("/static/"):
            assert client.get(link, buffered=True).status_code == 200, link
    assert "token_missing" in client.get("/docs/errors").text


@ON_SQLITE
def test_files_are_kept_by_the_browser(client: FlaskClient) -> None:
    headers = client.get("/static/docs.js", buffered=True).headers
    assert headers["Cache-Control"] == "public, max-age=3600"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "javascript" in headers["Content-Type"]


@ON_SQLITE
@pytest.mark.parametrize(
    "path",
    [
        "/static/../docs.py",
        "/static/..%2fdocs.py",
        "/static/%2e%2e/docs.py",
        "/static/%2e%2e%2fdocs.py",
        "/static/..%5cdocs.py",
        "/static/vendor/../../docs.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        f"/static/{STATIC.parent}/docs.py",
        "/static/.",
        "/static/",
        "/static/vendor",
        "/static/vendor/",
        "/static/docs.js%00.png",
        "/static/nothing.js",
        "/docs/../tokens.py",
        "/docs/%2e%2e/tokens.py",
        "/docs/errors/../../tokens.py",
    ],
)
def test_no_path_leaves_the_folder_of_files(client: FlaskClient, path: str) -> None:
    answer = client.get(path, follow_redirects=True, buffered=True)
    assert answer.status_code in (400, 404), path
    assert answer.content_type == "application/problem+json"
    assert "import" not in answer.text
    assert "root:" not in answer.text


def test_each_request_leaves_one_line_that_names_nobody(client: FlaskClient) -> None:
    with structlog.testing.capture_logs() as lines:
        client.get("/docs/errors?phone=13800000001")
        client.get("/nothing/13800000001")
        client.get("/healthz")
    answered = [line for line in lines if line["event"] == "answered"]
    assert [(line["route"], line["status"]) for line in answered] == [
        ("/docs/errors", 200),
        ("none", 404),
    ]
    assert all(line["milliseconds"] >= 0 for line in answered)
    assert "13800000001" not in str(lines)
