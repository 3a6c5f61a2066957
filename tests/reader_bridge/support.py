"""A genuine card and a small backend over real HTTP, for the terminal's tests."""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from card_protocol.certificate import Certificate
from card_protocol.mobile_card import (
    EPURSE_AID,
    MOBILE_CARD_AID,
    MOBILE_CARD_LABEL,
    GpoResponse,
    HolderCheck,
    Suite,
    TransactionData,
    compressed_point,
    compute_cryptogram,
    cryptogram_input,
    luhn_check_digit,
    sign,
    signature_input,
)
from hce.applets.mobile_card import MobileCardApplet
from hce.card import Card
from hce.ports import LimitedUseKey
from hce.signer import SoftwareSigner
from hce.state import CardState
from hce.store import MemoryCardStore
from reader_bridge.kernels.mobile_card import AcceptedApplication
from reader_bridge.profile import point_of

NOW = 1_790_000_000  # 2026-09-21T14:13:20Z
TERMINAL_NUMBER, MERCHANT_NUMBER = "00010001", "104000000000001"
ACTIVATION_CODE = "ABCD-2345"
LUK = bytes(range(16))
ACCEPTED = (
    AcceptedApplication(EPURSE_AID, "MOT_T_EP", 1),
    AcceptedApplication(MOBILE_CARD_AID, MOBILE_CARD_LABEL, 2),
)


def numbered(digits: str) -> str:
    return digits + luhn_check_digit(digits)


TOKEN_NUMBER = numbered("880012345678901234")
PAY_CODE = numbered("961234567887654321")


