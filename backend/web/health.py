"""`/healthz`, `/readyz`, `/metrics`: is it alive, can it work, how does it fare."""

from __future__ import annotations

from flask import Flask, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Histogram, generate_latest

from backend.db import Databases, Which
from backend.web.access import CallerKind, access

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


class Figures:
    """The figures of one network; a series is looked up once: its labels are checked slowly."""

    def __init__(self, network: str) -> None:
        self._network = network
        # Both bounded: by our routes, our statuses and the known methods.
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        try:
            counter = self._counters[method, route, status]
            histogram = self._histograms[route]
        except KeyError:
            counter = REQUESTS.labels(self._network, method, route, status)
            histogram = SECONDS.labels(self._network, route)
            self._counters[method, route, status] = counter
            self._histograms[route] = histogram
        counter.inc()
        histogram.observe(seconds)


def register_health(app: Flask, databases: Databases) -> None:
    """Adds the three routes."""

    def healthz() -> Response:
        return jsonify(status="ok")

    def readyz() -> tuple[Response, int]:
        states = {which.value: databases.answers(which) for which in Which}
        ready = all(states.values())
        return jsonify(ready=ready, databases=states), 200 if ready else 503

    def metrics() -> Response:
        return Response(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)

    for rule, view in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", metrics)):
        app.add_url_rule(rule, view_func=access(CallerKind.ANYONE)(view))
