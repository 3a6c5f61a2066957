"""Who may call what: each route names its caller kinds and scopes; a test walks the table."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeVar, cast

from flask import current_app, g, request

from backend.kernel import DomainError, Kind, Words

F = TypeVar("F", bound=Callable[..., Any])


class CallerKind(Enum):
    """Everybody who can stand before the door."""

    ANYONE = "anyone"
    CITIZEN = "citizen"
    TERMINAL = "terminal"
    MERCHANT = "merchant"
    STAFF = "staff"
    BANK = "bank"  # signs its notices; has no token


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: `id` is a person, terminal, merchant client or staff id.

    `context` holds what the login found out, e.g. `merchant_id` of a terminal.
    """

    kind: CallerKind
    id: str
    scopes: frozenset[str] = frozenset()
    context: Mapping[str, str] = field(default_factory=dict)


class TokenMissing(DomainError):
    kind, code = Kind.UNAUTHENTICATED, "token_missing"
    title = Words(zh="请先登录", en="Please log in")
    detail = Words(zh="此操作需要登录。", en="This needs a login.")


class TokenInvalid(DomainError):
    kind, code = Kind.UNAUTHENTICATED, "token_invalid"
    title = Words(zh="登录无效", en="Login not valid")
    detail = Words(zh="登录凭证无效，请重新登录。", en="The token is not valid; log in again.")


class TokenExpired(DomainError):
    kind, code, retryable = Kind.UNAUTHENTICATED, "token_expired", True
    title = Words(zh="登录已过期", en="Login expired")
    detail = Words(zh="请刷新登录后重试。", en="Refresh the login and try again.")


class AccessDenied(DomainError):
    kind, code = Kind.FORBIDDEN, "access_denied"
    title = Words(zh="没有权限", en="Not allowed")
    detail = Words(zh="此身份不能使用该功能。", en="This caller may not do that.")


class Authenticator(Protocol):
    """Finds out who calls on one network: by bearer token, or by a staff cookie."""

    def authenticate(self) -> Caller: ...


@dataclass(frozen=True, slots=True)
class Access:
    """One row of the table: the kind that may call, and the scope it must have."""

    kind: CallerKind
    scope: str | None = None


def access(kind: CallerKind, scope: str | None = None) -> Callable[[F], F]:
    """Marks a view method; `ANYONE` needs no login. Sets `caller()` for the others."""

    def mark(view: F) -> F:
        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if kind not in (CallerKind.ANYONE, CallerKind.BANK):
                known = g._get_current_object()
                known.caller = _admit(known_caller(known), kind, scope)
            return view(*args, **kwargs)

        guarded.access = Access(kind, scope)  # type: ignore[attr-defined]
        return cast(F, guarded)

    return mark


def caller() -> Caller:
    """Who calls this request; only inside a view marked with `access`."""
    return cast(Caller, g.caller)


def known_caller(known: Any) -> Caller:
    """Who the request's login names, found out once a request and kept in `known`, its `g`.

    Raises what `authenticate` does.
    """
    found: Caller | None = known.get("known_caller")
    if found is None:
        authenticator = cast(Authenticator, current_app.extensions["city_authenticator"])
        found = known.known_caller = authenticator.authenticate()
    return found


def bearer_token() -> str:
    """The token of the Authorization header (RFC 6750, 2.1). Raises TokenMissing."""
    scheme, _, token = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenMissing
    return token


def _admit(known: Caller, kind: CallerKind, scope: str | None) -> Caller:
    if known.kind is not kind or (scope is not None and scope not in known.scopes):
        raise AccessDenied
    return known
