"""One Flask application: manners every network shares, before any domain is put in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar

from flask import Flask, Request, Response
from flask.sessions import NullSession, SessionInterface, SessionMixin
from flask_babel import Babel
from flask_smorest import Api, Blueprint
from werkzeug.routing import BaseConverter, ValidationError

from backend.db import Databases
from backend.keys import Keys
from backend.web.access import Authenticator, bearer_token
from backend.web.bodies import BODY_MAX_BYTES
from backend.web.describe import describe
from backend.web.docs import register_docs
from backend.web.health import Figures, register_health
from backend.web.manners import Manners
from backend.web.problems import language, register_problems
from backend.web.rates import Rates
from backend.web.services import provide
from backend.web.tokens import AccessTokens

F = TypeVar("F", bound=Callable[..., Any])


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


class NoSessions(SessionInterface):
    """Flask's sessions are used by nobody: a login is a token, or a cookie of backend.staff."""

    def __init__(self) -> None:
        self._none = NullSession()

    def open_session(self, app: Flask, request: Request) -> SessionMixin:
        return self._none

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Nothing: a null session is never written to."""


class CityFlask(Flask):
    """Flask without what this backend does not use and every request would pay for."""

    session_interface = NoSessions()

    def ensure_sync(self, func: F) -> F:
        """The function itself: nothing here is a coroutine, and asking costs at every call."""
        return func


def make_app(network: Network) -> Flask:
    """The WSGI application of one network."""
    app = CityFlask(f"backend.{network.name}", static_folder=None)
    app.config.update(_settings(network))
    app.extensions["city_keys"] = network.keys
    app.extensions["city_authenticator"] = network.authenticator
    provide(app, *network.services)
    Babel(app, locale_selector=lambda: "en" if language() == "en" else "zh_Hans_CN")
    Manners(network.name, Rates(network.requests_per_minute), Figures(network.name)).keep(app)
    register_health(app, network.databases)
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
