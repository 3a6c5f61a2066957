"""Counters, batches and the day's match over the internal network, by two members of staff."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pyotp
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from backend.app import Parts, create_internal_app
from backend.kernel import business_date, new_id
from backend.wallet import OpenWallet
from tests.simulation.money_world import operation
from tests.simulation.net import problem

PASSWORD, SECRET = "correct horse", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
CUSTODY = "/v1/ops/custody/reconciliations"
EXPLANATIONS, CLOSINGS = "/v1/ops/custody/explanations", "/v1/ops/custody/closings"
BATCHES = "/v1/ops/topup-batches"
keys_given = count(1)

Call = Callable[..., TestResponse]


@pytest.fixture(scope="module")
def internal(parts: Parts) -> Flask:
    parts.wallets.open_house()
    return create_internal_app(parts)


@pytest.fixture(scope="module")
def log_in(parts: Parts, internal: Flask) -> Callable[[str, str], Call]:
    """A session of a new member of staff with one role."""

    def run(name: str, role: str) -> Call:
        parts.staff_accounts.add(name, PASSWORD, SECRET, [role])
        client = internal.test_client()
        totp = pyotp.TOTP(SECRET).at(parts.clock.now())
        body = {"username": name, "password": PASSWORD, "totp": totp}
        csrf = client.post("/v1/ops/session", json=body).get_json()["csrf_token"]

        def call(method: str, path: str, body: Any = None, key: str | None = None) -> TestResponse:
            headers = {"X-CSRF-Token": csrf, "Accept-Language": "en"}
            headers["Idempotency-Key"] = key or f"staff-{next(keys_given)}"
            return client.open(path, method=method, json=body, headers=headers)

        return call

    return run


@pytest.fixture(scope="module")
def li(log_in: Callable[[str, str], Call]) -> Call:
    return log_in("li", "operator")


@pytest.fixture(scope="module")
def wang(log_in: Callable[[str, str], Call]) -> Call:
    return log_in("wang", "operator")


@pytest.fixture
def wallet_id(parts: Parts) -> str:
    made = new_id("wal")
    anybody = replace(parts.wallets, is_registered=lambda _: True)
    anybody.open(OpenWallet(new_id("per"), made), operation())
    return made


def test_a_day_at_the_counter(parts: Parts, li: Call, wallet_id: str) -> None:
    body = {
        "topup_id": new_id("csh"),
        "counter": "hall-1",
        "wallet_id": wallet_id,
        "amount_fen": 5_000,
    }
    first = li("POST", "/v1/ops/cash-topups", body, "cash-1")
    assert first.status_code == 201
    receipt = first.get_json()
    assert (receipt["balance_fen"], receipt["taken_by"], receipt["payer"]) == (
        5_000,
        "li",
        "person",
    )
    again = li("POST", "/v1/ops/cash-topups", body, "cash-1")
    assert (again.text, again.headers["Idempotent-Replayed"]) == (first.text, "true")
    path = f"/v1/ops/cash-topups/{body['topup_id']}"
    assert li("GET", path).get_json() == receipt
    problem(li("GET", "/v1/ops/cash-topups/csh_x"), 404, "cash_topup_unknown")
    other = {**body, "topup_id": new_id("csh"), "counter": "agent-east", "amount_fen": 20_001}
    refusal = problem(li("POST", "/v1/ops/cash-topups", other), 402, "limit_exceeded")
    assert (refusal["rule"], bool(refusal["article"])) == ("cash_top_up_day", True)
    undo = {"counter": "hall-1", "reason": "typed wrongly"}
    assert li("POST", f"{path}/reversal", undo).get_json()["state"] == "reversed"
    day = business_date(parts.clock.now()).isoformat()
    drawer = f"/v1/ops/cash-drawers?counter=hall-1&business_date={day}"
    assert li("GET", drawer).get_json()["book_fen"] == 0
    counted = {"counter": "hall-1", "business_date": day, "counted_fen": 100}
    assert li("POST", "/v1/ops/cash-drawers", counted).get_json()["difference_fen"] == 100
    late = {**body, "topup_id": new_id("csh")}
    problem(li("POST", "/v1/ops/cash-topups", late), 409, "drawer_counted")


def test_a_batch_needs_two(parts: Parts, li: Call, wang: Call, wallet_id: str) -> None:
    batch_id = new_id("bat")
    path = f"{BATCHES}/{batch_id}"
    head = {"batch_id": batch_id, "employer": "教育局", "lines": 1, "total_fen": 1_500}
    assert li("POST", BATCHES, head).get_json()["state"] == "draft"
    bad = problem(li("POST", f"{path}/lines", {"first": 1, "lines": [{}]}), 422, "batch_invalid")
    assert bad["faults"][0] == {"line": 1, "field": "amount_fen", "fault": "missing"}
    line = {"wallet_id": wallet_id, "amount_fen": 1_500, "reference": "1"}
    assert li("POST", f"{path}/lines", {"first": 1, "lines": [line]}).status_code == 200
    assert li("POST", f"{path}/submission", {}).get_json()["state"] == "submitted"
    problem(li("POST", f"{path}/decision", {"event": "approve"}), 403, "four_eyes_needed")
    approved = wang("POST", f"{path}/decision", {"event": "approve"}).get_json()
    assert (approved["state"], approved["decided_by"]) == ("approved", "wang")
    for _ in range(3):
        parts.worker.deliver_due()
    done = li("GET", path).get_json()
    assert (done["state"], done["posted_fen"], done["refused_fen"]) == ("done", 1_500, 0)
    (shown,) = li("GET", f"{path}/lines").get_json()["data"]
    assert (shown["state"], shown["reference"]) == ("posted", "1")
    problem(li("GET", f"{BATCHES}/bat_x"), 404, "batch_unknown")


def test_four_hundred_lines_go_into_one_request(li: Call, wallet_id: str) -> None:
    """Goal: a full part with long references stays under the edge's limit of a body."""
    batch_id = new_id("bat")
    head = {"batch_id": batch_id, "employer": "x", "lines": 400, "total_fen": 400}
    li("POST", BATCHES, head)
    lines = [
        {"wallet_id": wallet_id, "amount_fen": 1, "reference": f"{number:064d}"}
        for number in range(400)
    ]
    answer = li("POST", f"{BATCHES}/{batch_id}/lines", {"first": 1, "lines": lines})
    assert answer.status_code == 200, answer.text


