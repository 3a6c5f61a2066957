"""A small network for the tests of the edge: a few routes that refuse, fail, read and write."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from flask.views import MethodView
from flask_smorest import Blueprint
from marshmallow import fields, validate

from backend.db import Operation, Units, Which, Work
from backend.kernel import DomainError, Kind, Words
from backend.web import (
    CallerKind,
    Fen,
    Page,
    PageArguments,
    Shape,
    access,
    caller,
    command,
    page_schema,
    service,
)


def _refusal(of: Kind) -> type[DomainError]:
    class Sample(DomainError):
        kind, code = of, f"sample_{of.value}"
        title = Words(zh="样题", en="Sample title")
        detail = Words(zh="差 {short_by_fen} 分", en="short by {short_by_fen} fen")

    return Sample


REFUSALS = {kind: _refusal(kind) for kind in Kind}
SECRET = "330106199001011234"


class ThingShape(Shape):
    name = fields.String(required=True, validate=validate.Length(max=40))
    amount_fen = Fen(required=True)
    remark = fields.String(allow_none=True, load_default=None)


class NothingShape(Shape):
    """A body without fields."""


class PlainShape(Shape):
    value = fields.String()


@dataclass(frozen=True, slots=True)
class Things:
    units: Units

    def make(self, body: Mapping[str, Any], operation: Operation) -> dict[str, Any]:
        def decide(work: Work) -> dict[str, Any]:
            work.tell("thing.made", name=body["name"])
            if body["amount_fen"] == 666:
                raise REFUSALS[Kind.REFUSED](short_by_fen=body["amount_fen"], name=body["name"])
            if body["amount_fen"] == 667:
                raise RuntimeError(f"secret {SECRET}")
            return dict(body)

        return self.units.once(Which.BUSINESS, operation, decide)


def make_blueprint() -> Blueprint:
    """Fresh for each application: flask-smorest binds a blueprint to its document."""
    blueprint = Blueprint("sample", __name__, description="Samples")

    @blueprint.route("/v1/things")
    class ThingList(MethodView):
        @access(CallerKind.CITIZEN)
        @command(blueprint, body=ThingShape, answer=ThingShape)
        def post(self, body, operation):
            """Make a thing."""
            return service(Things).make(body, operation)

        @access(CallerKind.CITIZEN)
        @blueprint.arguments(PageArguments, location="query")
        @blueprint.response(200, page_schema(ThingShape))
        def get(self, arguments):
            """List things."""
            return Page([], str(arguments["limit"]))

    @blueprint.route("/v1/things/<thing_id>/touch")
    class Touch(MethodView):
        @access(CallerKind.CITIZEN)
        @command(blueprint, body=NothingShape, answer=PlainShape, status=200)
        def post(self, body, operation, thing_id):
            """Touch a thing."""
            decided = service(Things).units
            return decided.once(Which.BUSINESS, operation, lambda work: {"value": thing_id})

    @blueprint.route("/v1/refuse/<kind>")
    class Refuse(MethodView):
        @access(CallerKind.ANYONE)
        @blueprint.response(200, PlainShape)
        def get(self, kind):
            """Refuse."""
            raise REFUSALS[Kind(kind)](short_by_fen=5, article="第三条")

    @blueprint.route("/v1/break")
    class Break(MethodView):
        @access(CallerKind.ANYONE)
        @blueprint.response(200, PlainShape)
        def get(self):
            """Meet a bug."""
            raise ZeroDivisionError("no traceback to the caller")

    @blueprint.route("/v1/echo")
    class Echo(MethodView):
        @access(CallerKind.ANYONE)
        @blueprint.arguments(ThingShape)
        @blueprint.response(200, ThingShape)
        def post(self, body):
            """Say it again."""
            return body

    @blueprint.route("/v1/whoami")
    class WhoAmI(MethodView):
        @access(CallerKind.TERMINAL, scope="pay")
        @blueprint.response(200, PlainShape)
        def get(self):
            """Who calls, as a terminal that may take payments."""
            return {"value": caller().id}

    @blueprint.route("/v1/days/<date:day>")
    class Day(MethodView):
        @access(CallerKind.ANYONE)
        @blueprint.response(200, PlainShape)
        def get(self, day):
            """A business date in the path."""
            return {"value": day.isoformat()}

    return blueprint


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt_of(header: object, claims: object, sign: Any) -> str:
    """A compact JWT, put together by hand so that it may be as wrong as a test wants."""
    signed = ".".join(
        b64u(one.encode() if isinstance(one, str) else json.dumps(one).encode())
        for one in (header, claims)
    )
    return f"{signed}.{b64u(sign(signed.encode()))}"


def es256(key: ec.EllipticCurvePrivateKey) -> Any:
    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return sign
