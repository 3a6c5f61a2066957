"""Joins the local API: guard, doors, routes, page. Nothing else lives here."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from reader_bridge.local import events, loads, pages, problems, routes
from reader_bridge.local.events import Streams
from reader_bridge.local.guard import Guard
from reader_bridge.local.schemas import Problem
from reader_bridge.local.settings import LocalSettings
from reader_bridge.local.token import Doors
from reader_bridge.till import Till

API_VERSION: Final = "1.0.0"


def make_local(till: Till, settings: LocalSettings) -> FastAPI:
    """The application; `app.state.doors.new_link()` opens the page. OpenAPI: /openapi.json."""
    app = FastAPI(
        title="Terminal, local API",
        version=API_VERSION,
        description="For the cash register beside the terminal. Loopback only.",
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    app.state.till, app.state.settings = till, settings
    app.state.doors = Doors(settings.token, settings.clock)
    app.state.streams = Streams()
    problems.install(app, settings.language)
    for router in (routes.router, loads.router, events.router, pages.router):
        app.include_router(router)
    app.add_middleware(Guard, port=settings.port, language=settings.language)
    make_document = app.openapi

    def document() -> dict[str, Any]:
        whole = make_document()
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        whole["components"]["schemas"]["Problem"] = schema
        return whole

    app.openapi = document  # type: ignore[method-assign]
    return app
