"""Access tokens that were verified once: believed again, until they end or the key does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from web_world import es256, jwt_of

from backend.kernel import ManualClock
from backend.keys import KeyRef, SoftwareKeys
from backend.keys.admin import KeyAdmin
from backend.web import AccessTokens, Caller, CallerKind
from backend.web.access import TokenExpired, TokenInvalid
from backend.web.tokens import ISSUER

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
TERMINAL = Caller(CallerKind.TERMINAL, "trm_1", frozenset({"pay", "refund"}), {"shop_id": "shp_1"})
STRANGER = ec.generate_private_key(ec.SECP256R1())


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


def test_a_rotated_key_verifies_until_it_is_retired(tmp_path: Path, verified: list[str]) -> None:
    keys = SoftwareKeys.make(tmp_path / "keystore.json", tmp_path / "kek")
    admin = KeyAdmin(keys.vault, ManualClock(NOW))
    tokens = AccessTokens(keys, ManualClock(NOW))
    old = tokens.issue(TERMINAL)
    assert tokens.check(old) == TERMINAL
    admin.rotate("li", KeyRef.ACCESS_TOKENS)
    keys.look()
    new = tokens.issue(TERMINAL)
    assert [tokens.check(old), tokens.check(new)] == [TERMINAL] * 2
    assert verified == [old, new]
    assert [one["kid"] for one in tokens.jwks()["keys"]] == [
        jwt.get_unverified_header(token)["kid"] for token in (old, new)
    ]
    admin.retire("li", KeyRef.ACCESS_TOKENS, 1, understood=True)
    keys.look()
    with pytest.raises(TokenInvalid):
        tokens.check(old)
    assert tokens.check(new) == TERMINAL


def test_a_token_of_a_version_made_a_moment_ago_elsewhere_passes(tmp_path: Path) -> None:
    files = tmp_path / "keystore.json", tmp_path / "kek"
    first, second = SoftwareKeys.make(*files), SoftwareKeys.open(*files)
    KeyAdmin(first.vault, ManualClock(NOW)).rotate("li", KeyRef.ACCESS_TOKENS)
    first.look()
    token = AccessTokens(first, ManualClock(NOW)).issue(TERMINAL)
    assert second.active_version(KeyRef.ACCESS_TOKENS) == 1
    assert AccessTokens(second, ManualClock(NOW)).check(token) == TERMINAL


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
