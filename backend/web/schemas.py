"""The base of every wire shape."""

from __future__ import annotations

from marshmallow import RAISE, Schema


class Shape(Schema):
    """A body: unknown fields are refused, order is kept."""

    class Meta:
        unknown = RAISE


class EmptyShape(Shape):
    """No fields."""
