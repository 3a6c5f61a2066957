"""What gunicorn serves to the bench: the public network, and handlers that do nothing.

`bare` is Flask alone; `authenticated()` is the whole public network with one route more. Both
take the very request a payment is. All of them also say which worker process answers.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response

from backend.web import CallerKind, access

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

NO_CONTENT = 204
BARE_PATH = "/v1/me/payments"  # the same request to the byte
AUTHENTICATED_PATH = "/v1/me/nothing"
WORKER_PATH = "/bench/worker"
"""Answered with the worker's process id, so that connections can be shared out evenly."""


def naming_worker(app: Wsgi) -> Wsgi:
    """`app`, with one path more; every other request passes through untouched."""
    name = b"%d" % os.getpid()

    def named(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != WORKER_PATH:
            return app(environ, start_response)
        start_response("200 OK", [("Content-Length", str(len(name)))])
        return [name]

    return named


def public() -> Wsgi:
    """`wsgi:public`, as production serves it."""
    return naming_worker(importlib.import_module("wsgi").public)


def bare() -> Wsgi:
    """Flask, one route, nothing else."""
    app = Flask(__name__, static_folder=None)
    app.post(BARE_PATH)(_nothing)
    return naming_worker(app)


def authenticated() -> Wsgi:
    """The public network, and a route that only asks who calls."""
    app: Flask = importlib.import_module("wsgi").public
    app.add_url_rule(
        AUTHENTICATED_PATH,
        endpoint="bench_nothing",
        view_func=access(CallerKind.CITIZEN)(_nothing),
        methods=["POST"],
    )
    return naming_worker(app)


def _nothing() -> Response:
    return Response(status=NO_CONTENT)