def test_a_days_match(parts: Parts, li: Call) -> None:
    day = business_date(parts.clock.now()).isoformat()
    stranger = new_id("top")
    parts.bank.deposit(stranger, 777)
    found = li("POST", CUSTODY, {"business_date": day}).get_json()
    assert found["unmatched"] == [stranger]
    assert found["state"] == "open"
    assert li("GET", f"{CUSTODY}/{day}").get_json()["cases_open"] == found["cases_open"] > 0
    problem(li("POST", CLOSINGS, {"business_date": day}), 409, "cases_open")
    cases = li("GET", f"{CUSTODY}/{day}/cases").get_json()["data"]
    assert {"in_bank_not_ours"} <= {one["kind"] for one in cases}
    for one in cases:
        said = {name: one[name] for name in ("subject", "kind")}
        said |= {"business_date": day, "case_number": "2026-1", "reason": "x"}
        answered = li("POST", EXPLANATIONS, said).get_json()
        assert (answered["state"], answered["explained_by"]) == ("explained", "li")
    closed = li("POST", CLOSINGS, {"business_date": day}).get_json()
    assert (closed["state"], closed["closed_by"]) == ("closed", "li")
    unknown = {**said, "subject": "x"}
    problem(li("POST", EXPLANATIONS, unknown), 404, "case_unknown")
    problem(li("GET", f"{CUSTODY}/2020-01-01"), 404, "day_not_matched")


@pytest.mark.parametrize("role", ["auditor", "agent"])
def test_who_may_not(log_in: Callable[[str, str], Call], role: str) -> None:
    call = log_in(f"only-{role}", role)
    approve = f"{BATCHES}/bat_x/decision"
    for path in ("/v1/ops/cash-topups", "/v1/ops/cash-drawers", BATCHES, CUSTODY, approve):
        problem(call("POST", path, {}), 403, "access_denied")
