"""Statements over HTTP: shapes, files, pages, languages; and whatever may be asked wrongly."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from statement_world import Books, Move, utc

from backend.db import DatabaseUnavailable
from backend.kernel import new_id
from backend.wallet.ledger import reading
from backend.wallet.statements import service
from backend.web import AccessTokens, Caller, CallerKind
from tests.backend.wallet.statements.conftest import Headers

MONTH_PATHS = ("statements/2026-11", "statements/2026-11.csv", "statements/2026-11.html")
DAYS = "?first_day=2026-11-01&last_day=2026-11-23"
DAYS_PATHS = tuple(f"statements{form}{DAYS}" for form in ("", ".csv", ".html"))
BALANCE = "balance?at=2026-11-20T12:00:00Z"
RECEIPTS = ("lines/2/receipt", "lines/2/receipt.html")
ALL_PATHS = (*MONTH_PATHS, *DAYS_PATHS, BALANCE, *RECEIPTS)
EVIL_MEMO = '=HYPERLINK("x"),<script>alert(1)</script>'


@pytest.fixture
def filled(books: Books, wallet_id: str) -> str:
    """A wallet with one line in October and three in November, one of them with an evil memo."""
    november = utc("2026-11-02T00:30:00+08:00")
    books.post(
        Move(wallet_id, 10_000, utc("2026-10-31T23:59:59+08:00"), memo="····4560"),
        Move(wallet_id, -1_250, november, memo=EVIL_MEMO, operation_id="pay_1"),
        Move(wallet_id, 250, november, "refund", "便利店", "ref_1", "pay_1"),
        Move(wallet_id, -1, november, "of_next_year"),
    )
    return wallet_id


class Reader:
    """Asks as one citizen for one wallet."""

    def __init__(self, client: FlaskClient, wallet_id: str, headers: dict[str, str]) -> None:
        self.client, self.root, self.headers = client, f"/v1/me/wallets/{wallet_id}", headers

    def ask(self, path: str, **headers: str) -> Any:
        return self.client.get(f"{self.root}/{path}", headers={**self.headers, **headers})

    def read(self, path: str) -> Any:
        answer = self.ask(path)
        assert answer.status_code == 200, answer.text
        return answer.get_json()


@pytest.fixture
def mine(client: FlaskClient, filled: str, person_id: str, headers: Headers) -> Reader:
    return Reader(client, filled, headers(person_id))


# --- JSON ---------------------------------------------------------------------------------------


def test_a_month_as_json(mine: Reader, filled: str) -> None:
    found = mine.read("statements/2026-11?limit=2")
    lines = found.pop("data")
    assert found == {
        "wallet_id": filled,
        "first_day": "2026-11-01",
        "last_day": "2026-11-30",
        "is_final": False,
        "made_at": "2026-11-23T02:00:00.000+00:00",
        "opening_fen": 10_000,
        "closing_fen": 8_999,
        "lines_count": 3,
        "next": "3",
    }
    assert [one["line_id"] for one in lines] == ["4", "3"]
    assert lines[1] == {
        "line_id": "3",
        "time": "2026-11-01T16:30:00.000+00:00",
        "business_date": "2026-11-02",
        "code": "refund",
        "amount_fen": 250,
        "balance_fen": 9_000,
        "counterparty": "便利店",
        "reference": "ref_1",
        "operation_id": "ref_1",
        "linked_to": "pay_1",
    }
    rest = mine.read("statements/2026-11?limit=2&after=3")
    assert ([one["line_id"] for one in rest["data"]], rest["next"]) == (["2"], None)


def test_days_as_json_oldest_first(mine: Reader) -> None:
    found = mine.read("statements?first_day=2026-10-31&last_day=2026-11-02&order=oldest&after=1")
    assert [one["line_id"] for one in found["data"]] == ["2", "3", "4"]
    assert (found["opening_fen"], found["lines_count"], found["is_final"]) == (0, 4, True)


def test_balances_of_the_past(mine: Reader, filled: str) -> None:
    for at, balance_fen in {
        "2026-10-31T23:59:58%2B08:00": 0,
        "2026-10-31T23:59:59%2B08:00": 10_000,
        "2026-10-31T15:59:59Z": 10_000,
        "2026-11-01T16:30:00.000000000z": 8_999,
        "2026-11-23T02:00:00Z": 8_999,
        "0001-01-02T00:00:00Z": 0,
    }.items():
        found = mine.read(f"balance?at={at}")
        assert (found["wallet_id"], found["balance_fen"]) == (filled, balance_fen), at
        assert found["at"].endswith("+00:00")


def test_a_receipt_as_json(mine: Reader, filled: str) -> None:
    found = mine.read("lines/3/receipt")
    assert set(found) == {"wallet_id", "made_at", "line"}
    assert found["line"] == mine.read("statements/2026-11")["data"][1]
    assert found["wallet_id"] == filled


# --- CSV ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["statements/2026-11.csv", "statements.csv" + DAYS])
def test_a_file_for_a_spreadsheet(mine: Reader, path: str) -> None:
    answer = mine.ask(path)
    assert answer.status_code == 200
    assert answer.content_type == "text/csv; charset=utf-8; header=present"
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    assert answer.data.startswith(b"\xef\xbb\xbf")
    text = answer.data.decode("utf-8-sig")
    head, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert (head[0], text.count("\r\n")) == ("序号", 4)
    assert [one[0] for one in lines] == ["2", "3", "4"]
    assert lines[0][1:4] == ["2026-11-02 00:30:00", "2026-11-02", "消费"]
    assert lines[0][5:10] == ["-12.50", "-1250", "87.50", "8750", "'" + EVIL_MEMO]
    assert lines[2][3:5] == ["of_next_year", "of_next_year"]  # no word for it: the code


def test_a_file_has_the_name_of_its_period(mine: Reader) -> None:
    for path, name in (
        ("statements/2026-11.csv", "2026-11"),
        ("statements.csv" + DAYS, "2026-11-01_2026-11-23"),
    ):
        disposition = mine.ask(path).headers["Content-Disposition"]
        assert disposition == f'attachment; filename="statement-{name}.csv"'


def test_a_file_is_sent_as_it_is_read(mine: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "EXPORT_PAGE_LINES", 1)
    answer = mine.ask("statements/2026-11.csv")
    assert answer.is_streamed
    assert len(list(answer.iter_encoded())) == 4


def test_a_file_that_cannot_be_finished_breaks_off(
    mine: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: half a file never looks whole: the server is told, and sends no end."""
    monkeypatch.setattr(service, "EXPORT_PAGE_LINES", 1)
    chunks = mine.ask("statements/2026-11.csv").iter_encoded()
    assert [len(next(chunks)) > 0 for _ in range(2)] == [True, True]

    def fail(*_arguments: Any, **_more: Any) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(reading, "lines", fail)
    with pytest.raises(DatabaseUnavailable):
        next(chunks)


