"""`/healthz`, `/readyz`, `/metrics`: is it alive, can it work, how does it fare."""

from __future__ import annotations

import time

import structlog
from flask import Flask, Response, g, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Histogram, generate_latest

from backend.db import Databases, Which
from backend.web.access import CallerKind, access

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
"""Named in the figures; a caller may invent any other, and each would be a series for ever."""

log = structlog.get_logger(__name__)

REQUESTS = Counter(
    "http_requests_total", "Answered requests", ["network", "method", "route", "status"]
)
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
SECONDS = Histogram(
    "http_request_seconds",
    "Time to answer",
    ["network", "route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)


def register_health(app: Flask, network: str, databases: Databases) -> None:
    """Adds the three routes and the measuring of every request."""

    def healthz() -> Response:
        return jsonify(status="ok")

    def readyz() -> tuple[Response, int]:
        states = {which.value: databases.answers(which) for which in Which}
        ready = all(states.values())
        return jsonify(ready=ready, databases=states), 200 if ready else 503

    def metrics() -> Response:
        return Response(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)

    def begin() -> None:
        g.began = time.perf_counter()

    def measure(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "none"
        method = request.method if request.method in METHODS else "other"
        REQUESTS.labels(network, method, route, response.status_code).inc()
        seconds = time.perf_counter() - g.began
        SECONDS.labels(network, route).observe(seconds)
        if route not in PROBES:
            # The route, not the path: an id in a path can be a person's.
            log.info(
                "answered",
                network=network,
                method=method,
                route=route,
                status=response.status_code,
                milliseconds=round(seconds * 1000, 1),
            )
        return response

    for rule, view in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", metrics)):
        app.add_url_rule(rule, view_func=access(CallerKind.ANYONE)(view))
    app.before_request(begin)
    app.after_request(measure)
