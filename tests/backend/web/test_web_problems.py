"""What the edge answers when it says no: one document, one status per kind, two languages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import structlog
from flask.testing import FlaskClient
from web_world import REFUSALS

from backend.kernel import Kind
from backend.web.logs import set_up_logs
from backend.web.problems import STATUS

pytestmark = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)

MEMBERS = {"type", "title", "status", "code", "detail", "request_id", "retryable", "article"}
STATUS_OF_KIND = {
    Kind.INVALID: 422,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.UNKNOWN: 404,
    Kind.CONFLICT: 409,
    Kind.REFUSED: 402,
    Kind.LIMITED: 429,
    Kind.UNAVAILABLE: 503,
}


def _is_problem(answer: object, status: int, code: str) -> dict:
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    body = answer.get_json()
    assert set(body) >= MEMBERS
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == f"/docs/errors#{code}"
    assert body["request_id"] == answer.headers["X-Request-Id"]
    assert body["title"]
    assert body["detail"]
    assert "Traceback" not in answer.text
    return body


def test_every_kind_has_a_status_and_no_other_is_known(client: FlaskClient) -> None:
    assert set(STATUS_OF_KIND) == set(Kind) == set(STATUS)


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.value)
def test_every_kind_reaches_the_caller(client: FlaskClient, kind: Kind) -> None:
    answer = client.get(f"/v1/refuse/{kind.value}")
    body = _is_problem(answer, STATUS_OF_KIND[kind], REFUSALS[kind].code)
    assert (body["detail"], body["short_by_fen"]) == ("差 5 分", 5)
    assert (body["article"], body["retryable"]) == ("第三条", False)
    assert ("WWW-Authenticate" in answer.headers) is (kind is Kind.UNAUTHENTICATED)


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        (None, "zh"),
        ("", "zh"),
        ("zh-CN", "zh"),
        ("zh", "zh"),
        ("zh-Hans-CN", "zh"),
        ("zh-TW,en;q=0.5", "zh"),
        ("en", "en"),
        ("EN", "en"),
        ("en-US", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("en-US,zh-CN;q=0.8", "en"),
        ("en-US,en;q=0.9,zh-CN;q=0.8,zh;q=0.7", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en;q=0.2,zh;q=0.9", "zh"),
        ("fr,en;q=0.5", "en"),
        ("fr", "zh"),
        ("*", "zh"),
        ("en;q=0", "zh"),
        ("english", "zh"),
        (";;;q=,,=", "zh"),
        ("en;q=nonsense", None),
        ("x" * 5000, "zh"),
    ],
)
def test_the_caller_is_answered_in_the_language_asked_for_first(
    client: FlaskClient, asked: str | None, language: str | None
) -> None:
    headers = {} if asked is None else {"Accept-Language": asked}
    body = client.get("/v1/refuse/refused", headers=headers).get_json()
    texts = {"zh": ("样题", "差 5 分"), "en": ("Sample title", "short by 5 fen")}
    said = (body["title"], body["detail"])
    assert said in ([texts[language]] if language else texts.values())


@pytest.mark.parametrize("language", ["zh-CN", "en"])
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/days/2026-13-40", 404, "not_found"),
        ("GET", "/v1/days/２０２６-01-01", 404, "not_found"),
        ("GET", "/v1/things%00", 400, "body_malformed"),
        ("GET", "/v1/whoami?after=%00", 400, "body_malformed"),
        ("DELETE", "/v1/things", 405, "method_not_allowed"),
        ("BREW", "/v1/things", 405, "method_not_allowed"),
        ("GET", "/v1/break", 500, "internal_error"),
        ("GET", "/v1/whoami", 401, "token_missing"),
    ],
)
def test_the_edges_own_refusals_speak_both_languages(
    client: FlaskClient, language: str, method: str, path: str, *, status: int, code: str
) -> None:
    answer = client.open(path, method=method, headers={"Accept-Language": language})
    body = _is_problem(answer, status, code)
    is_chinese = any("\u4e00" <= one <= "\u9fff" for one in body["title"])
    assert is_chinese is (language == "zh-CN"), body["title"]
    assert any("\u4e00" <= one <= "\u9fff" for one in body["detail"]) is is_chinese


def test_a_wrong_method_hears_the_right_ones(client: FlaskClient) -> None:
    allowed = client.delete("/v1/things").headers["Allow"]
    assert {one.strip() for one in allowed.split(",")} >= {"GET", "POST"}


def test_a_date_in_a_path_is_a_date(client: FlaskClient) -> None:
    assert client.get("/v1/days/2026-11-23").get_json() == {"value": "2026-11-23"}


def test_a_bug_is_one_line_in_the_log_and_no_traceback_outside(
    client: FlaskClient, tmp_path: Path
) -> None:
    before = structlog.get_config()
    path = tmp_path / "log" / "city.log"
    set_up_logs(path)
    stream = structlog.get_config()["logger_factory"]._file
    try:
        answer = client.get("/v1/break", headers={"X-Request-Id": "request-under-test"})
    finally:
        structlog.configure(**before)
        stream.close()
    _is_problem(answer, 500, "internal_error")
    assert "ZeroDivision" not in answer.text
    assert "no traceback" not in answer.text
    line, answered = [json.loads(one) for one in path.read_text().splitlines()]
    assert line["request_id"] == answered["request_id"] == "request-under-test"
    assert (answered["event"], answered["status"]) == ("answered", 500)
    assert line["level"] == "error"
    assert "ZeroDivisionError" in line["exception"]


@pytest.mark.parametrize("good", ["a" * 8, "a" * 64, "A_b-0123456789"])
def test_a_request_id_is_taken_over(client: FlaskClient, good: str) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": good}).headers["X-Request-Id"] == good


@pytest.mark.parametrize("bad", ["", "short", "a" * 65, "has space", "ümläut-ü", "a;b=c,d" * 3])
def test_a_bad_or_missing_request_id_is_replaced(client: FlaskClient, bad: str) -> None:
    headers = {"X-Request-Id": bad.encode("utf-8").decode("latin-1")}
    made = client.get("/healthz", headers=headers).headers["X-Request-Id"]
    assert made.startswith("req_")
    assert client.get("/healthz").headers["X-Request-Id"] != made


@pytest.mark.parametrize(
    "path", ["/healthz", "/nowhere", "/v1/break", "/v1/refuse/refused", "/docs", "/metrics"]
)
def test_every_answer_carries_the_security_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    policy = {
        name: values
        for name, *values in map(str.split, headers["Content-Security-Policy"].split(";"))
    }
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == ["'self'"]
    assert policy["frame-ancestors"] == ["'none'"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
