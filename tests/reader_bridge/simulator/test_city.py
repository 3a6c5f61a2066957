"""The DEMO city keeps the one promise that a register depends on: an id is charged once."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

from reader_bridge.client_key import load_or_make_key
from reader_bridge.simulator.city import ACTIVATION_CODE, KEPT_MAX, WALLET_FEN, DemoCity
from reader_bridge.simulator.city_papers import CLIENT_ID, SHOP_NAME, CityKeys
from reader_bridge.simulator.line import Request

NOW = 1_790_000_000


class Terminal:
    """Speaks to the city without a network."""

    def __init__(self, folder) -> None:
        self.now = NOW
        self.city = DemoCity(CityKeys(folder / "city"), lambda: NOW)
        (folder / "terminal").mkdir()
        self.key = load_or_make_key(folder / "terminal")
        self.token = ""

    def ask(
        self, method: str, path: str, body: Any = None, key: str = "", raw: bytes | None = None
    ) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {self.token}", "idempotency-key": key}
        content = json.dumps(body).encode() if raw is None else raw
        answer = self.city.handle(Request(method, path, headers, content))
        return answer.status, json.loads(answer.body)

    def activate(self, code: str = ACTIVATION_CODE) -> tuple[int, Any]:
        body = {"activation_code": code, "public_key": self.key.public_jwk(), "label": "x"}
        return self.ask("POST", "/v1/activations", body, f"act {code}")

    def log_in(self, *, key: Any = None) -> tuple[int, Any]:
        claims = {"iss": CLIENT_ID, "sub": CLIENT_ID, "aud": "/v1/token", "iat": self.now}
        claims |= {"exp": self.now + 60, "jti": "x"}
        assertion = jwt.encode(claims, key or self.key.private_key, algorithm="ES256")
        raw = f"client_assertion={assertion}".encode()
        status, answer = self.ask("POST", "/v1/token", raw=raw)
        self.token = answer.get("access_token", "")
        return status, answer

    def pay(self, payment_id: str, amount_fen: int, key: str = "") -> tuple[int, Any]:
        proof = {"kind": "pay_code", "content": "x"}
        body = {"payment_id": payment_id, "amount_fen": amount_fen, "proof": proof}
        return self.ask("POST", "/v1/terminal/payments", body, key or payment_id)


@pytest.fixture
def terminal(tmp_path):
    made = Terminal(tmp_path)
    assert made.activate()[0] == 201
    assert made.log_in()[0] == 200
    return made


def test_who_may_speak(tmp_path):
    terminal = Terminal(tmp_path)
    status, told = terminal.log_in()
    assert (status, told["code"]) == (401, "client_unknown")
    assert terminal.activate("ABCD-2345")[1]["code"] == "activation_code_wrong"
    assert terminal.activate()[1]["shop_name"] == SHOP_NAME
    assert "DEMO" in SHOP_NAME
    assert terminal.ask("GET", "/v1/terminal/profile")[1]["code"] == "token_expired"
    terminal.now = NOW - 86_400
    assert terminal.log_in()[1]["code"] == "assertion_invalid"
    terminal.now = NOW
    stranger = terminal.city.keys.issuer.private_key
    assert terminal.log_in(key=stranger)[1]["code"] == "assertion_invalid"
    assert terminal.log_in()[0] == 200
    assert terminal.ask("GET", "/v1/terminal/profile")[0] == 200


def test_an_id_is_charged_once(terminal):
    first = terminal.pay("pay_1", 500)
    assert first[0] == 201
    assert terminal.pay("pay_1", 500) == first, "the same request"
    assert terminal.pay("pay_1", 500, "another key")[1]["state"] == "captured"
    assert terminal.pay("pay_1", 501)[1]["code"] == "idempotency_key_reused"
    assert terminal.pay("pay_1", 501, "a third key")[1]["code"] == "payment_differs"
    proof = {"kind": "tap"}
    sale = {"payment_id": "pay_1", "amount_fen": 500, "proof": proof}
    other = {"payment_id": "pay_2", "amount_fen": 300, "proof": proof}
    upload = {"incarnation": "x", "sales": [sale, other, other]}
    for key in ("a", "a", "b"):
        status, answer = terminal.ask("POST", "/v1/terminal/offline-sales", upload, key)
        assert (status, [one["state"] for one in answer["results"]]) == (200, ["captured"] * 3)
    assert terminal.city.charged() == (2, 800)
    assert terminal.city.wallet_fen == WALLET_FEN - 800


def test_money_goes_back_once(terminal):
    terminal.pay("pay_1", 500)
    path = "/v1/terminal/payments/pay_1"
    refund = {"refund_id": "ref_1", "amount_fen": 200, "reason": "x"}
    assert terminal.ask("POST", f"{path}/refunds", refund, "r1")[1]["state"] == "posted"
    assert terminal.ask("POST", f"{path}/refunds", refund, "r1")[1]["state"] == "posted"
    more = {"refund_id": "ref_2", "amount_fen": 301, "reason": "x"}
    assert terminal.ask("POST", f"{path}/refunds", more, "r2")[1]["code"] == "refund_too_large"
    assert terminal.city.wallet_fen == WALLET_FEN - 300
    for key in ("v1", "v2"):
        assert terminal.ask("POST", f"{path}/reversal", {}, key)[1]["state"] == "reversed"
    assert terminal.city.wallet_fen == WALLET_FEN
    assert terminal.city.charged() == (0, 0)


def test_a_sale_reversed_before_it_came_is_not_charged(terminal):
    terminal.ask("POST", "/v1/terminal/payments/pay_9/reversal", {}, "v")
    assert terminal.pay("pay_9", 500)[1]["code"] == "payment_reversed"
    assert terminal.city.charged() == (0, 0)


def test_one_sale_that_differs_stops_no_upload(terminal):
    terminal.pay("pay_1", 500)
    proof = {"kind": "purse", "balance_after_fen": 7}
    sales = [{"payment_id": f"pay_{n}", "amount_fen": 300, "proof": proof} for n in (1, 2)]
    _, answer = terminal.ask(
        "POST", "/v1/terminal/offline-sales", {"incarnation": "x", "sales": sales}, "u"
    )
    assert [one["state"] for one in answer["results"]] == ["refused", "captured"]
    assert answer["results"][0]["code"] == "payment_differs"
    assert terminal.city.charged() == (2, 800)
    assert terminal.city.wallet_fen == WALLET_FEN - 500, "a purse paid the other"
    terminal.ask("POST", "/v1/terminal/payments/pay_2/reversal", {}, "v")
    assert terminal.city.wallet_fen == WALLET_FEN - 500


def test_refusals(terminal):
    assert terminal.pay("pay_1", WALLET_FEN + 1)[1]["short_by_fen"] == 1
    assert terminal.ask("GET", "/v1/terminal/payments/pay_0")[1]["code"] == "payment_unknown"
    assert terminal.ask("POST", "/v1/terminal/payments", {}, "k")[1]["code"] == "request_malformed"
    assert terminal.ask("POST", "/v1/other", {}, "k2")[1]["code"] == "not_found"
    status, told = terminal.ask("POST", "/v1/terminal/codes", {}, "")
    assert (status, told["code"]) == (422, "idempotency_key_missing")
    zeros = base64.urlsafe_b64encode(bytes(44)).decode()
    proof = {"kind": "tap", "pdol_data": zeros, "gpo_response": ""}
    body = {"payment_id": "pay_3", "amount_fen": 500, "proof": proof}
    assert terminal.ask("POST", "/v1/terminal/payments", body, "t")[0] in {402, 422}
    assert terminal.city.charged() == (0, 0)


def test_it_keeps_no_more_than_it_says(terminal):
    for number in range(KEPT_MAX + 5):
        terminal.city._book(f"pay_{number}", 1, "pay_code", None)
    assert terminal.city.charged() == (KEPT_MAX, KEPT_MAX)


def test_its_keys_stay(tmp_path):
    first, again = CityKeys(tmp_path / "c"), CityKeys(tmp_path / "c")
    assert first.jwks() == again.jwks()
    assert first.issuer.public_jwk() == again.issuer.public_jwk()
    assert first.issuer_path.stat().st_mode & 0o077 == 0
