"""Resources of transit: the deny list, for terminals (public) and its upkeep (internal)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask.views import MethodView
from flask_smorest import Blueprint

from backend.db import Operation
from backend.transit import schemas
from backend.transit.model import Swept
from backend.transit.service import DenyLists, SweepDenyList
from backend.web import CallerKind, Tagged, access, command, conditional, service

SCOPE = "merchants.write"

blueprint = Blueprint("transit", __name__, description="What terminals keep for offline sales")
internal_blueprint = Blueprint("transit-upkeep", __name__, description="The deny list's upkeep")


@blueprint.route("/v1/terminal/deny-list")
class DenyListResource(MethodView):
    @access(CallerKind.TERMINAL)
    @conditional(blueprint, schemas.DenyPartShape, query=schemas.SinceQuery)
    def get(self, asked: Mapping[str, Any]) -> Tagged:
        """What changed in the deny list since a version, in parts, each signed."""
        part = service(DenyLists).part(asked["since"], asked["begun"])
        return Tagged(part, part.tag)


@internal_blueprint.route("/v1/ops/deny-list/sweeps")
class SweepsResource(MethodView):
    @access(CallerKind.STAFF, SCOPE)
    @command(internal_blueprint, body=schemas.SweepShape, answer=schemas.SweptShape, status=200)
    def post(self, body: Mapping[str, Any], operation: Operation) -> Swept:
        """Compare a page of a source with the deny list; drop what has ended long ago."""
        sweep = SweepDenyList(schemas.KINDS[body["kind"]], body["after"], body["limit"])
        return service(DenyLists).sweep(sweep, operation)
