"""What merchant tests share: operations, staff, and everything joined as backend.app joins it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from backend.db import Operation
from backend.db.operations import Answer
from backend.kernel import ManualClock, new_id
from backend.merchants import (
    Activate,
    Activations,
    AddClient,
    AddTerminal,
    Logins,
    MerchantCodes,
    Merchants,
    State,
    TerminalProfiles,
)
from backend.web import AccessTokens, Caller, CallerKind

serial = count(1)


def operation(key: str | None = None, content: dict[str, str] | None = None) -> Operation:
    return Operation("test", key or f"key-{next(serial)}", content or {}, lambda _: Answer(200, ""))


@dataclass(frozen=True)
class World:
    """Everything joined as backend.app joins it."""

    clock: ManualClock
    merchants: Merchants
    activations: Activations
    logins: Logins
    codes: MerchantCodes
    profiles: TerminalProfiles
    tokens: AccessTokens
    merchant_id: str
    shop_id: str

    def terminal(self, shop_id: str | None = None) -> tuple[str, ec.EllipticCurvePrivateKey]:
        """An active terminal and its key."""
        terminal_id = new_id("trm")
        ordered = self.merchants.add_terminal(
            AddTerminal(terminal_id, shop_id or self.shop_id, "till")
        )
        return terminal_id, self.activated(ordered.activation_code)

    def client(self) -> tuple[str, ec.EllipticCurvePrivateKey]:
        """An active merchant server and its key."""
        client_id = new_id("mcl")
        ordered = self.merchants.add_client(AddClient(client_id, self.merchant_id, "web"))
        return client_id, self.activated(ordered.activation_code)

    def activated(self, code: str) -> ec.EllipticCurvePrivateKey:
        key = ec.generate_private_key(ec.SECP256R1())
        self.activations.activate(Activate(code, key.public_key(), "till"))
        return key

    def assertion(self, client_id: str, key: ec.EllipticCurvePrivateKey, **changes: Any) -> str:
        now = int(self.clock.now().timestamp())
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": "/v1/token",
            "iat": now,
            "exp": now + 300,
            "jti": f"jti-{next(serial)}",
            **changes,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, key, algorithm="ES256")


class Staff:
    """Stands for the staff cookie."""

    def __init__(self) -> None:
        self.scopes = frozenset({"merchants.write"})

    def authenticate(self) -> Caller:
        return Caller(CallerKind.STAFF, "stf_1", self.scopes)


def ordered_code(world: World) -> tuple[str, str]:
    terminal_id = new_id("trm")
    ordered = world.merchants.add_terminal(AddTerminal(terminal_id, world.shop_id, "till"))
    assert ordered.client.state is State.ORDERED
    return terminal_id, ordered.activation_code