# --- pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["statements/2026-11.html", "statements.html" + DAYS])
def test_a_page_to_print(mine: Reader, filled: str, path: str) -> None:
    answer = mine.ask(path)
    assert answer.status_code == 200
    assert answer.content_type == "text/html; charset=utf-8"
    page = answer.text
    for said in (filled, "100.00", "+2.50", "-12.51", "89.99", "2026-11-02 00:30:00", "共 3 笔"):
        assert said in page
    assert "账期尚未结束" in page
    assert "of_next_year" in page


def test_a_receipt_to_print(mine: Reader, filled: str) -> None:
    page = mine.ask("lines/3/receipt.html").text
    for said in (filled, "+2.50", "90.00", "ref_1", "pay_1", "2026-11-02", "便利店", "8890"):
        assert said in page


@pytest.mark.parametrize("path", ["statements/2026-11.html", "lines/2/receipt.html"])
def test_a_page_needs_nothing_from_elsewhere_and_runs_nothing(mine: Reader, path: str) -> None:
    answer = mine.ask(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for sin in ("<script", " style=", "<style", "http:", "https:", " on"):
        assert sin not in answer.text.replace("&lt;script", ""), sin
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_files_and_pages_speak_two_languages(mine: Reader) -> None:
    for path in (*MONTH_PATHS[1:], *DAYS_PATHS[1:], RECEIPTS[1]):
        assert_speaks(mine, path)


def assert_speaks(mine: Reader, path: str) -> None:
    lang = f"{path}{'&' if '?' in path else '?'}lang="
    for answer, language in (
        (mine.ask(path), "zh-CN"),
        (mine.ask(path, **{"Accept-Language": "en-GB, zh;q=0.5"}), "en"),
        (mine.ask(path, **{"Accept-Language": "fr"}), "zh-CN"),
        (mine.ask(lang + "en"), "en"),
        (mine.ask(lang + "zh", **{"Accept-Language": "en"}), "zh-CN"),
    ):
        assert answer.headers["Content-Language"] == language
        assert answer.headers["Vary"] == "Accept-Language"
        assert ("金额" in answer.text) == (language == "zh-CN")
        assert ("Amount" in answer.text or "Balance" in answer.text) == (language == "en")


# --- what is refused ----------------------------------------------------------------------------


def test_somebody_elses_wallet(
    mine: Reader, client: FlaskClient, filled: str, headers: Headers, tokens: AccessTokens
) -> None:
    """Goal: a stranger cannot tell a wallet that exists from one that does not."""
    stranger = headers(new_id("per"))
    merchant = tokens.issue(Caller(CallerKind.MERCHANT, "mer_x"))
    for path in ALL_PATHS:
        assert mine.ask(path).status_code == 200
        for wallet_id in (filled, new_id("wal"), "x"):
            answer = Reader(client, wallet_id, stranger).ask(path)
            assert (answer.status_code, answer.get_json()["code"]) == (404, "wallet_unknown")
        assert client.get(f"{mine.root}/{path}").status_code == 401
        at_the_wrong_door = {"Authorization": f"Bearer {merchant}"}
        assert client.get(f"{mine.root}/{path}", headers=at_the_wrong_door).status_code == 403


FORMS = ("", ".csv", ".html")
NO_MONTHS = (
    "2026-13",
    "2026-00",
    "x",
    "0000-01",
    "２０２６-11",
    "2026-1",
    "1999-12",
    "%",
    "2026-11.pdf",
)
NO_CURSORS = ("0", "-1", "x", "1.5", "１", "", str(2**63), "9" * 5000)
NO_DAYS = (
    ("2026-11-02", "2026-11-01", "period_invalid"),
    ("2024-01-01", "2025-01-01", "period_invalid"),
    ("0001-01-01", "9999-12-31", "period_invalid"),
    ("0001-01-01", "0001-01-01", "period_invalid"),
    ("9999-12-31", "9999-12-31", "period_in_future"),
    ("2026-11-24", "2026-11-24", "period_in_future"),
    ("2026-02-30", "2026-03-01", "fields_invalid"),
    ("20261101", "20261102", "fields_invalid"),
    ("２０２６-11-01", "2026-11-02", "fields_invalid"),
    ("2026-W45-1", "2026-W45-2", "fields_invalid"),
)
NO_MOMENTS = (
    *("", "x", "2026-11-20", "2026-11-20T12:00:00", "2026-11-20T12:00Z", "20261120T120000Z"),
    *("2026-11-20T12:00:00+08:00", "2026-02-30T12:00:00Z", "2026-11-20T24:00:01Z"),
    *("2026-11-20T12:00:60Z", "2026-11-20T12:00:00%2B25:00", "0001-01-01T00:00:00%2B08:00"),
    *("9999-12-31T23:59:59-01:00", "2026-11-20T12:00:00.Z", "２０２６-11-20T12:00:00Z", "1" * 5000),
)
NO_LINES = ("0", "5", "-1", "x", "1.0", "１", "01", str(2**63 - 1), str(2**63), "9" * 999)
ASKED_WRONGLY = {
    "month": [
        (f"statements/{month}{form}", 422, "period_invalid")
        for month in NO_MONTHS
        for form in FORMS
    ],
    "month to come": [
        (f"statements/{month}{form}", 422, "period_in_future")
        for month in ("2026-12", "9999-12")
        for form in FORMS
    ],
    "days": [
        (f"statements{form}?first_day={first}&last_day={last}", 422, code)
        for first, last, code in NO_DAYS
        for form in FORMS
    ],
    "cursor": [
        (f"statements/2026-11?after={cursor}", 422, "fields_invalid") for cursor in NO_CURSORS
    ],
    "moment": [(f"balance?at={at}", 422, "fields_invalid") for at in NO_MOMENTS],
    "moment to come": [
        (f"balance?at={at}", 422, "moment_in_future")
        for at in ("2026-11-23T02:00:01Z", "9999-12-31T23:59:59.999999Z")
    ],
    "line": [
        (f"lines/{line}/receipt{form}", 404, "line_unknown")
        for line in NO_LINES
        for form in ("", ".html")
    ],
    "query": [
        (path, 422, "fields_invalid")
        for path in (
            "statements/2026-11?limit=0",
            "statements/2026-11?limit=201",
            "statements/2026-11?order=x",
            "statements/2026-11.csv?lang=fr",
            "statements/2026-11.html?lang=",
            "lines/2/receipt.html?lang=fr",
            "statements",
            "statements?first_day=2026-11-01",
            "balance",
        )
    ],
}


@pytest.mark.parametrize("what", ASKED_WRONGLY)
def test_what_is_asked_wrongly(mine: Reader, what: str) -> None:
    for path, status, code in ASKED_WRONGLY[what]:
        answer = mine.ask(path)
        said = answer.get_json() or {}
        assert (answer.status_code, said.get("code")) == (status, code), path


def test_a_month_with_too_many_lines(mine: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "EXPORT_LINES_MAX", 2)
    monkeypatch.setattr(service, "PRINT_LINES_MAX", 2)
    for path in (*MONTH_PATHS[1:], *DAYS_PATHS[1:]):
        answer = mine.ask(path, **{"Accept-Language": "en"})
        assert (answer.status_code, answer.get_json()["code"]) == (422, "statement_too_long")
        assert "3 lines" in answer.get_json()["detail"]
        assert "fewer days" in answer.get_json()["detail"]
    assert mine.ask("statements/2026-10.csv").status_code == 200


def test_a_zone_that_got_lost_is_explained(mine: Reader) -> None:
    answer = mine.ask("balance?at=2026-11-20T12:00:00+08:00", **{"Accept-Language": "en"})
    assert "%2B" in answer.get_json()["errors"]["at"][0]


# --- the document -------------------------------------------------------------------------------


def test_every_route_is_described(app: Flask) -> None:
    document = app.test_client().get("/openapi.json").get_json()
    root = "/v1/me/wallets/{wallet_id}"
    kinds = {
        "/statements/{month}": "application/json",
        "/statements/{month}.csv": "text/csv",
        "/statements/{month}.html": "text/html",
        "/statements": "application/json",
        "/statements.csv": "text/csv",
        "/statements.html": "text/html",
        "/balance": "application/json",
        "/lines/{line}/receipt": "application/json",
        "/lines/{line}/receipt.html": "text/html",
    }
    described = {path for path in document["paths"] if path.startswith("/v1/")}
    assert described == {root + path for path in kinds}
    for path, kind in kinds.items():
        item = document["paths"][root + path]
        operation = item["get"]
        assert operation["summary"]
        assert list(operation["responses"]["200"]["content"]) == [kind]
        assert "wallet_unknown" in operation["responses"]["404"]["description"]
        named = {one["name"]: one for one in item["parameters"]}
        assert set(named) >= {"wallet_id"}
        for part in ("month", "line"):
            assert (f"{{{part}}}" in path) == (part in named)
        assert all(one["required"] and one["example"] for one in named.values())
