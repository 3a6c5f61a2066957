"""Bodies as attackers and broken clients send them; commands and their ids over HTTP."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from web_world import SECRET

from backend.db import METADATA, Units, Which
from backend.web import AccessTokens, Caller, CallerKind

GOOD = {"name": "a", "amount_fen": 5}
JSON = "application/json"
DEEP = b"[" * 10_000 + b"]" * 10_000

pytestmark = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)


def _told(units: Units) -> int:
    with units.read(Which.BUSINESS) as work:
        rows = select(func.count()).select_from(METADATA[Which.BUSINESS].tables["outbox"])
        return int(work.execute(rows).scalar_one())


def _key(key: str = "key-1") -> dict[str, str]:
    return {"Idempotency-Key": key}


BODIES = {
    "cut": (b'{"name": ', JSON, 400, "body_malformed"),
    "text": (b"hello", JSON, 400, "body_malformed"),
    "two": (b"{} {}", JSON, 400, "body_malformed"),
    "not UTF-8": (b'{"name": "\xff"}', JSON, 400, "body_malformed"),
    "UTF-16": ('{"name": "a"}'.encode("utf-16"), JSON, 400, "body_malformed"),
    "byte order mark": (b'\xef\xbb\xbf{"name": "a"}', JSON, 400, "body_malformed"),
    "10 000 deep": (DEEP, JSON, 400, "body_malformed"),
    "10 000 deep inside": (b'{"name": ' + DEEP + b"}", JSON, 400, "body_malformed"),
    "10 000 objects deep": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, JSON, 400, "body_malformed"),
    "duplicate": (b'{"name":"a","amount_fen":1,"amount_fen":2}', JSON, 400, "body_malformed"),
    "NaN": (b'{"name":"a","amount_fen":NaN}', JSON, 400, "body_malformed"),
    "-Infinity": (b'{"name":"a","amount_fen":-Infinity}', JSON, 400, "body_malformed"),
    "5000 digits": (b'{"amount_fen":' + b"9" * 5000 + b"}", JSON, 400, "body_malformed"),
    "lone surrogate": (b'{"name":"\\ud800","amount_fen":1}', JSON, 422, "fields_invalid"),
    "surrogate in a key": (b'{"\\ud800":1}', JSON, 422, "fields_invalid"),
    "NUL": (b'{"name":"a\\u0000","amount_fen":1}', JSON, 422, "fields_invalid"),
    "10 MB": (b'"' + b"a" * 10_000_000 + b'"', JSON, 413, "body_too_large"),
    "empty": (b"", JSON, 422, "fields_invalid"),
    "array": (b"[]", JSON, 422, "fields_invalid"),
    "array of fields": (b'[["name","a"]]', JSON, 422, "fields_invalid"),
    "number": (b"5", JSON, 422, "fields_invalid"),
    "zero": (b"0", JSON, 422, "fields_invalid"),
    "string": (b'"a"', JSON, 422, "fields_invalid"),
    "null": (b"null", JSON, 422, "fields_invalid"),
    "false": (b"false", JSON, 422, "fields_invalid"),
    "1e309": (b'{"name":"a","amount_fen":1e309}', JSON, 422, "fields_invalid"),
    "form": (b"name=a&amount_fen=5", "application/x-www-form-urlencoded", 415, None),
    "plain text": (json.dumps(GOOD).encode(), "text/plain", 415, None),
    "XML": (b"<name>a</name>", "application/xml", 415, None),
    "no type": (json.dumps(GOOD).encode(), None, 415, None),
    "nonsense type": (json.dumps(GOOD).encode(), ";;;", 415, None),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_gets_a_problem_and_changes_nothing(
    client: FlaskClient, citizen: dict[str, str], units: Units, name: str
) -> None:
    data, content_type, status, code = BODIES[name]
    answer = client.post(
        "/v1/things", data=data, content_type=content_type, headers={**citizen, **_key()}
    )
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    assert answer.get_json()["code"] == (code or "media_type_unsupported")
    assert answer.get_json()["request_id"] == answer.headers["X-Request-Id"]
    assert _told(units) == 0


@pytest.mark.parametrize("data", [DEEP, b'"' + b"a" * 200_000 + b'"'], ids=["deep", "large"])
def test_a_body_sent_in_chunks_is_judged_as_well(client: FlaskClient, data: bytes) -> None:
    """No Content-Length: nothing may be skipped for want of it."""
    answer = client.post(
        "/v1/echo",
        input_stream=io.BytesIO(data),
        content_type=JSON,
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    )
    assert answer.status_code in (400, 413), answer.text
    assert answer.content_type == "application/problem+json"


class _HungUp(io.BytesIO):
    """A connection that ends before the body does."""

    def readinto(self, _buffer: Any) -> int:
        raise ConnectionResetError

    def read(self, _size: int | None = -1) -> bytes:
        raise ConnectionResetError


@pytest.mark.parametrize("length", ["9", None], ids=["length", "chunks"])
@pytest.mark.parametrize("stream", [_HungUp, lambda: io.BytesIO(b'{"a"')], ids=["reset", "short"])
def test_a_caller_that_hangs_up_is_no_bug(
    client: FlaskClient, stream: Any, length: str | None
) -> None:
    overrides = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    if length is not None:
        overrides = {"CONTENT_LENGTH": length}
    answer = client.post(
        "/v1/echo", input_stream=stream(), content_type=JSON, environ_overrides=overrides
    )
    assert (answer.status_code, answer.get_json()["code"]) == (400, "body_malformed")


def test_a_fine_body_passes(client: FlaskClient) -> None:
    sent = {"name": "付款 \U0001f600", "amount_fen": 2**31 - 1, "remark": None}
    for content_type in (JSON, "application/json; charset=utf-8", "application/cbor+json"):
        answer = client.post("/v1/echo", data=json.dumps(sent), content_type=content_type)
        assert answer.get_json() == sent


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"name": ["必填"], "amount_fen": ["必填"]}),
        ({**GOOD, "more": 1}, {"more": ["没有这个字段"]}),
        ({**GOOD, "name": None}, {"name": ["不能为空"]}),
        ({**GOOD, "name": 5}, {"name": ["须为文字"]}),
        ({**GOOD, "amount_fen": "5"}, {"amount_fen": ["须为整数"]}),
        ({**GOOD, "amount_fen": 5.0}, {"amount_fen": ["须为整数"]}),
        ({**GOOD, "amount_fen": True}, {"amount_fen": ["须为整数"]}),
        ([], {"body": ["须为 JSON 对象"]}),
    ],
)
def test_each_wrong_field_is_named(client: FlaskClient, body: Any, errors: dict) -> None:
    answer = client.post("/v1/echo", json=body)
    assert (answer.status_code, answer.get_json()["errors"]) == (422, errors)


@pytest.mark.parametrize("amount", [0, -1, 2**31, 2**53, 2**64, 10**30])
def test_amounts_out_of_range_are_named_in_english_too(client: FlaskClient, amount: int) -> None:
    sent = {**GOOD, "amount_fen": amount}
    answer = client.post("/v1/echo", json=sent, headers={"Accept-Language": "en"})
    assert answer.status_code == 422
    (message,) = answer.get_json()["errors"]["amount_fen"]
    assert message.isascii()


@pytest.mark.parametrize("limit", ["0", "-1", "201", "x", "1e3", "", "1" * 400])
def test_a_page_has_bounds(client: FlaskClient, citizen: dict[str, str], limit: str) -> None:
    answer = client.get(f"/v1/things?limit={limit}", headers=citizen)
    assert (answer.status_code, list(answer.get_json()["errors"])) == (422, ["limit"])


def test_a_page_has_a_default(client: FlaskClient, citizen: dict[str, str]) -> None:
    assert client.get("/v1/things", headers=citizen).get_json() == {"data": [], "next": "50"}


# --- commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", [None, "", "a" * 65, "with space", "a/b", "schlüssel", "a\tb", "键"]
)
def test_a_command_without_a_proper_key_does_nothing(
    client: FlaskClient, citizen: dict[str, str], units: Units, key: str | None
) -> None:
    headers = dict(citizen)
    if key is not None:
        headers |= _key(key.encode("utf-8").decode("latin-1"))
    answer = client.post("/v1/things", json=GOOD, headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "idempotency_key_missing")
    assert _told(units) == 0


@pytest.mark.parametrize(("amount", "status"), [(5, 201), (666, 402)], ids=["done", "refused"])
def test_the_same_request_hears_the_same_bytes(
    client: FlaskClient, citizen: dict[str, str], units: Units, amount: int, status: int
) -> None:
    """A refusal too, and also when the caller's language has changed since."""
    body = {"name": "付款", "amount_fen": amount}
    answers = [
        client.post(
            "/v1/things", json=body, headers={**citizen, **_key(), "Accept-Language": language}
        )
        for language in ("en", "en", "zh-CN")
    ]
    assert {one.status_code for one in answers} == {status}
    assert {one.data for one in answers} == {answers[0].data}
    assert {one.content_type for one in answers} == {answers[0].content_type}
    assert [one.headers.get("Idempotent-Replayed") for one in answers] == [None, "true", "true"]
    assert _told(units) == (1 if status == 201 else 0)


