"""A DEMO city in this process: enough of the backend's terminal routes to sell, refund and upload.

One wallet pays for all phones and pay codes. It believes what a card says (it has no card keys);
what it does keep is the promise that counts here: each payment id is charged once, whatever is
sent twice. Forgets its sales when it ends; its keys stay in the folder, as terminals pin them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import jwt

from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import TransactionData
from reader_bridge.simulator.city_papers import CLIENT_ID, FACTS, SHOP_NAME, CityKeys, Papers
from reader_bridge.simulator.line import Answer, Request

ACTIVATION_CODE: Final = "DEMO-DEMO"
WALLET_FEN: Final = 1_000_000
ASSERTION_SECONDS_MAX: Final = 300
TOKEN_SECONDS: Final = 300
KEPT_MAX: Final = 10_000  # answers, sales, tokens
_PAYMENTS: Final = "/v1/terminal/payments"
_JSON: Final = {"content-type": "application/json"}
_PROBLEM: Final = {"content-type": "application/problem+json"}


class _Problem(Exception):
    """A refusal of the demo city."""

    def __init__(self, status: int, code: str, **data: Any) -> None:
        super().__init__(code)
        self.status, self.code, self.data = status, code, data


@dataclass
class DemoCity:
    """`handle` is the whole of it; safe for several threads. `now`: true time, unix seconds."""

    keys: CityKeys
    now: Callable[[], float]
    wallet_fen: int = WALLET_FEN
    sales: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict)
    _answers: OrderedDict[str, tuple[bytes, int, Any]] = field(default_factory=OrderedDict)
    _tokens: OrderedDict[str, float] = field(default_factory=OrderedDict)
    _papers: Papers = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._papers = Papers(self.keys)

    def charged(self) -> tuple[int, int]:
        """How many sales stand, and their sum in fen."""
        with self._lock:
            standing = [one for one in self.sales.values() if one["state"] != "reversed"]
            return len(standing), sum(one["amount_fen"] for one in standing)

    def handle(self, request: Request) -> Answer:
        url = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        with self._lock:
            try:
                status, document = self._route(request, url.path, query)
                headers = _JSON
            except _Problem as problem:
                status, headers = problem.status, _PROBLEM
                document = _problem_document(problem)
            except (KeyError, TypeError, ValueError, AttributeError, MalformedBytes):
                status, headers = 422, _PROBLEM
                document = _problem_document(_Problem(422, "request_malformed"))
        return Answer(status, json.dumps(document, ensure_ascii=False).encode(), headers)

    def _route(self, request: Request, path: str, query: Mapping[str, str]) -> tuple[int, Any]:
        if path == "/v1/token":
            return self._log_in(request.body)
        if path == "/v1/activations":
            return self._once(request, self._activate)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._tokens.get(token, 0.0) < self.now():
            raise _Problem(401, "token_expired")
        if request.method == "GET":
            return 200, self._get(path, query)
        return self._once(request, lambda body: self._post(path, body))

    def _once(
        self, request: Request, act: Callable[[dict[str, Any]], tuple[int, Any]]
    ) -> tuple[int, Any]:
        """The same key and bytes: the first answer. The same key, other bytes: a conflict."""
        key = request.headers.get("idempotency-key", "")
        if not key:
            raise _Problem(422, "idempotency_key_missing")
        if key not in self._answers:
            try:
                status, document = act(json.loads(request.body))
            except _Problem as problem:
                status, document = problem.status, _problem_document(problem)
            _keep(self._answers, key, (request.body, status, document))
        body, status, document = self._answers[key]
        if body != request.body:
            raise _Problem(409, "idempotency_key_reused")
        return status, document

    def _activate(self, body: dict[str, Any]) -> tuple[int, Any]:
        if body["activation_code"] != ACTIVATION_CODE:
            raise _Problem(402, "activation_code_wrong")
        self.keys.know_terminal(body["public_key"])
        return 201, {**FACTS, "profile_keys": self.keys.jwks()}

    def _log_in(self, body: bytes) -> tuple[int, Any]:
        """RFC 7523; a terminal whose clock is wrong is turned away, as in the true city."""
        form = parse_qs(body.decode())
        known = self.keys.terminal_key()
        if known is None:
            raise _Problem(401, "client_unknown")
        try:
            claims = jwt.decode(
                form["client_assertion"][0],
                jwt.PyJWK({**known, "alg": "ES256"}).key,
                algorithms=["ES256"],
                audience="/v1/token",
                options={"verify_exp": False, "verify_iat": False},
            )
        except jwt.PyJWTError:
            raise _Problem(401, "assertion_invalid") from None
        is_now = abs(claims["iat"] - self.now()) <= ASSERTION_SECONDS_MAX
        if not is_now or claims["sub"] != CLIENT_ID:
            raise _Problem(401, "assertion_invalid")
        token = hashlib.sha256(form["client_assertion"][0].encode()).hexdigest()
        _keep(self._tokens, token, self.now() + TOKEN_SECONDS)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}

    def _get(self, path: str, query: Mapping[str, str]) -> Any:
        now = int(self.now())
        if path == "/v1/terminal/profile":
            return self._papers.profile()
        if path == "/v1/terminal/profile/signed":
            return {"document": self._papers.signed_profile(now), "keys": self.keys.jwks()}
        if path == "/v1/terminal/deny-list":
            return {"part": self._papers.deny_part(now)}
        if path == _PAYMENTS:
            bill = query["bill_number"]
            return {"data": [one for one in self.sales.values() if one["bill_number"] == bill]}
        return self._sale(path.removeprefix(f"{_PAYMENTS}/"))

    def _post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == _PAYMENTS:
            return 201, self._pay(body)
        if path == "/v1/terminal/offline-sales":
            return 200, {"results": [self._take_offline(item) for item in body["sales"]]}
        if path == "/v1/terminal/codes":
            return 201, {"content": f"DEMO{body['bill_number']}"}
        payment_id, _, action = path.removeprefix(f"{_PAYMENTS}/").partition("/")
        if action == "reversal":
            return 200, self._reverse(payment_id, body)
        if action == "refunds":
            return 201, self._refund(payment_id, body)
        raise _Problem(404, "not_found")

    def _pay(self, body: dict[str, Any]) -> dict[str, Any]:
        payment_id, amount_fen, proof = body["payment_id"], body["amount_fen"], body["proof"]
        if payment_id in self.sales:
            return self._known(payment_id, amount_fen)
        if proof["kind"] == "tap":
            signed = TransactionData.decode(_unb64(proof["pdol_data"]))
            if signed.amount_fen != amount_fen:
                raise _Problem(402, "cryptogram_invalid")
        if amount_fen > self.wallet_fen:
            short_fen = amount_fen - self.wallet_fen
            raise _Problem(402, "insufficient_funds", retryable=True, short_by_fen=short_fen)
        self.wallet_fen -= amount_fen
        return self._book(payment_id, amount_fen, proof["kind"], self.wallet_fen)

    def _take_offline(self, item: Mapping[str, Any]) -> dict[str, Any]:
        payment_id, amount_fen, proof = item["payment_id"], item["amount_fen"], item["proof"]
        if payment_id not in self.sales:
            balance_fen = proof.get("balance_after_fen")
            if proof["kind"] != "purse":
                self.wallet_fen -= amount_fen  # sold already: it may fall below zero
                balance_fen = self.wallet_fen
            self._book(payment_id, amount_fen, proof["kind"], balance_fen)
        try:
            return self._known(payment_id, amount_fen)
        except _Problem as problem:  # this sale alone: the others of the upload are taken
            return {"payment_id": payment_id, "state": "refused", "code": problem.code}

    def _known(self, payment_id: str, amount_fen: int) -> dict[str, Any]:
        sale = self.sales[payment_id]
        if sale["state"] == "reversed":
            raise _Problem(409, "payment_reversed")
        if sale["amount_fen"] != amount_fen:
            raise _Problem(409, "payment_differs")
        return dict(sale)

    def _book(
        self, payment_id: str, amount_fen: int, method: str, balance_fen: int | None
    ) -> dict[str, Any]:
        sale = {
            "payment_id": payment_id,
            "state": "captured",
            "amount_fen": amount_fen,
            "captured_fen": amount_fen,
            "refunded_fen": 0,
            "method": method,
            "balance_fen": balance_fen,
            "bill_number": None,
        }
        _keep(self.sales, payment_id, sale)
        return dict(sale)

    def _reverse(self, payment_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        del body
        sale = self.sales.get(payment_id)
        if sale is None:  # never seen: whatever still comes under this id is refused
            sale = self.sales[payment_id] = {**_NEVER_SEEN, "payment_id": payment_id}
        if sale["state"] != "reversed":
            sale["state"] = "reversed"
            self._give_back(sale, sale["amount_fen"] - sale["refunded_fen"])
        return {"payment_id": payment_id, "state": "reversed"}

    def _refund(self, payment_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        sale, amount_fen = self._sale(payment_id), body["amount_fen"]
        if sale["refunded_fen"] + amount_fen > sale["captured_fen"]:
            raise _Problem(402, "refund_too_large")
        stored = self.sales[payment_id]
        stored["refunded_fen"] += amount_fen
        self._give_back(stored, amount_fen)
        facts = {"refund_id": body["refund_id"], "amount_fen": amount_fen}
        return {**facts, "payment_id": payment_id, "state": "posted"}

    def _give_back(self, sale: Mapping[str, Any], amount_fen: int) -> None:
        """Money of a purse never was in the wallet: it is given back in cash."""
        if sale["method"] != "purse":
            self.wallet_fen += amount_fen

    def _sale(self, payment_id: str) -> dict[str, Any]:
        if payment_id not in self.sales:
            raise _Problem(404, "payment_unknown")
        return dict(self.sales[payment_id])


_NEVER_SEEN: Final[Mapping[str, Any]] = {
    "state": "reversed",
    "amount_fen": 0,
    "captured_fen": 0,
    "refunded_fen": 0,
    "method": "none",
    "balance_fen": None,
    "bill_number": None,
}


def _problem_document(problem: _Problem) -> dict[str, Any]:
    return {
        "type": f"/problems/{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "code": problem.code,
        "detail": f"{SHOP_NAME}: {problem.code}",
        **problem.data,
    }


def _keep(kept: OrderedDict[str, Any], key: str, value: Any) -> None:
    """The newest `KEPT_MAX`."""
    kept[key] = value
    if len(kept) > KEPT_MAX:
        kept.popitem(last=False)


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
