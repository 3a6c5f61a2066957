"""Resources of the registry of purses: terminals ask (public), staff registers and stops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask.views import MethodView
from flask_smorest import Blueprint

from backend.cards import errors, schemas
from backend.cards.model import ChangePurse, Purse, RegisterPurse
from backend.cards.service import Purses
from backend.db import Operation
from backend.web import CallerKind, access, caller, command, refuses, service

SCOPE = "cards.write"
Body = Mapping[str, Any]

blueprint = Blueprint("purses", __name__, description="电子钱包 · e-purses")
internal_blueprint = Blueprint("purses-upkeep", __name__, description="The registry of e-purses")


@blueprint.route("/v1/terminal/purses/<string:purse_number>")
class TerminalPurse(MethodView):
    @access(CallerKind.TERMINAL)
    @blueprint.response(200, schemas.PurseStateShape)
    @refuses(errors.PurseUnknown)
    def get(self, purse_number: str) -> Purse:
        """Whether a purse may pay, for terminals that are online."""
        return service(Purses).get(purse_number)


@internal_blueprint.route("/v1/ops/purses")
class OpsPurses(MethodView):
    @access(CallerKind.STAFF, SCOPE)
    @command(internal_blueprint, body=schemas.RegisterPurseShape, answer=schemas.PurseShape)
    @refuses(errors.PurseExists)
    def post(self, body: Body, operation: Operation) -> Purse:
        """Register a purse that was personalised."""
        return service(Purses).register(RegisterPurse(staff_id=caller().id, **body), operation)


@internal_blueprint.route("/v1/ops/purses/<string:purse_number>")
class OpsPurse(MethodView):
    @access(CallerKind.STAFF, SCOPE)
    @internal_blueprint.response(200, schemas.PurseShape)
    @refuses(errors.PurseUnknown)
    def get(self, purse_number: str) -> Purse:
        """One purse."""
        return service(Purses).get(purse_number)


@internal_blueprint.route("/v1/ops/purses/<string:purse_number>/changes")
class OpsPurseChanges(MethodView):
    @access(CallerKind.STAFF, SCOPE)
    @command(internal_blueprint, body=schemas.ChangePurseShape, answer=schemas.PurseShape)
    @refuses(errors.PurseUnknown, errors.PurseTransitionRefused, errors.PurseFourEyesNeeded)
    def post(self, body: Body, operation: Operation, purse_number: str) -> Purse:
        """Activate, suspend, release or close a purse; who suspended it does not close it."""
        wanted = ChangePurse(purse_number, body["event"], body["reason"], caller().id)
        return service(Purses).change(wanted, operation)
