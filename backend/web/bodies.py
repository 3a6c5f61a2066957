"""What a request may carry, judged before anybody reads it. Knows no shape and no domain."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from flask import request
from werkzeug.exceptions import BadRequest, UnprocessableEntity, UnsupportedMediaType

FORM_TYPE = "application/x-www-form-urlencoded"


def check_body() -> None:
    """Refuse what is no JSON, or JSON that two readers may read differently.

    Raises BadRequest: nesting that would overflow the stack, a name given twice (which value
    counts?), NaN. Raises UnprocessableEntity for lone surrogates and NUL, which no database
    stores, and UnsupportedMediaType for a body that is neither JSON nor a form.
    """
    if "\0" in request.path or b"%00" in request.query_string:
        raise BadRequest
    if request.is_json:
        _check_json(request.get_data(cache=True))
    elif request.content_length and request.mimetype != FORM_TYPE:
        raise UnsupportedMediaType


def require_json() -> None:
    """For resources that know JSON only; no body at all is no body of another type."""
    if not request.is_json and (request.mimetype or request.content_length):
        raise UnsupportedMediaType


def _check_json(raw: bytes) -> None:
    if not raw:
        return
    try:
        found = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise BadRequest from None
    try:
        _check_texts(found)
    except ValueError:
        raise UnprocessableEntity from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is given twice")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _check_texts(found: Any) -> None:
    pending = [found]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            if "\0" in one:
                raise ValueError("NUL in a text")
            one.encode()  # a lone surrogate raises UnicodeEncodeError, a ValueError
        elif isinstance(one, dict):
            pending.extend(one)
            pending.extend(one.values())
        elif isinstance(one, list):
            pending.extend(one)
