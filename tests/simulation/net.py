"""The public network over real databases, as terminals, citizens and servers meet it."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from backend.app import Parts
from backend.kernel import new_id
from backend.merchants import TerminalFacts
from backend.payments.model import Tap
from backend.web import Caller, CallerKind
from tests.simulation.money_world import Citizen, World

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
keys_given = count(1)


@dataclass(frozen=True)
class Net:
    """The public application over its own databases, and the services to set things up with."""

    app: Flask
    parts: Parts
    world: World
    till: TerminalFacts
    citizen: Citizen

    def call(
        self,
        who: dict[str, str],
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        language: str = "en",
        raw: bytes | None = None,
    ) -> TestResponse:
        headers = {**who, "Accept-Language": language, "Content-Type": "application/json"}
        if method == "POST":
            headers["Idempotency-Key"] = key or f"api-{next(keys_given)}"
        data = raw if raw is not None else None if body is None else json.dumps(body)
        return self.app.test_client().open(path, method=method, headers=headers, data=data)

    def bearer(self, kind: CallerKind, name: str, **context: str) -> dict[str, str]:
        token = self.parts.tokens.issue(Caller(kind, name, context=context))
        return {"Authorization": f"Bearer {token}"}

    @property
    def terminal(self) -> dict[str, str]:
        return self.at(self.till)

    def at(self, till: TerminalFacts) -> dict[str, str]:
        context = {"merchant_id": till.merchant_id, "shop_id": till.shop_id}
        return self.bearer(CallerKind.TERMINAL, till.terminal_id, **context)

    @property
    def person(self) -> dict[str, str]:
        return self.bearer(CallerKind.CITIZEN, self.citizen.person_id)

    @property
    def server(self) -> dict[str, str]:
        return self.bearer(CallerKind.MERCHANT, "mcl_x", merchant_id=self.till.merchant_id)

    def sale(self, fen: Any = 500, **changes: Any) -> dict[str, Any]:
        """The body of a sale by tap."""
        is_amount = type(fen) is int and 0 < fen < 2**31
        tap = self.citizen.card.tap(self.till, fen if is_amount else 500)
        return {
            "payment_id": new_id("pay"),
            "terminal_counter": next(keys_given),
            "amount_fen": fen,
            "proof": proof(tap),
            **changes,
        }

    def sell(self, fen: int = 500, **changes: Any) -> dict[str, Any]:
        answer = self.call(
            self.terminal, "POST", "/v1/terminal/payments", self.sale(fen, **changes)
        )
        assert answer.status_code == 201, answer.text
        return dict(answer.get_json())


def proof(tap: Tap) -> dict[str, str]:
    return {
        "kind": "tap",
        "pdol_data": _b64u(tap.pdol_data),
        "gpo_response": _b64u(tap.gpo_response),
    }


def _b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def problem(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), (
        answer.text
    )
    body: dict[str, Any] = answer.get_json()
    assert (body["code"], body["status"]) == (code, status)
    assert body["request_id"] == answer.headers["X-Request-Id"]
    assert "Traceback" not in answer.text
    return body
