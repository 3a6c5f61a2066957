"""Access tokens that were verified once: believed again, until they end or the key does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from web_world import es256, jwt_of

from backend.kernel import ManualClock
from backend.keys import KeyRef, SoftwareKeys
from backend.web import AccessTokens, Caller, CallerKind
from backend.web.access import TokenExpired, TokenInvalid
from backend.web.tokens import ISSUER

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
TERMINAL = Caller(CallerKind.TERMINAL, "trm_1", frozenset({"pay", "refund"}), {"shop_id": "shp_1"})
STRANGER = ec.generate_private_key(ec.SECP256R1())


@dataclass(slots=True)
class _RotatingKeys:
    """Public keys of a key service, one at a time; counts nothing, keeps nothing."""

    current: SoftwareKeys

    def public_key(self, ref: KeyRef) -> ec.EllipticCurvePublicKey:
        return self.current.public_key(ref)

    def sign(self, ref: KeyRef, data: bytes) -> bytes:
        return self.current.sign(ref, data)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every token whose signature is looked at."""
    seen: list[str] = []
    decode = jwt.decode

    def count(token: str, *arguments: Any, **named: Any) -> Any:
        seen.append(token)
        return decode(token, *arguments, **named)

    monkeypatch.setattr(jwt, "decode", count)
    return seen


def test_a_signature_is_verified_once(tokens: AccessTokens, verified: list[str]) -> None:
    token = tokens.issue(TERMINAL)
    assert [tokens.check(token) for _ in range(3)] == [TERMINAL] * 3
    assert verified == [token]


def test_a_token_seen_before_still_ends_at_its_second(
    keys: SoftwareKeys, verified: list[str]
) -> None:
    clock = ManualClock(NOW)
    tokens = AccessTokens(keys, clock, ttl_seconds=60)
    token = tokens.issue(TERMINAL)
    tokens.check(token)
    clock.advance(timedelta(seconds=60))
    for _ in range(2):
        with pytest.raises(TokenExpired):
            tokens.check(token)
    assert verified == [token, token]  # what has ended is not kept


def test_a_refused_token_is_not_kept(tokens: AccessTokens, verified: list[str]) -> None:
    claims = {"iss": ISSUER, "sub": "trm_1", "kind": "terminal", "scope": "", "ctx": {}}
    claims["exp"] = int(NOW.timestamp()) + 600
    forged = jwt_of({"alg": "ES256"}, claims, es256(STRANGER))
    for _ in range(2):
        with pytest.raises(TokenInvalid):
            tokens.check(forged)
    assert verified == [forged, forged]


def test_a_rotated_key_ends_what_was_verified_under_the_old_one(
    keys: SoftwareKeys, tmp_path: Path
) -> None:
    other = SoftwareKeys.make(tmp_path / "keystore.json", tmp_path / "kek")
    rotating: Any = _RotatingKeys(keys)
    tokens = AccessTokens(rotating, ManualClock(NOW))
    old = tokens.issue(TERMINAL)
    tokens.check(old)
    rotating.current = other
    with pytest.raises(TokenInvalid):
        tokens.check(old)
    new = tokens.issue(TERMINAL)
    assert tokens.check(new) == TERMINAL
    rotating.current = keys
    assert tokens.check(old) == TERMINAL  # its own key again: verified anew
    with pytest.raises(TokenInvalid):
        tokens.check(new)


def test_many_tokens_do_not_fill_the_memory(
    tokens: AccessTokens, verified: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.web.tokens.SEEN_MAX", 3)
    made = [tokens.issue(TERMINAL) for _ in range(5)]
    for token in made:
        tokens.check(token)
    verified.clear()
    for token in made[2:]:
        tokens.check(token)
    assert verified == []
    tokens.check(made[0])
    assert verified == [made[0]]


def test_one_request_cannot_change_what_the_next_one_is_told(tokens: AccessTokens) -> None:
    context: Any = tokens.check(tokens.issue(TERMINAL)).context
    with pytest.raises(TypeError):
        context["shop_id"] = "shp_2"
