"""Terminals and merchants' servers log in with a signed assertion (RFC 7523, 2.2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from sqlalchemy import Row, delete, select

from backend.db import Units, Which
from backend.merchants import tables
from backend.merchants.errors import AssertionInvalid, ClientUnknown, TerminalNotActive
from backend.merchants.model import ClientKind
from backend.merchants.states import State
from backend.web import AccessTokens, Caller, CallerKind, ProofInvalid, check_proof
from card_protocol.signatures import load_public_key

AUDIENCE = "/v1/token"
ASSERTION_TTL_SECONDS_MAX = 300
ASSERTION_CHARACTERS_MAX = 4096


@dataclass(frozen=True, slots=True)
class AccessGranted:
    """RFC 6749, 5.1."""

    access_token: str
    expires_in: int
    scope: str
    token_type: str = "Bearer"  # noqa: S105 - the kind, no secret

    def __repr__(self) -> str:
        return f"AccessGranted(<secret>, scope={self.scope!r})"


@dataclass(frozen=True, slots=True)
class Logins:
    """One command: an assertion, used once, becomes a short access token."""

    units: Units
    tokens: AccessTokens

    def log_in(self, assertion: str) -> AccessGranted:
        """Raises ClientUnknown, AssertionInvalid, TerminalNotActive."""
        client_id = _claimed_client(assertion)
        with self.units.read(Which.BUSINESS) as work:
            row = work.one(select(tables.client).where(tables.client.c.client_id == client_id))
            now = work.now
        if row is None or row.public_key is None:
            raise ClientUnknown
        jti, expires_at = _check(assertion, load_public_key(row.public_key), now)
        if row.state != State.ACTIVE.value:
            raise TerminalNotActive(state=row.state)
        self._use_up(client_id, jti, expires_at)
        caller = _caller(row)
        token = self.tokens.issue(caller)
        return AccessGranted(token, self.tokens.ttl_seconds, " ".join(sorted(caller.scopes)))

    def _use_up(self, client_id: str, jti: str, expires_at: datetime) -> None:
        """Remember the assertion while it could be shown again, and forget what could not."""
        rows = tables.assertion
        with self.units.write(Which.BUSINESS) as work:
            work.execute(
                delete(rows).where(rows.c.client_id == client_id, rows.c.expires_at <= work.now)
            )
            row = {"client_id": client_id, "jti": jti, "expires_at": expires_at}
            if not work.insert_new(rows, row):
                raise AssertionInvalid


def _claimed_client(assertion: str) -> str:
    """Whom the assertion names; believed once `_check` has seen the same bytes signed."""
    if len(assertion) > ASSERTION_CHARACTERS_MAX:
        raise AssertionInvalid
    try:
        claims = jwt.decode(assertion, options={"verify_signature": False})
    except (jwt.PyJWTError, RecursionError):
        raise AssertionInvalid from None
    subject = claims.get("sub")
    if not isinstance(subject, str) or claims.get("iss") != subject:
        raise AssertionInvalid
    return subject


def _check(assertion: str, key: EllipticCurvePublicKey, now: datetime) -> tuple[str, datetime]:
    """The assertion's jti and end, once key, purpose and times fit."""
    try:
        claims = check_proof(assertion, key, audience=AUDIENCE, now=now)
    except ProofInvalid:
        raise AssertionInvalid from None
    issued, ends = claims["iat"], claims.get("exp")
    if type(ends) is not int or not issued < ends <= issued + ASSERTION_TTL_SECONDS_MAX:
        raise AssertionInvalid
    if ends <= now.timestamp():
        raise AssertionInvalid
    return claims["jti"], datetime.fromtimestamp(ends, UTC)


def _caller(row: Row[Any]) -> Caller:
    if row.kind == ClientKind.TERMINAL.value:
        context = {
            "merchant_id": row.merchant_id,
            "shop_id": row.shop_id,
            "terminal_number": row.terminal_number,
        }
        return Caller(CallerKind.TERMINAL, row.client_id, frozenset({"terminal"}), context)
    context = {"merchant_id": row.merchant_id}
    return Caller(CallerKind.MERCHANT, row.client_id, frozenset({"merchant"}), context)