def jwk_of(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    x, y = (
        base64.urlsafe_b64encode(n.to_bytes(32, "big")).rstrip(b"=").decode()
        for n in (numbers.x, numbers.y)
    )
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class CardKit:
    """An issuer, a device key, and cards made of them."""

    issuer: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    device: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def issuer_keys(self) -> dict[tuple[Suite, int], bytes]:
        return {(Suite.AES_ES256, 1): point_of(jwk_of(self.issuer.public_key()))}

    def certificate(self, **changes: Any) -> Certificate:
        certificate = Certificate(
            token_number=TOKEN_NUMBER,
            device_public_key=compressed_point(self.device.public_key()),
            product="phone_card",
            concession_group=0,
            not_before=NOW - 86_400,
            not_after=NOW + 86_400,
            offline_sale_max_fen=0,
            offline_sum_max_fen=0,
            status_index=7,
            issuer_key_index=1,
        )
        return replace(certificate, **changes).signed_by(lambda body: sign(self.issuer, body))

    def card(self, certificate: Certificate | None = None, **state: Any) -> Card:
        key = LimitedUseKey(index=3, version=1, value=LUK, uses_left=1000, not_after=NOW + 9_999)
        self.store = MemoryCardStore(
            CardState(certificate or self.certificate(), **{"key": key, **state})
        )
        return Card([self.applet()])

    def applet(self, **name: Any) -> MobileCardApplet:
        return MobileCardApplet(
            self.store,
            SoftwareSigner(self.device),
            holder_check=lambda: HolderCheck.DEVICE_UNLOCKED,
            now=lambda: NOW,
            **name,
        )

    def is_genuine(self, pdol_data: bytes, body: bytes) -> bool:
        """What the issuer would find: the cryptogram under the limited-use key."""
        gpo = GpoResponse.decode(body)
        data = cryptogram_input(pdol_data, gpo.aip, gpo.atc, gpo.iad.encode())
        return compute_cryptogram(Suite.AES_ES256, LUK, data) == gpo.cryptogram

    def signed_again(self, gpo: GpoResponse, pdol_data: bytes) -> GpoResponse:
        signed = signature_input(pdol_data, gpo.aip, gpo.atc, gpo.iad.encode(), gpo.cryptogram)
        return replace(gpo, signature=sign(self.device, signed))


class Problem(Exception):
    def __init__(self, status: int, code: str, **data: Any) -> None:
        super().__init__(code)
        self.status = status
        self.body = {"type": f"/problems/{code}", "code": code, "detail": f"no: {code}", **data}


class Hangup(Exception):
    """The connection ends here, without an answer."""


class QuietServer(ThreadingHTTPServer):
    """Keeps what went wrong inside a handler; a client that hangs up is none of that."""

    daemon_threads = False

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.failures: list[BaseException] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        failure = sys.exc_info()[1]
        if failure is not None and not isinstance(failure, ConnectionError):
            self.failures.append(failure)


class FakeBackend:
    """One merchant, one terminal, one wallet. `script` holds what happens to the next requests.

    A word per request that is not a login: "ok", "lose_request" (nothing done, no answer),
    "lose_answer" (done, no answer), "running" (409 with Retry-After), "broken" (500),
    "nonsense" (200, no JSON) or "locked_out" (403).
    """

    def __init__(self, kit: CardKit) -> None:
        self.kit = kit
        self.script: list[str] = []
        self.balance_fen = 20_000
        self.payments: dict[str, dict[str, Any]] = {}
        self.reversed_ids: set[str] = set()
        self.answers: dict[str, tuple[bytes, int, dict[str, Any]]] = {}
        self.requests: list[tuple[str, str, bytes, str | None]] = []
        self.logins: Counter[str] = Counter()
        self.tokens_valid: set[str] = set()
        self.terminal_key: dict[str, str] | None = None
        self.expires_in = 300
        self.kind = "terminal"
        self.activation_extra: dict[str, Any] = {}
        self.lock = threading.Lock()
        self.server = QuietServer(_handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))

    def __enter__(self) -> FakeBackend:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)
        if self.server.failures:
            raise self.server.failures[0]

    def charges(self) -> list[int]:
        return [p["amount_fen"] for p in self.payments.values() if p["state"] != "reversed"]

    def paths(self, method: str = "POST") -> list[str]:
        return [path for verb, path, _, _ in self.requests if verb == method]

    def handle(self, verb: str, target: str, headers: Any, body: bytes) -> tuple[int, Any]:
        url = urlsplit(target)
        with self.lock:
            try:
                return self._answer(verb, url.path, parse_qs(url.query), headers, body)
            except Problem as problem:
                return problem.status, problem.body

    def _answer(
        self, verb: str, path: str, query: dict[str, list[str]], headers: Any, body: bytes
    ) -> tuple[int, Any]:
        if path == "/v1/token":
            return self._login(parse_qs(body.decode()))
        key = headers["Idempotency-Key"]
        self.requests.append((verb, path, body, key))
        word = self.script.pop(0) if self.script else "ok"
        if word == "lose_request":
            raise Hangup
        if word == "locked_out":
            raise Problem(403, "terminal_suspended")
        if word in {"running", "broken", "nonsense"}:
            return {"running": 409, "broken": 500, "nonsense": 200}[word], word
        if path == "/v1/activations":
            answer = self._once(key, body, lambda: self._activate(json.loads(body)))
        else:
            token = (headers["Authorization"] or "").removeprefix("Bearer ")
            if token not in self.tokens_valid:
                raise Problem(401, "token_expired")
            if verb == "GET":
                answer = self._get(path, query)
            else:
                answer = self._once(key, body, lambda: self._post(path, json.loads(body)))
        if word == "lose_answer":
            raise Hangup
        return answer

    def _once(self, key: str | None, body: bytes, act: Any) -> tuple[int, Any]:
        if not key:
            raise Problem(422, "idempotency_key_missing")
        if key not in self.answers:
            try:
                status, document = act()
            except Problem as problem:
                status, document = problem.status, problem.body
            self.answers[key] = body, status, document
        first_body, status, document = self.answers[key]
        if first_body != body:
            raise Problem(409, "idempotency_key_reused")
        return status, document

    def _activate(self, body: dict[str, Any]) -> tuple[int, Any]:
        if body["activation_code"] != ACTIVATION_CODE or self.terminal_key is not None:
            raise Problem(402, "activation_code_wrong")
        self.terminal_key = body["public_key"]
        return 201, {
            "client_id": "trm_01h2xcejqtf2nbrexx3vqjhp41",
            "kind": self.kind,
            "merchant_id": "mer_1",
            "merchant_name": "老街面馆",
            "merchant_number": MERCHANT_NUMBER,
            "shop_id": "shp_1",
            "shop_name": "一号店",
            "terminal_number": TERMINAL_NUMBER,
            **self.activation_extra,
        }

    def _login(self, form: dict[str, list[str]]) -> tuple[int, Any]:
        key = jwt.PyJWK({**(self.terminal_key or {}), "alg": "ES256"}).key
        claims = jwt.decode(
            form["client_assertion"][0],
            key,
            algorithms=["ES256"],
            audience="/v1/token",
            options={"verify_exp": False, "verify_iat": False},
        )
        assert form["grant_type"] == ["client_credentials"]
        assert claims["iss"] == claims["sub"] == "trm_01h2xcejqtf2nbrexx3vqjhp41"
        assert 0 < claims["exp"] - claims["iat"] <= 300
        self.logins[claims["jti"]] += 1
        token = f"token-{len(self.logins)}"
        self.tokens_valid.add(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in}

    def _get(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        if path == "/v1/terminal/profile":
            return 200, self.profile()
        if path == "/v1/terminal/payments":
            bill = query["bill_number"][0]
            found = [p for p in self.payments.values() if p["bill_number"] == bill]
            return 200, {"data": found, "next": None}
        payment_id = path.rsplit("/", 1)[1]
        if payment_id not in self.payments:
            raise Problem(404, "payment_unknown")
        return 200, self.payments[payment_id]

    def profile(self) -> dict[str, Any]:
        return {
            "profile_version": 3,
            "terminal_id": "trm_01h2xcejqtf2nbrexx3vqjhp41",
            "terminal_number": TERMINAL_NUMBER,
            "merchant_number": MERCHANT_NUMBER,
            "merchant_name": "老街面馆",
            "shop_name": "一号店",
            "currency": 156,
            "applications": [
                {"aid": a.aid.hex(), "label": a.label, "priority": a.priority} for a in ACCEPTED
            ],
            "issuer_keys": [{"index": 1, "public_key": jwk_of(self.kit.issuer.public_key())}],
            "online_timeout_seconds": 2,
        }

    def _post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/v1/terminal/payments":
            return self._pay(body)
        if path == "/v1/terminal/codes":
            return 201, {"content": f"000201{body['bill_number']}{body['amount_fen']}"}
        payment_id, action = path.split("/")[4:]
        if action == "reversal":
            return self._reverse(payment_id)
        payment = self.payments[payment_id]
        if payment["refunded_fen"] + body["amount_fen"] > payment["captured_fen"]:
            raise Problem(402, "refund_too_large")
        payment["refunded_fen"] += body["amount_fen"]
        self.balance_fen += body["amount_fen"]
        facts = {"refund_id": body["refund_id"], "amount_fen": body["amount_fen"]}
        return 201, {**facts, "payment_id": payment_id, "state": "posted"}

    def _reverse(self, payment_id: str) -> tuple[int, Any]:
        self.reversed_ids.add(payment_id)
        payment = self.payments.get(payment_id)
        if payment is not None and payment["state"] != "reversed":
            payment["state"] = "reversed"
            self.balance_fen += payment["amount_fen"]
        return 200, {"payment_id": payment_id, "state": "reversed"}

    def _pay(self, body: dict[str, Any]) -> tuple[int, Any]:
        if body["payment_id"] in self.reversed_ids:
            raise Problem(409, "payment_reversed")
        proof = body["proof"]
        if proof["kind"] == "tap":
            pdol_data, gpo = unb64(proof["pdol_data"]), unb64(proof["gpo_response"])
            if not self.kit.is_genuine(pdol_data, gpo):
                raise Problem(402, "cryptogram_invalid")
            assert TransactionData.decode(pdol_data).amount_fen == body["amount_fen"]
        short_fen = body["amount_fen"] - self.balance_fen
        if short_fen > 0:
            facts = {"balance_fen": self.balance_fen, "short_by_fen": short_fen}
            raise Problem(402, "insufficient_funds", retryable=True, **facts)
        self.balance_fen -= body["amount_fen"]
        return 201, self.add_payment(body["payment_id"], body["amount_fen"], proof["kind"])

    def add_payment(
        self, payment_id: str, amount_fen: int, method: str, bill_number: str | None = None
    ) -> dict[str, Any]:
        self.payments[payment_id] = {
            "payment_id": payment_id,
            "state": "captured",
            "amount_fen": amount_fen,
            "captured_fen": amount_fen,
            "refunded_fen": 0,
            "method": method,
            "token_number_masked": "8800 **** **** **** 234",
            "balance_fen": self.balance_fen,
            "business_date": "2026-09-21",
            "created_at": "2026-09-21T22:13:20+08:00",
            "bill_number": bill_number,
        }
        return dict(self.payments[payment_id])


def _handler(backend: FakeBackend) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body leave in two writes
        timeout = 10  # no connection outlives its test for long

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            try:
                status, document = backend.handle(self.command, self.path, self.headers, body)
            except Hangup:
                self.close_connection = True
                return
            answer = b"<html>" if document == "nonsense" else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            if document == "running":
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = _serve

        def log_message(self, *_: Any) -> None:
            """The tests look at `requests` instead."""

    return Handler
