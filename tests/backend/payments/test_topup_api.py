"""Top-ups and the bank's notices over HTTP: what is not right changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

from werkzeug.test import TestResponse

from backend.app import Parts
from backend.kernel import new_id
from backend.wallet.bank import notice_headers
from backend.web import CallerKind
from tests.simulation.books import dump
from tests.simulation.money_world import BANK_CARD, luhn_ended
from tests.simulation.net import START, Net, problem

# --- top-ups and the bank's notices -------------------------------------------------------------


def test_a_top_up_over_http_and_its_notice(net: Net) -> None:
    body = {
        "topup_id": new_id("top"),
        "wallet_id": net.citizen.wallet_id,
        "amount_fen": 101,
        "bank_card": BANK_CARD,
    }
    answer = net.call(net.person, "POST", "/v1/me/topups", body)
    assert (answer.status_code, answer.get_json()["state"]) == (202, "processing")
    assert answer.get_json()["ask_again_at"]
    assert BANK_CARD not in answer.text
    notice = json.dumps(
        {
            "order_id": body["topup_id"],
            "state": "paid",
            "reference": "bnk",
            "reason": None,
            "amount_fen": 101,
            "card_end": BANK_CARD[-4:],
        }
    ).encode()

    def send(content: bytes, headers: dict[str, str] | None = None) -> TestResponse:
        post = net.app.test_client().post
        return post(
            "/v1/bank/notices", data=content, headers=headers, content_type="application/json"
        )

    before = dump(net.parts.units)
    problem(send(notice), 401, "notice_refused")
    headers = notice_headers("ntc_1", START, notice, net.parts.bank.mac)
    problem(send(notice + b" ", headers), 401, "notice_refused")
    assert dump(net.parts.units) == before
    for _ in range(2):
        assert send(notice, headers).status_code == 204
    path = f"/v1/me/topups/{body['topup_id']}"
    assert net.call(net.person, "GET", path).get_json()["state"] == "succeeded"
    lines = net.call(net.person, "GET", f"/v1/me/wallets/{net.citizen.wallet_id}/lines")
    assert lines.get_json()["data"][0]["balance_fen"] == 10_101
    over = {**body, "topup_id": new_id("top"), "amount_fen": 490_000}
    refusal = problem(net.call(net.person, "POST", "/v1/me/topups", over), 402, "ceiling_exceeded")
    assert refusal["article"]
    assert refusal["room_fen"] == 489_899


def test_a_card_number_is_sixteen_to_nineteen_digits(net: Net) -> None:
    for card in ["", "1" * 15, "1" * 20, "６" * 16, None, 6217000010001234567]:
        body = {
            "topup_id": new_id("top"),
            "wallet_id": net.citizen.wallet_id,
            "amount_fen": 100,
            "bank_card": card,
        }
        answer = net.call(net.person, "POST", "/v1/me/topups", body)
        assert list(problem(answer, 422, "fields_invalid")["errors"]) == ["bank_card"]


def test_no_secret_stands_in_the_files(net: Net, parts: Parts) -> None:
    path = Path(str(parts.config.var))
    assert all(BANK_CARD.encode() not in one.read_bytes() for one in path.rglob("*.db*"))


def test_a_credit_card_is_refused_with_its_article(net: Net) -> None:
    body = {
        "topup_id": new_id("top"),
        "wallet_id": net.citizen.wallet_id,
        "amount_fen": 100,
        "bank_card": luhn_ended("622599001000123456"),
    }
    answer = net.call(net.person, "POST", "/v1/me/topups", body)
    refusal = problem(answer, 402, "credit_card_refused")
    assert "Measures for Prepaid Cards" in refusal["article"]


def test_a_standing_order_over_http(net: Net) -> None:
    path = f"/v1/me/wallets/{net.citizen.wallet_id}/automatic-top-up"
    problem(net.call(net.person, "GET", path), 404, "automatic_topup_unknown")
    body = {
        "threshold_fen": 2_000,
        "amount_fen": 10_000,
        "month_max_fen": 50_000,
        "bank_card": BANK_CARD,
    }
    problem(net.call(net.person, "PUT", path, body), 422, "idempotency_key_missing")
    keyed = {**net.person, "Idempotency-Key": "standing-1"}
    made = net.call(keyed, "PUT", path, body)
    assert (made.status_code, made.get_json()["state"]) == (200, "active")
    assert BANK_CARD not in made.text
    assert net.call(keyed, "PUT", path, body).headers["Idempotent-Replayed"] == "true"
    assert net.call(net.person, "GET", path).get_json() == made.get_json()
    for field, wrong in (("threshold_fen", 0), ("amount_fen", 1.0), ("month_max_fen", True)):
        keyed["Idempotency-Key"] = f"standing-{field}"
        answer = net.call(keyed, "PUT", path, {**body, field: wrong})
        assert list(problem(answer, 422, "fields_invalid")["errors"]) == [field]
    keyed["Idempotency-Key"] = "standing-2"
    small = {**body, "month_max_fen": 9_999}
    problem(net.call(keyed, "PUT", path, small), 422, "month_max_too_small")
    stranger = net.bearer(CallerKind.CITIZEN, net.world.citizen().person_id)
    for method in ("GET", "DELETE"):
        problem(net.call(stranger, method, path), 404, "wallet_unknown")
    assert net.call(net.person, "DELETE", path).status_code == 204
    problem(net.call(net.person, "GET", path), 404, "automatic_topup_unknown")