def test_other_content_under_the_key_is_a_conflict_naming_the_field(
    client: FlaskClient, citizen: dict[str, str], units: Units
) -> None:
    headers = {**citizen, **_key()}
    client.post("/v1/things", json=GOOD, headers=headers)
    answer = client.post("/v1/things", json={**GOOD, "amount_fen": 6}, headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "idempotency_conflict")
    assert answer.get_json()["fields"] == "amount_fen"
    assert _told(units) == 1


def test_the_path_belongs_to_the_content(client: FlaskClient, citizen: dict[str, str]) -> None:
    headers = {**citizen, **_key()}
    assert client.post("/v1/things/a/touch", json={}, headers=headers).status_code == 200
    answer = client.post("/v1/things/b/touch", json={}, headers=headers)
    assert (answer.status_code, answer.get_json()["fields"]) == (409, "path.thing_id")


def test_a_command_without_fields_needs_no_body(
    client: FlaskClient, citizen: dict[str, str]
) -> None:
    headers = {**citizen, **_key()}
    assert client.post("/v1/things/a/touch", headers=headers).get_json() == {"value": "a"}
    again = client.post("/v1/things/a/touch", json={}, headers=headers)
    assert again.headers["Idempotent-Replayed"] == "true"


def test_keys_of_other_callers_are_other_keys(
    client: FlaskClient, citizen: dict[str, str], tokens: AccessTokens, units: Units
) -> None:
    other = {"Authorization": f"Bearer {tokens.issue(Caller(CallerKind.CITIZEN, 'per_2'))}"}
    for headers in (citizen, other):
        answer = client.post("/v1/things", json=GOOD, headers={**headers, **_key()})
        assert "Idempotent-Replayed" not in answer.headers
    assert _told(units) == 2


def test_a_bug_in_a_command_keeps_no_answer(
    client: FlaskClient, citizen: dict[str, str], units: Units
) -> None:
    for _ in range(2):
        answer = client.post(
            "/v1/things", json={**GOOD, "amount_fen": 667}, headers={**citizen, **_key()}
        )
        assert answer.status_code == 500
        assert "Idempotent-Replayed" not in answer.headers
        assert SECRET not in answer.text
    assert _told(units) == 0


def test_what_is_kept_of_a_request_does_not_show_its_values(
    client: FlaskClient, citizen: dict[str, str], units: Units
) -> None:
    sent = {**GOOD, "name": SECRET, "amount_fen": 666}
    client.post("/v1/things", json=sent, headers={**citizen, **_key()})
    with units.read(Which.BUSINESS) as work:
        (row,) = work.execute(select(METADATA[Which.BUSINESS].tables["answer"])).all()
    assert set(row.content) == {"name", "amount_fen"}
    assert SECRET not in json.dumps(row.content)
