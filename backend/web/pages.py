"""Lists: a cursor, a limit, and what comes next (`?limit=&after=` -> `{data, next}`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from marshmallow import fields, validate

from backend.web.schemas import Shape

T = TypeVar("T")

LIMIT_MAX = 200
LIMIT_DEFAULT = 50


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page: `next` is the cursor for the following one, None at the end."""

    data: list[T]
    next: str | None


class PageArguments(Shape):
    """Query arguments of every list."""

    limit = fields.Integer(load_default=LIMIT_DEFAULT, validate=validate.Range(1, LIMIT_MAX))
    after = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=128))


def page_schema(item: type[Shape]) -> type[Shape]:
    """The shape of a page of `item`s."""
    name = item.__name__.removesuffix("Shape") + "PageShape"
    members: dict[str, Any] = {
        "data": fields.List(fields.Nested(item), required=True),
        "next": fields.String(allow_none=True),
    }
    return type(name, (Shape,), members)
