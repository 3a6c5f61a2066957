"""Access tokens: short JWTs (ES256) that only this city's key can have made."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jwt

from backend.kernel import Clock, new_id
from backend.keys import KeyRef, Keys
from backend.web.access import Caller, CallerKind, TokenExpired, TokenInvalid
from backend.web.assertions import key_thumbprint, key_to_jwk

ISSUER = "city-card"


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """Issues and checks the bearer tokens of citizens, terminals and merchants."""

    keys: Keys
    clock: Clock
    ttl_seconds: int = 600
    _key_id: str = field(init=False, default="")

    def __post_init__(self) -> None:
        public = self.keys.public_key(KeyRef.ACCESS_TOKENS)
        object.__setattr__(self, "_key_id", key_thumbprint(public))

    def issue(self, caller: Caller) -> str:
        """A token for `caller`, valid `ttl_seconds`."""
        now = self.clock.now()
        claims = {
            "iss": ISSUER,
            "sub": caller.id,
            "kind": caller.kind.value,
            "scope": " ".join(sorted(caller.scopes)),
            "ctx": dict(caller.context),
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(seconds=self.ttl_seconds)).timestamp()),
            "jti": new_id("jti"),
        }
        header = {"alg": "ES256", "typ": "at+jwt", "kid": self._key_id}
        signed = f"{_segment(header)}.{_segment(claims)}"
        signature = self.keys.sign(KeyRef.ACCESS_TOKENS, signed.encode())
        return f"{signed}.{_b64u(signature)}"

    def check(self, token: str) -> Caller:
        """The caller a token names. Raises TokenInvalid or TokenExpired."""
        key = self.keys.public_key(KeyRef.ACCESS_TOKENS)
        options: Any = {"require": ["sub", "kind", "exp"], "verify_exp": False, "verify_iat": False}
        try:
            claims = jwt.decode(token, key, algorithms=["ES256"], issuer=ISSUER, options=options)
        except (jwt.PyJWTError, RecursionError, UnicodeError):  # parsed before it is trusted
            raise TokenInvalid from None
        if claims["exp"] <= self.clock.now().timestamp():
            raise TokenExpired
        return Caller(
            kind=CallerKind(claims["kind"]),
            id=claims["sub"],
            scopes=frozenset(claims["scope"].split()),
            context=claims["ctx"],
        )

    def jwks(self) -> dict[str, Any]:
        """The public half as a JWK set (RFC 7517, section 5)."""
        public = key_to_jwk(self.keys.public_key(KeyRef.ACCESS_TOKENS))
        return {"keys": [{**public, "kid": self._key_id, "alg": "ES256", "use": "sig"}]}


def _segment(value: object) -> str:
    return _b64u(json.dumps(value, separators=(",", ":")).encode())


def _b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
