"""Answers that a caller may have already: ETag and If-None-Match (RFC 9110, 8.8.3 and 13.1.2)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Response, make_response, request
from flask_smorest import Blueprint

from backend.web.schemas import Shape


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value and what names it: equal tags, equal meaning (a weak ETag)."""

    value: object
    tag: str


def conditional(
    blueprint: Blueprint, answer: type[Shape], *, query: type[Shape] | None = None
) -> Callable[[Callable[..., Tagged]], Callable[..., Any]]:
    """Makes a GET that gives `Tagged` answer 304 to who has it already."""

    def wrap(view: Callable[..., Tagged]) -> Callable[..., Any]:
        @functools.wraps(view)
        def run(*inputs: Any, **path: Any) -> Response:
            tagged = view(*inputs, **path)
            if request.if_none_match.contains_weak(tagged.tag):
                response = make_response("", 304)
            else:
                response = make_response(answer().dump(tagged.value))
            response.set_etag(tagged.tag, weak=True)
            response.headers["Cache-Control"] = "private, no-cache"
            return response

        documented = blueprint.response(200, answer)(run)
        documented = blueprint.alt_response(304, description="as the caller has it")(documented)
        return blueprint.arguments(query, location="query")(documented) if query else documented

    return wrap
