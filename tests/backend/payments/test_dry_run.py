"""`Dry-Run: true`: the same status and body as the real command, and nothing is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from backend.kernel import new_id
from tests.simulation.books import dump
from tests.simulation.money_world import BANK_CARD
from tests.simulation.net import Net, problem

Request = tuple[dict[str, str], str, dict[str, Any]]


def send(net: Net, request: Request, key: str, dry: str | None = None) -> TestResponse:
    who, path, body = request
    headers = {**who, "Idempotency-Key": key, "Content-Type": "application/json"}
    headers |= {} if dry is None else {"Dry-Run": dry}
    return net.app.test_client().post(path, headers=headers, data=json.dumps(body))


def topup(net: Net, **changes: Any) -> Request:
    body = {
        "topup_id": new_id("top"),
        "wallet_id": net.citizen.wallet_id,
        "amount_fen": 700,
        "bank_card": BANK_CARD,
        **changes,
    }
    return net.person, "/v1/me/topups", body


def sale(net: Net) -> Request:
    return net.terminal, "/v1/terminal/payments", net.sale(500)


def refund(net: Net) -> Request:
    payment_id = net.sell(500)["payment_id"]
    body = {"refund_id": new_id("ref"), "amount_fen": 200, "reason": "x"}
    return net.terminal, f"/v1/terminal/payments/{payment_id}/refunds", body


def merchant_code(net: Net) -> Request:
    """A command that is decided alone, in the business database."""
    return net.terminal, "/v1/terminal/codes", {"amount_fen": 500, "bill_number": "T1"}


def closing(net: Net) -> Request:
    path = f"/v1/me/wallets/{net.citizen.wallet_id}/closing"
    return net.person, path, {"redemption_id": new_id("red"), "bank_card": BANK_CARD}


@pytest.mark.parametrize("make", [topup, sale, refund, merchant_code])
def test_it_says_what_would_be_and_does_nothing(net: Net, make: Callable[[Net], Request]) -> None:
    """Goal: no row, no event in the outbox, so no order to the bank; and the id stays unused."""
    request = make(net)
    key = new_id("key")
    before = dump(net.parts.units, but=())
    dry = [send(net, request, key, "true") for _ in range(2)]
    assert dump(net.parts.units, but=()) == before
    net.parts.worker.deliver_due()
    real = send(net, request, key, "false")
    assert real.status_code in (200, 201, 202), real.text
    for answer in dry:
        assert answer.status_code == real.status_code
        assert set(answer.get_json()) == set(real.get_json())
        assert answer.headers["Dry-Run"] == "true"
        assert "Idempotent-Replayed" not in answer.headers
    assert "Dry-Run" not in real.headers
    assert dump(net.parts.units, but=()) != before


def test_the_same_body_to_the_byte(net: Net) -> None:
    request = topup(net)
    dry = send(net, request, "k-bytes", "true")
    assert dry.get_data() == send(net, request, "k-bytes").get_data()
    assert net.parts.bank.query(request[2]["topup_id"]).state.value == "unknown"


def test_refusals_are_the_same_and_say_so(net: Net) -> None:
    """A money rule, a rule of redemption, a field, and a number of a card."""
    cases: list[tuple[Request, int, str]] = [
        (topup(net, amount_fen=499_000), 402, "ceiling_exceeded"),
        (closing(net), 402, "redemption_too_early"),
        (topup(net, amount_fen=0), 422, "fields_invalid"),
        (topup(net, bank_card=BANK_CARD[:-1] + "0"), 422, "bank_card_invalid"),
    ]
    for number, (request, status, code) in enumerate(cases):
        before = dump(net.parts.units, but=())
        answer = send(net, request, f"k-dry-{number}", "true")
        problem(answer, status, code)
        assert answer.headers["Dry-Run"] == "true", code
        assert dump(net.parts.units, but=()) == before
        problem(send(net, request, f"k-dry-{number}"), status, code)


def test_a_key_that_was_used_answers_as_it_did(net: Net) -> None:
    request = topup(net)
    first = send(net, request, "k-used")
    dry = send(net, request, "k-used", "true")
    assert (dry.get_data(), dry.headers["Dry-Run"]) == (first.get_data(), "true")
    assert "Idempotent-Replayed" not in dry.headers
    assert send(net, request, "k-used").headers["Idempotent-Replayed"] == "true"
    other = (*request[:2], {**request[2], "amount_fen": 701})
    problem(send(net, other, "k-used", "true"), 409, "idempotency_conflict")


@pytest.mark.parametrize("value", ["", "1", "yes", "TRUE", "True", "true,true", "?1", "tru", "0"])
def test_what_is_not_understood_moves_nothing(net: Net, value: str) -> None:
    before = dump(net.parts.units, but=())
    problem(send(net, topup(net), new_id("key"), value), 422, "dry_run_invalid")
    assert dump(net.parts.units, but=()) == before


def test_every_command_documents_it(net: Net) -> None:
    document = net.app.test_client().get("/openapi.json").get_json()
    commands = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            names = (
                {one.get("name") for one in operation.get("parameters", [])}
                if (method != "parameters")
                else set()
            )
            if "Idempotency-Key" in names:
                commands += 1
                assert "Dry-Run" in names, (method, path)
                assert "dry_run_invalid" in operation["responses"]["422"]["description"], path
    assert commands > 10
