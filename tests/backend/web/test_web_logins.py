"""Access tokens and signed proofs: only ours, only fresh, only for what they were made for."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from web_world import b64u, es256, jwt_of

from backend.kernel import ManualClock
from backend.keys import KeyRef, SoftwareKeys, key_thumbprint, key_to_jwk
from backend.web import AccessTokens, Caller, CallerKind, ProofInvalid, check_proof
from backend.web.access import TokenExpired, TokenInvalid
from backend.web.tokens import ISSUER

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
TERMINAL = Caller(CallerKind.TERMINAL, "trm_1", frozenset({"pay", "refund"}), {"shop_id": "shp_1"})
DEEP = "[" * 5000
on_sqlite = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)

Forge = Callable[[dict[str, Any], SoftwareKeys], str]


def _claims(**changes: Any) -> dict[str, Any]:
    at = int(NOW.timestamp())
    claims = {
        "iss": ISSUER,
        "sub": "trm_1",
        "kind": "terminal",
        "scope": "pay",
        "ctx": {},
        "iat": at,
        "exp": at + 600,
        "jti": "jti_1",
    }
    return {name: value for name, value in {**claims, **changes}.items() if value is not ...}


def _ours(keys: SoftwareKeys) -> Callable[[bytes], bytes]:
    return lambda data: keys.sign(KeyRef.ACCESS_TOKENS, data)


def _public_pem(keys: SoftwareKeys) -> bytes:
    return keys.public_key(KeyRef.ACCESS_TOKENS).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _hs256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda data: hmac.new(secret, data, hashlib.sha256).digest()


def _with_header(**header: Any) -> Forge:
    return lambda claims, keys: jwt_of({"alg": "ES256", **header}, claims, _ours(keys))


STRANGER = ec.generate_private_key(ec.SECP256R1())
ES256 = {"alg": "ES256", "typ": "at+jwt"}
FORGERIES: dict[str, Forge] = {
    "another key": lambda claims, keys: jwt_of(ES256, claims, es256(STRANGER)),
    "another of our keys": lambda claims, keys: jwt_of(
        ES256, claims, lambda data: keys.sign(KeyRef.ISSUER_SIGNING, data)
    ),
    "alg none": lambda claims, keys: jwt_of({"alg": "none"}, claims, lambda data: b""),
    "alg None, capital": lambda claims, keys: jwt_of({"alg": "None"}, claims, lambda data: b""),
    "no alg": lambda claims, keys: jwt_of({"typ": "JWT"}, claims, _ours(keys)),
    "HS256 with the public key": lambda claims, keys: jwt_of(
        {"alg": "HS256"}, claims, _hs256(_public_pem(keys))
    ),
    "HS256 header, our signature": _with_header(alg="HS256"),
    "ES384 header": _with_header(alg="ES384"),
    "unknown critical member": _with_header(crit=["x"], x=1),
    "its own key in the header": lambda claims, keys: jwt_of(
        {**ES256, "jwk": key_to_jwk(STRANGER.public_key())}, claims, es256(STRANGER)
    ),
    "no signature": lambda claims, keys: jwt_of(ES256, claims, lambda data: b""),
    "zero signature": lambda claims, keys: jwt_of(ES256, claims, lambda data: bytes(64)),
    "signature of 63": lambda claims, keys: jwt_of(
        ES256, claims, lambda data: _ours(keys)(data)[:63]
    ),
    "header not JSON": lambda claims, keys: jwt_of("{", claims, _ours(keys)),
    "header a list": lambda claims, keys: jwt_of([], claims, _ours(keys)),
    "header deep": lambda claims, keys: jwt_of(DEEP, claims, _ours(keys)),
    "claims a list": lambda claims, keys: jwt_of(ES256, [claims], _ours(keys)),
    "claims deep": lambda claims, keys: jwt_of(ES256, DEEP, es256(STRANGER)),
    "two parts": lambda claims, keys: "a.b",
    "five parts": lambda claims, keys: "a.b.c.d.e",
    "dots": lambda claims, keys: "..",
    "not base64": lambda claims, keys: "!!!.???.###",
}


def test_a_token_brings_back_its_caller(tokens: AccessTokens) -> None:
    assert tokens.check(tokens.issue(TERMINAL)) == TERMINAL


def test_a_token_put_together_by_hand_passes(tokens: AccessTokens, keys: SoftwareKeys) -> None:
    """The forgeries below fail for what is wrong with them, not for how they are made."""
    assert tokens.check(jwt_of(ES256, _claims(), _ours(keys))).id == "trm_1"


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_token_is_refused(tokens: AccessTokens, keys: SoftwareKeys, name: str) -> None:
    with pytest.raises(TokenInvalid):
        tokens.check(FORGERIES[name](_claims(), keys))


@pytest.mark.parametrize(
    "changes",
    [{"iss": "another-city"}, {"iss": ...}, {"sub": ...}, {"kind": ...}, {"exp": ...}],
    ids=str,
)
def test_a_token_that_lacks_what_ours_have_is_refused(
    tokens: AccessTokens, keys: SoftwareKeys, changes: dict[str, Any]
) -> None:
    with pytest.raises(TokenInvalid):
        tokens.check(jwt_of(ES256, _claims(**changes), _ours(keys)))


def test_every_character_of_a_token_counts(tokens: AccessTokens) -> None:
    token = tokens.issue(TERMINAL)
    for at in range(0, len(token) - 1, 7):  # the last character has bits that mean nothing
        altered = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        with pytest.raises(TokenInvalid):
            tokens.check(altered)


def test_a_token_ends_at_its_second(keys: SoftwareKeys) -> None:
    clock = ManualClock(NOW)
    tokens = AccessTokens(keys, clock, ttl_seconds=60)
    token = tokens.issue(TERMINAL)
    clock.advance(timedelta(seconds=59, milliseconds=999))
    assert tokens.check(token) == TERMINAL
    clock.advance(timedelta(milliseconds=1))
    with pytest.raises(TokenExpired):
        tokens.check(token)


def test_the_published_key_checks_our_tokens(tokens: AccessTokens) -> None:
    (published,) = tokens.jwks()["keys"]
    token = tokens.issue(TERMINAL)
    assert jwt.get_unverified_header(token)["kid"] == published["kid"]
    key = jwt.PyJWK(published)
    claims = jwt.decode(
        token, key, algorithms=["ES256"], issuer=ISSUER, options={"verify_exp": False}
    )
    assert claims["sub"] == "trm_1"
    assert "d" not in published


@on_sqlite
@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 401, "token_missing"),
        ("", 401, "token_missing"),
        ("Bearer", 401, "token_missing"),
        ("Bearer ", 401, "token_missing"),
        ("Basic YTpi", 401, "token_missing"),
        ("Bearer x", 401, "token_invalid"),
        ("Bearer \xe9\xe9.\xff.\xfe", 401, "token_invalid"),
        ("Bearer " + b64u(DEEP.encode()) + ".e30.AA", 401, "token_invalid"),
        ("Bearer " + "a" * 6000, 401, "token_invalid"),
    ],
    ids=lambda value: f"{value!r:.24}",
)
def test_without_a_proper_login_nobody_enters(
    client: FlaskClient, header: str | None, status: int, code: str
) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = client.get("/v1/whoami", headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@on_sqlite
@pytest.mark.parametrize(
    ("who", "status", "code"),
    [
        (TERMINAL, 200, None),
        (Caller(CallerKind.TERMINAL, "trm_1", frozenset({"refund"})), 403, "access_denied"),
        (Caller(CallerKind.TERMINAL, "trm_1", frozenset({"payment"})), 403, "access_denied"),
        (Caller(CallerKind.CITIZEN, "per_1", frozenset({"pay"})), 403, "access_denied"),
        (Caller(CallerKind.MERCHANT, "mcl_1", frozenset({"pay"})), 403, "access_denied"),
    ],
)
def test_only_the_named_kind_with_the_scope_enters(
    client: FlaskClient, tokens: AccessTokens, who: Caller, status: int, code: str | None
) -> None:
    headers = {"Authorization": f"bearer {tokens.issue(who)}"}
    answer = client.get("/v1/whoami", headers=headers)
    assert (answer.status_code, answer.get_json().get("code")) == (status, code)


@on_sqlite
def test_an_old_login_hears_that_it_has_expired(
    client: FlaskClient, citizen: dict[str, str], clock: ManualClock
) -> None:
    clock.advance(timedelta(days=1))
    answer = client.get("/v1/things", headers=citizen)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "token_expired")
    assert answer.get_json()["retryable"] is True


# --- proofs ---------------------------------------------------------------------------------------

KEY = ec.generate_private_key(ec.SECP256R1())
AUDIENCE = "/v1/login/sessions"


def _proof(header: object = None, key: Any = KEY, **changes: Any) -> str:
    claims = {"aud": AUDIENCE, "iat": int(NOW.timestamp()), "jti": "j", **changes}
    kept = {name: value for name, value in claims.items() if value is not ...}
    return jwt_of(header or {"alg": "ES256"}, kept, es256(key))


def _check(token: Any) -> Any:
    return check_proof(token, KEY.public_key(), audience=AUDIENCE, now=NOW)


@pytest.mark.parametrize("skew", [-300, -1, 0, 1, 300])
def test_a_fresh_proof_is_accepted(skew: int) -> None:
    assert _check(_proof(iat=int(NOW.timestamp()) + skew))["jti"] == "j"


AT = int(NOW.timestamp())
BAD_PROOFS = {
    "another audience": _proof(aud="/v1/login/refresh"),
    "a longer audience": _proof(aud=AUDIENCE + "/"),
    "no audience": _proof(aud=...),
    "audience null": _proof(aud=None),
    "audience a number": _proof(aud=5),
    "no iat": _proof(iat=...),
    "too old": _proof(iat=AT - 301),
    "too new": _proof(iat=AT + 301),
    "iat zero": _proof(iat=0),
    "iat negative": _proof(iat=-AT),
    "iat huge": _proof(iat=10**400),
    "iat huge and negative": _proof(iat=-(10**400)),
    "iat a text": _proof(iat=str(AT)),
    "iat a fraction": _proof(iat=AT + 0.5),
    "iat a round fraction": _proof(iat=float(AT)),
    "iat true": _proof(iat=True),
    "iat null": _proof(iat=None),
    "iat a list": _proof(iat=[AT]),
    "iat infinite": _proof(iat=float("inf")),
    "iat NaN": _proof(iat=float("nan")),
    "no jti": _proof(jti=...),
    "jti empty": _proof(jti=""),
    "jti a number": _proof(jti=5),
    "jti null": _proof(jti=None),
    "jti long": _proof(jti="j" * 129),
    "jti huge": _proof(jti="j" * 50_000),
    "another key": _proof(key=STRANGER),
    "alg none": _proof({"alg": "none"}),
    "alg HS256": _proof({"alg": "HS256"}),
    "header deep": _proof(DEEP),
    "unsigned": _proof().rpartition(".")[0] + ".",
    "not a token": "x",
    "empty": "",
    "not ASCII": "é.é.é",
    "lone surrogate": "\ud800.a.b",
}


@pytest.mark.parametrize("name", BAD_PROOFS)
def test_a_bad_proof_is_refused(name: str) -> None:
    with pytest.raises(ProofInvalid):
        _check(BAD_PROOFS[name])


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: f"{b64u(raw)}.e30.AA"))
def test_no_text_breaks_the_check_of_a_proof(token: str) -> None:
    with pytest.raises(ProofInvalid):
        _check(token)


def test_a_thumbprint_names_a_key() -> None:
    """RFC 7638, section 3: SHA-256 over the members in order, no spaces."""
    jwk = key_to_jwk(KEY.public_key())
    text = '{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'.format(**jwk)
    assert key_thumbprint(KEY.public_key()) == b64u(hashlib.sha256(text.encode()).digest())
    assert key_thumbprint(STRANGER.public_key()) != key_thumbprint(KEY.public_key())
