"""Wire shapes of the deny list."""

from __future__ import annotations

from marshmallow import fields, validate

from backend.transit.model import SWEEP_MAX
from backend.web import B64u, Shape, StrictInteger
from card_protocol.deny_list import DenyKind

KINDS = {kind.name.lower(): kind for kind in DenyKind}


class SinceQuery(Shape):
    since = fields.Integer(
        load_default=0,
        validate=validate.Range(0, 2**63 - 1),
        metadata={"description": "the version the terminal has; 0: none"},
    )
    begun = fields.Integer(
        load_default=0,
        validate=validate.Range(0, 2**63 - 1),
        metadata={"description": "`head` of the part with `since` 0, until the list is whole"},
    )


class DenyPartShape(Shape):
    part = B64u(metadata={"description": "signed bytes, docs/adr/0022: what changed"})
    since = fields.Integer(metadata={"description": "0: the whole list begins here"})
    upto = fields.Integer(metadata={"description": "ask again with this until it is the head"})
    head = fields.Integer()


class SweepShape(Shape):
    kind = fields.String(required=True, validate=validate.OneOf(list(KINDS)))
    after = fields.String(load_default="", validate=validate.Length(max=64))
    limit = StrictInteger(load_default=SWEEP_MAX, validate=validate.Range(1, SWEEP_MAX))


class SweptShape(Shape):
    changed = fields.Integer(metadata={"description": "numbers that entered or left the list"})
    forgotten = fields.Integer(metadata={"description": "releases that every terminal has heard"})
    next = fields.String(allow_none=True, metadata={"description": "`after` of the next sweep"})
