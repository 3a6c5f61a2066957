"""What every request goes through before its view, and every answer after it, in one pass each.

One pass: a Flask proxy costs as much as the work behind it, so each is asked once. Knows no route.
"""

from __future__ import annotations

import re
import time
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from flask import Flask, Request, Response, g, request
from werkzeug.exceptions import TooManyRequests

from backend.kernel import DomainError, new_id
from backend.web.access import known_caller
from backend.web.answers import Told
from backend.web.bodies import check_body
from backend.web.health import PROBES, Figures
from backend.web.logs import REQUEST_ID
from backend.web.rates import Rates

REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9_-]{8,64}")
CACHE = ("Cache-Control", "no-store")
POLICY = (
    "Content-Security-Policy",
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
)
FIXED = (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"))
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
"""Named in the figures; a caller may invent any other, and each would be a series for ever."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Manners:
    """Of one network: a request gets an id, is timed, counted and its body judged; its answer
    gets the headers, a place in the figures and a line in the log."""

    network: str
    rates: Rates
    figures: Figures = field(repr=False)

    def keep(self, app: Flask) -> None:
        app.before_request(self._begin)
        app.after_request(self._end)

    def _begin(self) -> None:
        asked: Request = request._get_current_object()  # type: ignore[attr-defined]
        known: Any = g._get_current_object()
        known.began = time.perf_counter()  # first: what is refused below is measured too
        given = asked.environ.get("HTTP_X_REQUEST_ID", "")
        known.request_id = given if REQUEST_ID_FORM.fullmatch(given) else new_id("req")
        REQUEST_ID.set(known.request_id)
        if asked.endpoint is not None and asked.endpoint != "static":
            self._count(asked, known)
        known.sent_json = check_body(asked)

    def _count(self, asked: Request, known: Any) -> None:
        """One more request of this caller to this route. Raises TooManyRequests."""
        left, seconds = self.rates.count((*_caller_key(asked, known), asked.endpoint))
        known.rate_headers = (
            ("RateLimit-Limit", str(self.rates.requests_per_minute)),
            ("RateLimit-Remaining", str(max(0, left))),
            ("RateLimit-Reset", str(seconds)),
        )
        if left < 0:
            known.retry_after_seconds = seconds
            raise TooManyRequests

    def _end(self, response: Response) -> Response:
        asked: Request = request._get_current_object()  # type: ignore[attr-defined]
        known: Any = g._get_current_object()
        self._measure(asked, response.status_code, time.perf_counter() - known.began)
        manners = [("X-Request-Id", known.request_id), *known.get("rate_headers", ()), *FIXED]
        if type(response) is Told:  # it has neither of the two below
            response.manners = [*manners, CACHE, POLICY]
            return response
        for name, value in (CACHE, POLICY):
            response.headers.setdefault(name, value)
        if (seconds := known.get("retry_after_seconds")) is not None:
            response.headers["Retry-After"] = str(seconds)
        for name, value in manners:
            response.headers.add(name, value)
        return response

    def _measure(self, asked: Request, status: int, seconds: float) -> None:
        rule = asked.url_rule
        route = rule.rule if rule else "none"
        method = asked.method if asked.method in METHODS else "other"
        self.figures.add(method, route, status, seconds)
        if route not in PROBES:
            # The route, not the path: an id in a path can be a person's.
            log.info(
                "answered",
                network=self.network,
                method=method,
                route=route,
                status=status,
                milliseconds=round(seconds * 1000, 1),
            )


def _caller_key(asked: Request, known: Any) -> tuple[Hashable, ...]:
    """Who is counted: a login that holds, else the address; an invented token is no login."""
    if "HTTP_AUTHORIZATION" in asked.environ:
        with suppress(DomainError):
            found = known_caller(known)
            return found.kind, found.id
    return (asked.remote_addr,)
