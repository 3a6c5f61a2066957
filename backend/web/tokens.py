"""Access tokens: short JWTs (ES256) that only this city's key can have made."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from backend.kernel import Clock, new_id
from backend.keys import KeyRef, Keys, key_thumbprint, public_jwk
from backend.web.access import Caller, CallerKind, TokenExpired, TokenInvalid

ISSUER = "city-card"
SEEN_MAX = 10_000


@dataclass(slots=True)
class SeenTokens:
    """Tokens whose signature held, by SHA-256: one key's, at most `SEEN_MAX`, oldest out.

    It never answers whether a token still holds: who asks compares `expires_at` with the clock.
    """

    _key: EllipticCurvePublicKey | None = field(default=None, repr=False)
    _callers: dict[bytes, tuple[Caller, float]] = field(default_factory=dict, repr=False)
    _keeping: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def find(self, token: bytes, key: EllipticCurvePublicKey) -> tuple[Caller, float] | None:
        """(caller, expires_at) of a token that `key` was seen to have signed."""
        if self._key is not key and self._key != key:
            return None
        return self._callers.get(token)

    def keep(
        self, token: bytes, key: EllipticCurvePublicKey, caller: Caller, expires_at: float
    ) -> None:
        with self._keeping:
            if self._key != key:  # rotated: nothing of the old key is believed any more
                self._callers, self._key = {}, key
            while len(self._callers) >= SEEN_MAX:
                del self._callers[next(iter(self._callers))]
            self._callers[token] = (caller, expires_at)

    def forget(self, token: bytes) -> None:
        with self._keeping:
            self._callers.pop(token, None)

    def __len__(self) -> int:
        return len(self._callers)


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """Issues and checks the bearer tokens of citizens, terminals and merchants."""

    keys: Keys
    clock: Clock
    ttl_seconds: int = 600
    _key_id: str = field(init=False, default="")
    _seen: SeenTokens = field(init=False, default_factory=SeenTokens, repr=False, compare=False)

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
        """The caller a token names. Raises TokenInvalid or TokenExpired.

        A signature is verified once; the clock is asked every time.
        """
        key = self.keys.public_key(KeyRef.ACCESS_TOKENS)
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        found = self._seen.find(digest, key)
        who, expires_at = found or _verified(token, key)
        if expires_at <= self.clock.now().timestamp():
            self._seen.forget(digest)
            raise TokenExpired
        if found is None:
            self._seen.keep(digest, key, who, expires_at)
        return who

    def jwks(self) -> dict[str, Any]:
        """The public half as a JWK set (RFC 7517, section 5)."""
        return {"keys": [public_jwk(self.keys.public_key(KeyRef.ACCESS_TOKENS))]}


def _verified(token: str, key: EllipticCurvePublicKey) -> tuple[Caller, float]:
    """(caller, expires_at) of a token that `key` signed. Raises TokenInvalid."""
    options: Any = {"require": ["sub", "kind", "exp"], "verify_exp": False, "verify_iat": False}
    try:
        claims = jwt.decode(token, key, algorithms=["ES256"], issuer=ISSUER, options=options)
    except (jwt.PyJWTError, RecursionError, UnicodeError):  # parsed before it is trusted
        raise TokenInvalid from None
    who = Caller(
        kind=CallerKind(claims["kind"]),
        id=claims["sub"],
        scopes=frozenset(claims["scope"].split()),
        context=MappingProxyType(claims["ctx"]),  # one caller for many requests: read only
    )
    return who, claims["exp"]


def _segment(value: object) -> str:
    return _b64u(json.dumps(value, separators=(",", ":")).encode())


def _b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
