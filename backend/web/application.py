"""One Flask application: manners every network shares, before any domain is put in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, g, request
from flask_babel import Babel
from flask_limiter import Limiter
from flask_smorest import Api, Blueprint
from werkzeug.routing import BaseConverter, ValidationError

from backend.db import Databases
from backend.kernel import DomainError, SystemClock, new_id
from backend.keys import Keys
from backend.web.access import Authenticator, bearer_token, known_caller
from backend.web.bodies import check_body
from backend.web.describe import describe
from backend.web.docs import register_docs
from backend.web.health import register_health
from backend.web.problems import language, register_problems
from backend.web.services import provide
from backend.web.tokens import AccessTokens

BODY_MAX_BYTES = 64 * 1024
REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9_-]{8,64}")
CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Network:
    """One of the two networks (两网) and what answers on it."""

    name: str  # "public" or "internal"
    title: str
    blueprints: Iterable[Blueprint]
    authenticator: Authenticator
    keys: Keys = field(repr=False)
    databases: Databases = field(repr=False)
    services: Iterable[object] = ()
    requests_per_minute: int = 6000


@dataclass(frozen=True, slots=True)
class BearerAuthenticator:
    """The public network's callers: by access token."""

    tokens: AccessTokens

    def authenticate(self) -> Any:
        return self.tokens.check(bearer_token())


class DateConverter(BaseConverter):
    """A business date in a path: 2026-11-23."""

    regex = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"

    def to_python(self, value: str) -> date:
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValidationError from None

    def to_url(self, value: date) -> str:
        return value.isoformat()


def make_app(network: Network) -> Flask:
    """The WSGI application of one network."""
    app = Flask(f"backend.{network.name}", static_folder=None)
    app.config.update(_settings(network))
    app.extensions["city_keys"] = network.keys
    app.extensions["city_authenticator"] = network.authenticator
    provide(app, *network.services)
    Babel(app, locale_selector=lambda: "en" if language() == "en" else "zh_Hans_CN")
    app.before_request(_begin_request)
    app.after_request(_end_request)
    register_health(app, network.name, network.databases)  # it measures what is refused below too
    Limiter(
        _caller_key,
        app=app,
        default_limits=[f"{network.requests_per_minute} per minute"],
        headers_enabled=True,
        storage_uri="memory://",
    )
    app.before_request(check_body)
    register_docs(app)
    app.url_map.converters["date"] = DateConverter
    api = Api(app)
    api.register_converter(DateConverter, _describe_date)
    for blueprint in network.blueprints:
        api.register_blueprint(blueprint)
    describe(app, api.spec)
    register_problems(app)  # last: flask-smorest brings handlers of its own
    return app


def _settings(network: Network) -> dict[str, Any]:
    return {
        "API_TITLE": network.title,
        "API_VERSION": "v1",
        "OPENAPI_VERSION": "3.1.0",
        "OPENAPI_URL_PREFIX": "/",
        "OPENAPI_JSON_PATH": "openapi.json",
        "MAX_CONTENT_LENGTH": BODY_MAX_BYTES,
        "MAX_FORM_MEMORY_SIZE": BODY_MAX_BYTES,
        "JSON_SORT_KEYS": False,
        "RATELIMIT_HEADER_LIMIT": "RateLimit-Limit",
        "RATELIMIT_HEADER_REMAINING": "RateLimit-Remaining",
        "RATELIMIT_HEADER_RESET": "RateLimit-Reset",
        "API_SPEC_OPTIONS": {
            "security": [],
            "components": {
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                    "staff": {"type": "apiKey", "in": "cookie", "name": "staff"},
                }
            },
        },
    }


def _describe_date(_converter: BaseConverter) -> dict[str, str]:
    return {"type": "string", "format": "date"}


def _caller_key() -> str:
    """Who is counted: a login that holds, else the address; an invented token is no login."""
    if "Authorization" in request.headers:
        with suppress(DomainError):
            known = known_caller()
            return f"{known.kind.value}:{known.id}"
    return request.remote_addr or "unknown"


def _begin_request() -> None:
    asked = request.headers.get("X-Request-Id", "")
    g.request_id = asked if REQUEST_ID_FORM.fullmatch(asked) else new_id("req")
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _end_request(response: Response) -> Response:
    # Flask-Limiter writes Retry-After on every answer: ours stands where a refusal named one.
    if (seconds := g.get("retry_after_seconds")) is not None:
        response.headers["Retry-After"] = str(seconds)
    elif response.status_code != HTTPStatus.TOO_MANY_REQUESTS:
        response.headers.pop("Retry-After", None)
    response.headers["X-Request-Id"] = g.get("request_id", "")
    if reset := response.headers.get("RateLimit-Reset"):  # the limiter tells the time of day
        response.headers["RateLimit-Reset"] = str(
            max(0, int(reset) - int(SystemClock().now().timestamp()))
        )
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Cache-Control", "no-store")
    return response
