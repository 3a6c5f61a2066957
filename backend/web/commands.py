"""Commands over HTTP: the body is checked, the id claimed, the answer kept to the byte."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any

from flask import Response, current_app, g, request
from flask_smorest import Blueprint

from backend.db import AnsweredBefore, Operation
from backend.db.operations import Answer, DryRun
from backend.kernel import DomainError, Kind, Words
from backend.keys import KeyRef, Keys
from backend.web.access import caller
from backend.web.answers import Told
from backend.web.bodies import JSON_TYPE, require_json, sent_json
from backend.web.dry_run import DRY_RUN_HEADER, is_asked
from backend.web.problems import PROBLEM_TYPE, problem_body, problem_text, status_of
from backend.web.schemas import Shape
from backend.web.shortcuts import DOUBT, Dump, shortcut_dump, shortcut_load

_json_text = json.JSONEncoder(ensure_ascii=False).encode
_json_sorted = json.JSONEncoder(sort_keys=True, ensure_ascii=True).encode
_json_ascii = json.encoder.encode_basestring_ascii

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

    The service runs under the operation (`Units.once`, `Units.decide`): value and answer commit
    together.
    """
    load, dump = shortcut_load(body()), shortcut_dump(answer())

    def wrap(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def run(self: Any, checked: Mapping[str, Any], **path: Any) -> Response:
            operation = _operation(path, dump, status)
            try:
                value = view(self, checked, operation, **path)
            except AnsweredBefore as before:
                return _response(before.answer, replayed=not operation.is_dry_run)
            except DryRun as dry:
                return _response(dry.answer, replayed=False)
            return _response(operation.said or operation.render(value), replayed=False)

        run.is_command = True  # type: ignore[attr-defined]
        documented = blueprint.response(status, answer)(run)
        documented = blueprint.arguments(body)(documented)
        documented = blueprint.doc(parameters=[KEY_HEADER, DRY_RUN_HEADER])(documented)

        @functools.wraps(documented)
        def enter(self: Any, **path: Any) -> Any:
            g.is_dry_run = is_asked()  # before the body is judged: its refusals say so too
            require_json()
            checked = load(sent_json())
            if checked is DOUBT:  # the long way: it finds the words for what is wrong
                return documented(self, **path)
            return run(self, checked, **path)

        return enter

    return wrap


def _operation(path: Mapping[str, str], dump: Dump, status: int) -> Operation:
    asked = request._get_current_object()  # type: ignore[attr-defined]  # through the proxy once
    key = asked.environ.get("HTTP_IDEMPOTENCY_KEY", "")
    if not KEY_FORM.fullmatch(key):
        raise IdempotencyKeyMissing
    who = caller()
    ours = copy_context()

    def render(outcome: Any) -> Answer:
        if isinstance(outcome, DomainError):
            # Whoever leads the group renders for all of it: language and request id are ours.
            problem = ours.run(problem_body, outcome)
            return Answer(status_of(outcome), problem_text(problem))
        return Answer(status, _json_text(dump(outcome)))

    return Operation(
        # The route is the public name of the command: it outlives a renamed class, and with it
        # the answers that callers may still ask for.
        scope=f"{who.kind.value}:{who.id}:{asked.method} {asked.url_rule}",
        key=key,
        content=_content(path),
        render=render,
        is_dry_run=g.is_dry_run,
    )


def _content(path: Mapping[str, str]) -> dict[str, str]:
    """Field -> keyed digest. Keyed, since identity numbers can be guessed from a plain hash."""
    keys: Keys = current_app.extensions["city_keys"]
    sent = sent_json()
    fields = sent.items() if isinstance(sent, dict) else ()
    named = [*fields, *((f"path.{name}", value) for name, value in path.items())]
    return {
        name: keys.mac(KeyRef.ANSWERS, _canonical(name, value).encode())[:12].hex()
        for name, value in named
    }


def _canonical(name: str, value: Any) -> str:
    """`[name, value]` as JSON: ASCII, members sorted."""
    if type(value) is str:  # the encoder's own function for texts: most fields are one
        return f"[{_json_ascii(name)}, {_json_ascii(value)}]"
    return _json_sorted((name, value))


def _response(answer: Answer, *, replayed: bool) -> Response:
    kind = JSON_TYPE if answer.status < 400 else PROBLEM_TYPE
    response = Told(answer.body, answer.status, content_type=kind)
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response
