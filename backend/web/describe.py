"""Completes the API document: who may call each operation, and which refusals it may answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from apispec import APISpec
from flask import Flask

from backend.db import DatabaseUnavailable, IdempotencyConflict
from backend.db.operations import ConcurrentChange, OperationRunning
from backend.kernel import DomainError
from backend.web.access import (
    Access,
    AccessDenied,
    CallerKind,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
)
from backend.web.dry_run import DryRunInvalid
from backend.web.problems import HTTP_WORDS, PROBLEM_TYPE, STATUS

F = TypeVar("F", bound=Callable[..., Any])
Refusal = type[DomainError]

SCHEMES = {CallerKind.STAFF: "staff"}
LOGIN_REFUSALS: tuple[Refusal, ...] = (TokenMissing, TokenInvalid, TokenExpired, AccessDenied)
COMMAND_REFUSALS: tuple[Refusal, ...] = (
    IdempotencyConflict,
    OperationRunning,
    ConcurrentChange,
    DryRunInvalid,
)
METHODS = ("get", "post", "put", "delete", "patch")


def refuses(*refusals: Refusal) -> Callable[[F], F]:
    """Names the refusals of its own that an operation may answer; they go into the document."""

    def mark(view: F) -> F:
        view.refusals = refusals  # type: ignore[attr-defined]
        return view

    return mark


def describe(app: Flask, spec: APISpec) -> None:
    """Add security and problem responses to every operation of `spec`."""
    for unused in ("Error", "PaginationMetadata"):  # flask-smorest's own: ours is Problem
        spec.components.schemas.pop(unused, None)
    spec.components.responses.clear()
    spec.components.schema("Problem", _problem_schema())
    for rule in app.url_map.iter_rules():
        view_class = getattr(app.view_functions[rule.endpoint], "view_class", None)
        path = _path_of(rule.rule)
        operations = spec._paths.get(path, {})
        for method in METHODS:
            view = getattr(view_class, method, None)
            if view is not None and method in operations:
                _describe_operation(operations[method], view)


def operation_refusals(view: Any) -> list[Refusal]:
    """Everything an operation may refuse with, its own and what its manners bring along."""
    entry: Access = view.access
    found: list[Refusal] = list(getattr(view, "refusals", ()))
    if entry.kind not in (CallerKind.ANYONE, CallerKind.BANK):
        found += LOGIN_REFUSALS
    if getattr(view, "is_command", False):
        found += COMMAND_REFUSALS
    return [*found, DatabaseUnavailable]


def _describe_operation(operation: dict[str, Any], view: Any) -> None:
    kind = view.access.kind
    if kind not in (CallerKind.ANYONE, CallerKind.BANK):
        operation["security"] = [{SCHEMES.get(kind, "bearer"): []}]
    operation["x-caller"] = kind.value
    responses = operation.setdefault("responses", {})
    responses.pop("default", None)
    by_status: dict[int, list[tuple[str, str]]] = {}
    for refusal in operation_refusals(view):
        row = (refusal.code, refusal.title.en)
        by_status.setdefault(STATUS[refusal.kind].value, []).append(row)
    taken = [400, 413, 422] if "requestBody" in operation else [422] * ("422" in responses)
    for status in taken:
        code, words = HTTP_WORDS[status]
        by_status.setdefault(status, []).append((code, words.en))
    for status, rows in sorted(by_status.items()):
        responses[str(status)] = _problem_response(rows)


def _problem_response(rows: Iterable[tuple[str, str]]) -> dict[str, Any]:
    known = dict(rows)
    lines = [f"`{code}`: {title}" for code, title in sorted(known.items())]
    examples = {code: {"value": {"code": code, "title": title}} for code, title in known.items()}
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": "\n\n".join(lines),
        "content": {PROBLEM_TYPE: {"schema": schema, "examples": examples}},
    }


def _problem_schema() -> dict[str, Any]:
    """RFC 9457, section 3, with our members."""
    text, nullable = {"type": "string"}, {"type": ["string", "null"]}
    return {
        "type": "object",
        "required": ["type", "title", "status", "code", "detail", "retryable"],
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "code": {"type": "string", "description": "stable: switch on it"},
            "detail": text,
            "errors": {
                "type": "object",
                "additionalProperties": {"type": "array", "items": text},
            },
            "request_id": nullable,
            "retryable": {"type": "boolean"},
            "article": nullable,
        },
    }


def _path_of(rule: str) -> str:
    """`/v1/x/<date:day>` as the document writes it: `/v1/x/{day}`."""
    parts = [part.split(":")[-1] for part in rule.replace("<", "{<").replace(">", "}").split("<")]
    return "".join(parts)
