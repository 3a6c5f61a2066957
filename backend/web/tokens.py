"""Access tokens: short JWTs (ES256) that only this city's key can have made."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
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


@dataclass(frozen=True, slots=True)
class Verified:
    """Who a token names, until when, and the key that signed it."""

    caller: Caller
    expires_at: float
    key: EllipticCurvePublicKey = field(repr=False)


@dataclass(slots=True)
class SeenTokens:
    """Tokens whose signature held, by SHA-256: at most `SEEN_MAX`, oldest out.

    It never answers whether a token still holds: who asks compares `expires_at` with the clock.
    """

    _seen: dict[bytes, Verified] = field(default_factory=dict, repr=False)
    _keeping: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def find(self, token: bytes, keys: Collection[EllipticCurvePublicKey]) -> Verified | None:
        """What a token says that one of `keys` was seen to have signed.

        A retired key is not among `keys`: nothing of it is believed any more.
        """
        found = self._seen.get(token)
        return found if found is not None and found.key in keys else None

    def keep(self, token: bytes, verified: Verified) -> None:
        with self._keeping:
            while len(self._seen) >= SEEN_MAX:
                del self._seen[next(iter(self._seen))]
            self._seen[token] = verified

    def forget(self, token: bytes) -> None:
        with self._keeping:
            self._seen.pop(token, None)

    def __len__(self) -> int:
        return len(self._seen)


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """Issues and checks the bearer tokens of citizens, terminals and merchants."""

    keys: Keys
    clock: Clock
    ttl_seconds: int = 600
    _key_ids: dict[int, str] = field(init=False, default_factory=dict, repr=False, compare=False)
    _seen: SeenTokens = field(init=False, default_factory=SeenTokens, repr=False, compare=False)

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
        version = self.keys.active_version(KeyRef.ACCESS_TOKENS)
        header = {"alg": "ES256", "typ": "at+jwt", "kid": self._key_id(version)}
        signed = f"{_segment(header)}.{_segment(claims)}"
        signature = self.keys.sign(KeyRef.ACCESS_TOKENS, signed.encode(), version)
        return f"{signed}.{_b64u(signature)}"

    def check(self, token: str) -> Caller:
        """The caller a token names. Raises TokenInvalid or TokenExpired.

        A signature is verified once; the clock is asked every time.
        """
        keys = self.keys.public_keys(KeyRef.ACCESS_TOKENS)
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        found = self._seen.find(digest, keys.values())
        verified = found or self._verify(token, keys)
        if verified.expires_at <= self.clock.now().timestamp():
            self._seen.forget(digest)
            raise TokenExpired
        if found is None:
            self._seen.keep(digest, verified)
        return verified.caller

    def jwks(self) -> dict[str, Any]:
        """The public half as a JWK set (RFC 7517, section 5)."""
        keys = self.keys.public_keys(KeyRef.ACCESS_TOKENS)
        return {"keys": [public_jwk(key) for key in keys.values()]}

    def _verify(self, token: str, keys: Mapping[int, EllipticCurvePublicKey]) -> Verified:
        """What a token says that one of our keys signed. Raises TokenInvalid."""
        try:
            return _verified(token, keys)
        except SignerUnknown:
            if not self.keys.look():
                raise
        # Another process has rotated a moment ago, and signs with what we had not read.
        now = self.keys.public_keys(KeyRef.ACCESS_TOKENS)
        return _verified(token, {n: key for n, key in now.items() if n not in keys})

    def _key_id(self, version: int) -> str:
        if version not in self._key_ids:
            public = self.keys.public_key(KeyRef.ACCESS_TOKENS, version)
            self._key_ids[version] = key_thumbprint(public)
        return self._key_ids[version]


class SignerUnknown(TokenInvalid):
    """A token that is well formed, and that none of these keys signed."""


def _verified(token: str, keys: Mapping[int, EllipticCurvePublicKey]) -> Verified:
    """Raises SignerUnknown, TokenInvalid."""
    for version in sorted(keys, reverse=True):
        with suppress(SignerUnknown):
            return _verified_by(token, keys[version])
    raise SignerUnknown


def _verified_by(token: str, key: EllipticCurvePublicKey) -> Verified:
    options: Any = {"require": ["sub", "kind", "exp"], "verify_exp": False, "verify_iat": False}
    try:
        claims = jwt.decode(token, key, algorithms=["ES256"], issuer=ISSUER, options=options)
    except jwt.InvalidSignatureError:
        raise SignerUnknown from None
    except (jwt.PyJWTError, RecursionError, UnicodeError):  # parsed before it is trusted
        raise TokenInvalid from None
    who = Caller(
        kind=CallerKind(claims["kind"]),
        id=claims["sub"],
        scopes=frozenset(claims["scope"].split()),
        context=MappingProxyType(claims["ctx"]),  # one caller for many requests: read only
    )
    return Verified(who, claims["exp"], key)


def _segment(value: object) -> str:
    return _b64u(json.dumps(value, separators=(",", ":")).encode())


def _b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
