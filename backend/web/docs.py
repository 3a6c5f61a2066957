"""What a network tells of itself: `/docs`, error codes, the keys of its tokens; and `/static`."""

from __future__ import annotations

from pathlib import Path

from flask import Flask, Response, abort, jsonify, render_template, send_from_directory
from jinja2 import FileSystemLoader

from backend.kernel import DomainError
from backend.web.access import CallerKind, access
from backend.web.services import service
from backend.web.tokens import AccessTokens

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"
CACHE_SECONDS = 3600


def register_docs(app: Flask) -> None:
    """Adds `/docs`, `/docs/errors`, `/.well-known/jwks.json` and `/static/<file>`."""
    app.jinja_loader = FileSystemLoader(TEMPLATES)

    def docs() -> str:
        return render_template("web/docs.html", title=app.config["API_TITLE"])

    def errors() -> str:
        rows = sorted(refusals(), key=lambda one: one.code)
        return render_template("web/errors.html", rows=rows, title=app.config["API_TITLE"])

    def jwks() -> Response:
        return jsonify(service(AccessTokens).jwks())

    def static(path: str) -> Response:
        if ".." in path:
            abort(404)
        response = send_from_directory(STATIC, path, max_age=CACHE_SECONDS)
        response.headers["Cache-Control"] = f"public, max-age={CACHE_SECONDS}"
        return response

    views = (
        ("/docs", docs),
        ("/docs/errors", errors),
        ("/.well-known/jwks.json", jwks),
        ("/static/<path:path>", static),
    )
    for rule, view in views:
        app.add_url_rule(rule, view_func=access(CallerKind.ANYONE)(view))


def refusals() -> list[type[DomainError]]:
    """Every refusal the backend knows, found by walking the classes."""
    found: list[type[DomainError]] = []
    pending = DomainError.__subclasses__()
    while pending:
        one = pending.pop()
        pending.extend(one.__subclasses__())
        if "code" in vars(one):
            found.append(one)
    return found
