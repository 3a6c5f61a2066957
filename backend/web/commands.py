"""Commands over HTTP: the body is checked, the id claimed, the answer kept to the byte."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, current_app, request
from flask_smorest import Blueprint

from backend.db import AnsweredBefore, Operation
from backend.db.operations import Answer
from backend.kernel import DomainError, Kind, Words
from backend.keys import KeyRef, Keys
from backend.web.access import caller
from backend.web.bodies import require_json
from backend.web.problems import PROBLEM_TYPE, problem_body, problem_text, status_of
from backend.web.schemas import Shape

KEY_FORM = re.compile(r"[A-Za-z0-9_-]{1,64}")
KEY_HEADER = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    "description": "The caller's own id for this request; repeat it to hear the first answer again",
}


class IdempotencyKeyMissing(DomainError):
    kind, code = Kind.INVALID, "idempotency_key_missing"
    title = Words(zh="缺少 Idempotency-Key", en="Idempotency-Key missing")
    detail = Words(
        zh="请求头 Idempotency-Key 须为 1 至 64 位字母、数字、下划线或连字符。",
        en="The header Idempotency-Key holds 1 to 64 letters, digits, underscores or hyphens.",
    )


def command(
    blueprint: Blueprint, *, body: type[Shape], answer: type[Shape], status: int = 201
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a view method a command: it gets `(self, body, operation, **path)`, returns a value.

    The service must run under the operation (`Units.once`): value and answer commit together.
    """

    def wrap(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def run(self: Any, checked: Mapping[str, Any], **path: Any) -> Response:
            operation = _operation(path, answer(), status)
            try:
                value = view(self, checked, operation, **path)
            except AnsweredBefore as before:
                return _response(before.answer, replayed=True)
            return _response(operation.said or operation.render(value), replayed=False)

        run.is_command = True  # type: ignore[attr-defined]
        documented = blueprint.response(status, answer)(run)
        documented = blueprint.arguments(body)(documented)
        return blueprint.doc(parameters=[KEY_HEADER])(_json_only(documented))

    return wrap


def _json_only(view: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(view)
    def run(*args: Any, **kwargs: Any) -> Any:
        require_json()
        return view(*args, **kwargs)

    return run


def _operation(path: Mapping[str, str], shape: Shape, status: int) -> Operation:
    key = request.headers.get("Idempotency-Key", "")
    if not KEY_FORM.fullmatch(key):
        raise IdempotencyKeyMissing
    who = caller()

    def render(outcome: Any) -> Answer:
        if isinstance(outcome, DomainError):
            return Answer(status_of(outcome), problem_text(problem_body(outcome)))
        return Answer(status, json.dumps(shape.dump(outcome), ensure_ascii=False))

    return Operation(
        # The route is the public name of the command: it outlives a renamed class, and with it
        # the answers that callers may still ask for.
        scope=f"{who.kind.value}:{who.id}:{request.method} {request.url_rule}",
        key=key,
        content=_content(path),
        render=render,
    )


def _content(path: Mapping[str, str]) -> dict[str, str]:
    """Field -> keyed digest. Keyed, since identity numbers can be guessed from a plain hash."""
    keys: Keys = current_app.extensions["city_keys"]
    sent = {**(request.get_json(silent=True) or {}), **{f"path.{k}": v for k, v in path.items()}}
    return {
        name: keys.mac(
            KeyRef.ANSWERS,
            json.dumps([name, value], sort_keys=True, ensure_ascii=True).encode(),
        )[:12].hex()
        for name, value in sent.items()
    }


def _response(answer: Answer, *, replayed: bool) -> Response:
    kind = "application/json" if answer.status < 400 else PROBLEM_TYPE
    response = Response(answer.body, answer.status, content_type=kind)
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response
