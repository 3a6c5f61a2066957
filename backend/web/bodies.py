"""What a request may carry, judged before anybody reads it. Knows no shape and no domain."""

from __future__ import annotations

import json
from enum import Enum
from io import BytesIO
from typing import Any, Final, NoReturn

from flask import Request, g, request
from werkzeug.exceptions import BadRequest, UnprocessableEntity, UnsupportedMediaType

BODY_MAX_BYTES = 64 * 1024
JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"


class Absent(Enum):
    """No JSON body; `null` would be a body."""

    NO_BODY = "no body"


NO_BODY: Final = Absent.NO_BODY


def check_body(asked: Request) -> Any:
    """The JSON of a request, NO_BODY without one. Refuses what two readers may read differently.

    Raises BadRequest: nesting that would overflow the stack, a name given twice (which value
    counts?), NaN. Raises UnprocessableEntity for lone surrogates and NUL, which no database
    stores, and UnsupportedMediaType for a body that is neither JSON nor a form.
    """
    if "\0" in asked.path or b"%00" in asked.query_string:
        raise BadRequest
    if _is_json(asked):
        return _parse(_read(asked))
    if asked.content_length and asked.mimetype != FORM_TYPE:
        raise UnsupportedMediaType
    return NO_BODY


def sent_json() -> Any:
    """The request's JSON as `check_body` found it; NO_BODY when there is none."""
    return g.sent_json


def require_json() -> None:
    """For resources that know JSON only; no body at all is no body of another type."""
    asked = request._get_current_object()  # type: ignore[attr-defined]
    if not _is_json(asked) and (asked.mimetype or asked.content_length):
        raise UnsupportedMediaType


def _read(asked: Request) -> bytes:
    """The body. Raises RequestEntityTooLarge, and BadRequest when the caller hung up."""
    length = asked.content_length
    try:
        if length is None or not 0 < length <= BODY_MAX_BYTES:
            return asked.get_data(cache=True)
        # Short and of a known length: without Werkzeug's limited stream around the server's.
        raw: bytes = asked.environ["wsgi.input"].read(length)
    except OSError:
        raise BadRequest from None
    if len(raw) < length:
        raise BadRequest
    asked.environ["wsgi.input"] = BytesIO(raw)  # for whoever reads it again
    return raw


def _is_json(asked: Request) -> bool:
    # The usual header as it is, any other through Werkzeug's reading of its parameters.
    return asked.environ.get("CONTENT_TYPE") == JSON_TYPE or asked.is_json


def _parse(raw: bytes) -> Any:
    if not raw:
        return NO_BODY
    try:
        found = _decode(raw.decode())
    except (ValueError, RecursionError):
        raise BadRequest from None
    # Strict UTF-8 holds no surrogate, strict JSON no bare control character: only an escape can.
    if b"\\u" in raw:
        try:
            _check_texts(found)
        except ValueError:
            raise UnprocessableEntity from None
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is given twice")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse).decode


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
