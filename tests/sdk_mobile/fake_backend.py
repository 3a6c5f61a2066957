"""A citizen's backend for tests: the HTTP contract in memory, without a socket.

Knows nothing of the real backend's insides. Each operation counts how often it was really done.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from card_protocol import emvco, key_batch
from tests.sdk_mobile.fake_issuer import b64u, issue_card, make_batch

CODE = "246810"
BANK_CARD = "6222020000000000"
PHONE = "13800000001"
LATE_FEN = 77_700  # a top-up of this amount settles only after being asked twice
Reply = tuple[int, dict[str, Any]]


class Refusal(Exception):
    def __init__(self, status: int, code: str, **data: Any) -> None:
        super().__init__(code)
        self.status, self.code, self.data = status, code, data


@dataclass
class Seen:
    method: str
    path: str
    body: bytes
    headers: dict[str, str]


@dataclass
class FakeBackend:
    clock: Callable[[], float] = time.time
    access_seconds: int = 900
    proof_age_max: int = 300
    keys_uses_max: int = 20
    keys_seconds: int = 120 * 3600
    seal_foreign: bool = False
    refusals: dict[str, list[Refusal]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)  # per id: how often it took effect
    balance_fen: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.issuer = ec.generate_private_key(ec.SECP256R1())
        self.answers: dict[str, tuple[bytes, Reply]] = {}
        self.access: dict[str, str] = {}
        self.ends_at: dict[str, float] = {}
        self.refresh: dict[str, dict[str, Any]] = {}
        self.rotations: dict[str, Reply] = {}
        self.ended: set[str] = set()
        self.challenges: dict[str, str] = {}
        self.wallets: list[dict[str, Any]] = []
        self.lines: list[dict[str, Any]] = []
        self.top_ups: dict[str, dict[str, Any]] = {}
        self.asked: Counter[str] = Counter()
        self.devices: dict[str, dict[str, Any]] = {}
        self.cards: dict[str, dict[str, Any]] = {}
        self.batches: dict[str, list[key_batch.KeyBatch]] = {}
        self.payments: dict[str, dict[str, Any]] = {}
        self.person: dict[str, Any] = {"registered": False, "person_id": None}
        self.serial = 0

    # Edge

    def stamp(self, seconds: float = 0.0) -> str:
        return datetime.fromtimestamp(self.clock() + seconds, UTC).isoformat()

    def handle(self, seen: Seen) -> tuple[Reply, bool]:
        with self.lock:
            self.seen.append(seen)
            try:
                return self._idempotently(seen)
            except Refusal as refusal:
                return self._problem(refusal), False

    def _problem(self, refusal: Refusal) -> Reply:
        return refusal.status, {
            "type": "about:blank",
            "title": refusal.code,
            "status": refusal.status,
            "code": refusal.code,
            "detail": f"detail of {refusal.code}",
            "retryable": refusal.code == "insufficient_funds",
            "request_id": "req_1",
            "article": "条 1" if refusal.code == "ceiling" else None,
            **refusal.data,
        }

    def _idempotently(self, seen: Seen) -> tuple[Reply, bool]:
        path = urlsplit(seen.path).path
        if path.startswith("/v1/me"):
            token = seen.headers.get("authorization", "").removeprefix("Bearer ")
            if token in self.late or self.access.get(token) not in self.live_sessions():
                raise Refusal(401, "token_invalid")
        key = seen.headers.get("idempotency-key")
        if seen.method == "POST" and not key:
            raise Refusal(422, "idempotency_key_missing")
        if key and key in self.answers:
            body, reply = self.answers[key]
            if body != seen.body:
                raise Refusal(409, "idempotency_key_used_differently")
            return reply, True
        if queued := self.refusals.get(path):
            raise queued.pop(0)
        try:
            reply = self._route(seen, path)
        except Refusal as refusal:
            if refusal.status in (401, 429):
                raise
            reply = self._problem(refusal)
        if key:
            self.answers[key] = (seen.body, reply)
        return reply, False

    @property
    def late(self) -> set[str]:
        return {token for token, ends_at in self.ends_at.items() if ends_at < self.clock()}

    def live_sessions(self) -> set[str]:
        return set(self.access.values()) - self.ended

    def _route(self, seen: Seen, path: str) -> Reply:
        body = json.loads(seen.body) if seen.body else {}
        single = {
            "POST /v1/login/codes": self._code,
            "POST /v1/login/sessions": self._log_in,
            "POST /v1/login/refresh": self._refresh,
            "PUT /v1/me/registration": self._register,
            "GET /v1/me": lambda body: (200, self.person),
            "POST /v1/me/devices": self._enrol,
            "POST /v1/me/merchant-codes": self._read_code,
        }
        families = {
            "wallets": self._wallets,
            "topups": self._top_ups,
            "cards": self._cards,
            "payments": self._pay,
        }
        if serve := single.get(f"{seen.method} {path}"):
            return serve(body)
        name, *rest = path.removeprefix("/v1/me/").split("/")
        if name not in families:
            raise Refusal(404, "route_unknown")
        return families[name](seen, body, rest)

    def _register(self, body: dict[str, Any]) -> Reply:
        self.person = {"registered": True, "person_id": "per_1", "name_masked": "*三"}
        return 200, self.person

    def _read_code(self, body: dict[str, Any]) -> Reply:
        code = emvco.MerchantCode.decode(body["content"])
        return 200, {
            "merchant_name": "城东超市",
            "shop_name": "一号店",
            "shop_id": code.merchant_account.shop_number,
            "amount_fen": code.amount_fen,
            "bill_number": code.bill_number,
        }

    # Log-in

    def _check_proof(self, proof: str, public: ec.EllipticCurvePublicKey, aud: str) -> str:
        options: Any = {"verify_iat": False}
        claims = jwt.decode(proof, public, algorithms=["ES256"], audience=aud, options=options)
        if abs(claims["iat"] - self.clock()) > self.proof_age_max:
            raise Refusal(401, "proof_invalid")
        return str(claims["jti"])

    def _code(self, body: dict[str, Any]) -> Reply:
        self.serial += 1
        challenge = f"otc_{self.serial}"
        self.challenges[challenge] = body["phone"]
        times = {"expires_at": self.stamp(300), "resend_at": self.stamp(60)}
        return 202, {"challenge_id": challenge, **times}

    def _log_in(self, body: dict[str, Any]) -> Reply:
        key = public_key(body["device_key"])
        jti = self._check_proof(body["proof"], key, "/v1/login/sessions")
        assert jti == body["challenge_id"]
        if self.challenges.get(body["challenge_id"]) != body["phone"]:
            raise Refusal(422, "challenge_unknown")
        if body["code"] != CODE:
            raise Refusal(403, "code_wrong")
        del self.challenges[body["challenge_id"]]
        self.serial += 1
        session = f"ses_{self.serial}"
        self.done["log_in"] += 1
        return 201, self._tokens(session, key)

    def _tokens(self, session: str, key: ec.EllipticCurvePublicKey) -> dict[str, Any]:
        self.serial += 1
        access, refresh = f"access-{self.serial}", f"refresh-{self.serial}"
        for old in [token for token, owner in self.access.items() if owner == session]:
            del self.access[old]
        self.access[access] = session
        self.ends_at[access] = self.clock() + self.access_seconds
        self.refresh[refresh] = {"session": session, "key": key, "used_by": None}
        return {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": self.access_seconds,
            "refresh_token": refresh,
            "session_id": session,
            "registered": self.person["registered"],
        }

    def _refresh(self, body: dict[str, Any]) -> Reply:
        held = self.refresh[body["refresh_token"]]
        jti = self._check_proof(body["proof"], held["key"], "/v1/login/refresh")
        if held["session"] in self.ended:
            raise Refusal(403, "session_ended")
        if held["used_by"] == jti:
            return self.rotations[jti]
        if held["used_by"] is not None:
            self.ended.add(held["session"])
            raise Refusal(403, "session_ended")
        held["used_by"] = jti
        self.done["refresh"] += 1
        self.rotations[jti] = 200, self._tokens(held["session"], held["key"])
        return self.rotations[jti]

    # Wallet and money

    def _wallets(self, seen: Seen, body: dict[str, Any], rest: list[str]) -> Reply:
        if rest[1:] == ["lines"]:
            query = parse_qs(urlsplit(seen.path).query)
            start, limit = int(query.get("after", ["0"])[0]), int(query["limit"][0])
            newest = self.lines[::-1]
            more = start + limit < len(newest)
            data = newest[start : start + limit]
            return 200, {"data": data, "next": str(start + limit) if more else None}
        if seen.method == "POST":
            self.done[body["wallet_id"]] += 1
            self.wallets.append({"wallet_id": body["wallet_id"], "opened_at": self.stamp()})
            return 201, self._account(self.wallets[-1])
        return 200, {"data": [self._account(one) for one in self.wallets], "next": None}

    def _account(self, wallet: dict[str, Any]) -> dict[str, Any]:
        return {
            **wallet,
            "state": "open",
            "account_class": "registered",
            "balance_fen": self.balance_fen,
            "available_fen": self.balance_fen,
            "ceiling_fen": 500_000,
        }

    def post(self, code: str, amount_fen: int, reference: str) -> None:
        self.balance_fen += amount_fen
        self.lines.append(
            {
                "line_id": f"lin_{len(self.lines)}",
                "time": self.stamp(),
                "code": code,
                "amount_fen": amount_fen,
                "balance_fen": self.balance_fen,
                "reference": reference,
                "counterparty": None,
            }
        )

    def _top_ups(self, seen: Seen, body: dict[str, Any], rest: list[str]) -> Reply:
        if seen.method == "GET":
            top_up = self.top_ups[rest[0]]
            self.asked[rest[0]] += 1
            if top_up["state"] == "processing" and self.asked[rest[0]] >= 2:
                self._settle(top_up)
            return 200, top_up
        topup_id = body["topup_id"]
        self.done[topup_id] += 1
        if body["amount_fen"] > 500_000:
            raise Refusal(402, "ceiling", ceiling_fen=500_000)
        top_up = {
            "topup_id": topup_id,
            "wallet_id": body["wallet_id"],
            "amount_fen": body["amount_fen"],
            "state": "processing",
            "failure_code": None,
            "created_at": self.stamp(),
            "settled_at": None,
            "ask_again_at": self.stamp(3),
        }
        self.top_ups[topup_id] = top_up
        if body["amount_fen"] != LATE_FEN:
            self._settle(top_up)
        return 202, dict(top_up)

    def _settle(self, top_up: dict[str, Any]) -> None:
        top_up |= {"state": "succeeded", "settled_at": self.stamp(), "ask_again_at": None}
        self.post("top_up", top_up["amount_fen"], top_up["topup_id"])

    def _pay(self, seen: Seen, body: dict[str, Any], rest: list[str]) -> Reply:
        if seen.method == "GET":
            if rest[0] not in self.payments:
                raise Refusal(404, "payment_unknown")
            return 200, self.payments[rest[0]]
        amount = body["amount_fen"]
        self.done[body["payment_id"]] += 1
        if amount > self.balance_fen:
            short = {"balance_fen": self.balance_fen, "short_by_fen": amount - self.balance_fen}
            raise Refusal(402, "insufficient_funds", **short)
        self.post("payment", -amount, body["payment_id"])
        payment = {
            "payment_id": body["payment_id"],
            "state": "captured",
            "amount_fen": amount,
            "captured_fen": amount,
            "refunded_fen": 0,
            "method": "merchant_code",
            "merchant_name": "城东超市",
            "shop_name": "一号店",
            "terminal_number": None,
            "token_number_masked": None,
            "balance_fen": self.balance_fen,
            "business_date": "2026-11-23",
            "created_at": self.stamp(),
            "bill_number": None,
        }
        self.payments[body["payment_id"]] = payment
        return 201, payment

    # Phone and card

    def _enrol(self, body: dict[str, Any]) -> Reply:
        signing = public_key(body["signing_key"])
        assert self._check_proof(body["proof"], signing, "/v1/me/devices") == body["device_id"]
        self.done[body["device_id"]] += 1
        device = {"device_id": body["device_id"], "name": body["name"], "state": "active"}
        device["enrolled_at"] = self.stamp()
        self.devices[body["device_id"]] = {
            "device": device,
            "signing": signing,
            "sealing": public_key(body["sealing_key"]),
        }
        return 201, device

    def _cards(self, seen: Seen, body: dict[str, Any], rest: list[str]) -> Reply:
        if not rest:
            return 201, self._provision(body)
        card = self.cards[rest[0]]
        match (seen.method, *rest[1:]):
            case ("POST", "keys"):
                self.done["refill"] += 1
                return 201, self._keys(card)
            case ("POST", "loss-report"):
                card["state"] = "suspended"
            case ("POST", "release"):
                card["state"] = "active"
        return 200, {**card, "keys": None}

    def _provision(self, body: dict[str, Any]) -> dict[str, Any]:
        self.done[body["token_id"]] += 1
        signing = self.devices[body["device_id"]]["signing"]
        card = issue_card(self.issuer, signing, body, len(self.cards), int(self.clock()))
        self.cards[body["token_id"]] = card
        return {**card, "keys": self._keys(card)}

    def _keys(self, card: dict[str, Any]) -> dict[str, Any]:
        made = self.batches.setdefault(card["token_id"], [])
        index = len(made) + 1
        made.append(make_batch(card["token_id"], index))
        sealing = self.devices[card["device_id"]]["sealing"]
        if self.seal_foreign:
            sealing = ec.generate_private_key(ec.SECP256R1()).public_key()
        sealed = key_batch.seal(made[-1], sealing, card["token_number"], index)
        return {
            "key_index": index,
            "key_version": 1,
            "suite": 1,
            "sealed": b64u(sealed),
            "uses_max": self.keys_uses_max,
            "not_before": self.stamp(-60),
            "not_after": self.stamp(self.keys_seconds),
        }


def public_key(jwk: dict[str, str]) -> ec.EllipticCurvePublicKey:
    key = jwt.PyJWK(jwk, algorithm="ES256").key
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key
