"""A city to torment: who pays, who refunds, and requests of theirs as bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backend.app import Parts, open_parts
from backend.config import load_config
from backend.kernel import SystemClock
from backend.web import Caller, CallerKind
from backend.web.tokens import AccessTokens
from tools.benches.city import ANY_PORT, PATH, TOKEN_SECONDS, WALLET_FEN, City, make_city
from tools.benches.ids import make_ids
from tools.story.instance import environment

IDS_AT_ONCE = 512
AMOUNT_FEN_MAX = 300
TOO_MUCH_FEN = 60_000
"""More than static codes may move in a day: refused, and the refusal is remembered too."""
TOO_MUCH_SHARE = 0.03
REFUND_FEN_MAX = 200


@dataclass(frozen=True, slots=True)
class Wish:
    """One operation as its caller stored it before sending; the id is its Idempotency-Key too.

    `payment_id`: what a refund gives back; of a payment its own id.
    """

    operation_id: str
    payment_id: str
    wallet_id: str
    amount_fen: int
    shop: int
    request: bytes = field(repr=False)

    @property
    def is_payment(self) -> bool:
        return self.payment_id == self.operation_id


@dataclass(slots=True)
class Town:
    """`city`, its merchants' heads of requests, and ids that were made beforehand."""

    city: City
    _payers: Sequence[bytes] = field(repr=False)
    _merchants: Sequence[tuple[str, str]] = field(repr=False)  # merchant id, token
    _ids: dict[str, list[str]] = field(default_factory=dict, repr=False)

    @property
    def opening_fen(self) -> int:
        """What each wallet had in the beginning."""
        return WALLET_FEN

    def pay(self, dice: random.Random, amount_fen: int | None = None) -> Wish:
        """A citizen pays a shop's static code; now and then too much."""
        number, shop = dice.randrange(len(self._payers)), dice.randrange(len(self.city.codes))
        is_too_much = dice.random() < TOO_MUCH_SHARE
        fen = amount_fen or (TOO_MUCH_FEN if is_too_much else dice.randint(1, AMOUNT_FEN_MAX))
        wallet_id, payment_id = self.city.citizens[number].wallet_id, self._fresh("pay")
        body = {
            "payment_id": payment_id,
            "wallet_id": wallet_id,
            "merchant_code": self.city.codes[shop],
            "amount_fen": fen,
        }
        request = _whole(self._payers[number], payment_id, body)
        return Wish(payment_id, payment_id, wallet_id, fen, shop, request)

    def refund(self, dice: random.Random, paid: Wish) -> Wish:
        """The merchant gives a part back: perhaps more than is left, which is refused."""
        refund_id, fen = self._fresh("ref"), dice.randint(1, REFUND_FEN_MAX)
        path = f"/v1/merchant/payments/{paid.operation_id}/refunds"
        head = _head(path, self._merchants[paid.shop][1])
        body = {"refund_id": refund_id, "amount_fen": fen, "reason": "chaos"}
        request = _whole(head, refund_id, body)
        return Wish(refund_id, paid.operation_id, paid.wallet_id, fen, paid.shop, request)

    def look(self, paid: Wish) -> tuple[str, dict[str, str]]:
        """Path and headers of a merchant's question for one payment: it writes nothing."""
        path = f"/v1/merchant/payments/{paid.operation_id}"
        return path, {"Authorization": f"Bearer {self._merchants[paid.shop][1]}"}

    def _fresh(self, prefix: str) -> str:
        ready = self._ids.setdefault(prefix, [])
        if not ready:
            ready += make_ids(prefix, IDS_AT_ONCE)
        return ready.pop()


def make_town(var: Path, settings: Mapping[str, str], citizens: int, merchants: int) -> Town:
    """Fills fresh databases; `settings` names them (none: SQLite under `var`)."""
    city = make_city(var, settings, citizens, merchants)
    served_as = {**environment(var, ANY_PORT, ANY_PORT), **settings}
    parts = open_parts(load_config(served_as))
    try:
        merchants_made = _merchants(parts, city)
    finally:
        parts.databases.close()
    return Town(city, [_head(PATH, one.token) for one in city.citizens], merchants_made)


def _merchants(parts: Parts, city: City) -> list[tuple[str, str]]:
    tokens = AccessTokens(parts.keys, SystemClock(), TOKEN_SECONDS)
    made = []
    for code in city.codes:
        merchant_id = parts.merchant_codes.read(code).merchant.merchant_id
        context = {"merchant_id": merchant_id}
        caller = Caller(CallerKind.MERCHANT, merchant_id, frozenset({"merchant"}), context)
        made.append((merchant_id, tokens.issue(caller)))
    return made


def _head(path: str, token: str, method: str = "POST") -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nAccept: application/json\r\n"
    ).encode()


def _whole(head: bytes, key: str, body: Mapping[str, object]) -> bytes:
    content = json.dumps(body).encode()
    return b"%sIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        head,
        key.encode(),
        len(content),
        content,
    )
