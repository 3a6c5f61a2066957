"""Resources of loads (terminals, public) and of purses' figures and cases (staff, internal)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask.views import MethodView
from flask_smorest import Blueprint

from backend import cards
from backend.db import Operation
from backend.kernel import AmountOutOfRange
from backend.payments.purses import model, schemas
from backend.payments.purses.cases import PurseCases
from backend.payments.purses.figures import PurseBooks
from backend.payments.purses.loads import Loads
from backend.payments.purses.model import (
    BeginLoad,
    DecideCase,
    LoadView,
    PurseCase,
    PurseFigures,
)
from backend.payments.purses.states import LoadStateConflict, PurseCaseDecided
from backend.payments.refusals import PROOF_REFUSALS, TERMINAL, WALLET_REFUSALS
from backend.wallet import CeilingExceeded
from backend.web import CallerKind, Page, access, caller, command, refuses, service

Body = Mapping[str, Any]

blueprint = Blueprint("loads", __name__, description="圈存 · loads onto e-purses")
internal_blueprint = Blueprint("purse-books", __name__, description="Books and cases of e-purses")


@blueprint.route("/v1/terminal/loads")
class LoadsResource(MethodView):
    @access(CallerKind.TERMINAL)
    @command(blueprint, body=schemas.BeginLoadShape, answer=schemas.LoadShape)
    @refuses(
        *TERMINAL,
        *PROOF_REFUSALS,
        *WALLET_REFUSALS,
        AmountOutOfRange,
        CeilingExceeded,
        cards.PurseUnknown,
        cards.PurseNotActive,
        cards.PurseMismatch,
        cards.PurseKeyUnknown,
        model.LoadMacInvalid,
        model.LoadNotProved,
        model.LoadExists,
        model.LoadingAgentOnly,
    )
    def post(self, body: Body, operation: Operation) -> LoadView:
        """Begin a load: the money is taken, and the chip gets the issuer's word for it."""
        values = dict(body)
        sam_number = bytes.fromhex(values.pop("terminal_number"))
        wanted = BeginLoad(terminal_id=caller().id, sam_number=sam_number, **values)
        return service(Loads).begin(wanted, operation)


@blueprint.route("/v1/terminal/loads/<load_id>")
class LoadResource(MethodView):
    @access(CallerKind.TERMINAL)
    @blueprint.response(200, schemas.LoadShape)
    @refuses(model.LoadUnknown)
    def get(self, load_id: str) -> LoadView:
        """How a load of this terminal stands."""
        return service(Loads).get(caller().id, load_id)


@blueprint.route("/v1/terminal/loads/<load_id>/written")
class LoadWritten(MethodView):
    @access(CallerKind.TERMINAL)
    @command(blueprint, body=schemas.WrittenShape, answer=schemas.LoadShape, status=200)
    @refuses(model.LoadUnknown, model.LoadTacInvalid, LoadStateConflict, cards.PurseKeyUnknown)
    def post(self, body: Body, operation: Operation, load_id: str) -> LoadView:
        """The chip has taken the load: its TAC proves it."""
        return service(Loads).written(caller().id, load_id, bytes.fromhex(body["tac"]), operation)


@blueprint.route("/v1/terminal/loads/<load_id>/returned")
class LoadReturned(MethodView):
    @access(CallerKind.TERMINAL)
    @command(blueprint, body=schemas.ReturnedShape, answer=schemas.LoadShape, status=200)
    @refuses(
        model.LoadUnknown,
        model.LoadMacInvalid,
        model.LoadNotProved,
        cards.PurseKeyUnknown,
        *WALLET_REFUSALS,
    )
    def post(self, body: Body, operation: Operation, load_id: str) -> LoadView:
        """The chip was torn away: a later INITIALIZE of it tells whether the load is on it."""
        return service(Loads).returned(caller().id, load_id, body["evidence"], operation)


@internal_blueprint.route("/v1/ops/purses/<string:purse_number>/figures")
class OpsPurseFigures(MethodView):
    @access(CallerKind.STAFF, "ledger.read")
    @internal_blueprint.response(200, schemas.PurseFiguresShape)
    @refuses(cards.PurseUnknown)
    def get(self, purse_number: str) -> PurseFigures:
        """Chip as last seen, book, and what is not yet uploaded."""
        return service(PurseBooks).figures(purse_number)


@internal_blueprint.route("/v1/ops/purse-cases")
class OpsPurseCases(MethodView):
    @access(CallerKind.STAFF, "ledger.read")
    @internal_blueprint.arguments(schemas.PurseCaseArguments, location="query")
    @internal_blueprint.response(200, schemas.PurseCasePage)
    def get(self, page: Body) -> Page[PurseCase]:
        """Value that left chips nobody could place, oldest first."""
        return Page(*service(PurseCases).of_state(**page))


@internal_blueprint.route("/v1/ops/purse-cases/<case_id>/payments")
class OpsPurseCasePayments(MethodView):
    @access(CallerKind.STAFF, "cases.write")
    @command(
        internal_blueprint,
        body=schemas.DecideCaseShape,
        answer=schemas.PurseCaseShape,
        status=200,
    )
    @refuses(model.PurseCaseUnknown, model.PurseCaseNotKnown, PurseCaseDecided)
    def post(self, body: Body, operation: Operation, case_id: str) -> PurseCase:
        """Pay the merchant: the purse is known now."""
        return service(PurseCases).pay(_decision(case_id, body), operation)


@internal_blueprint.route("/v1/ops/purse-cases/<case_id>/dismissals")
class OpsPurseCaseDismissals(MethodView):
    @access(CallerKind.STAFF, "cases.write")
    @command(
        internal_blueprint,
        body=schemas.DecideCaseShape,
        answer=schemas.PurseCaseShape,
        status=200,
    )
    @refuses(model.PurseCaseUnknown, PurseCaseDecided)
    def post(self, body: Body, operation: Operation, case_id: str) -> PurseCase:
        """Give the value back to the purse's float: the merchant is not paid."""
        return service(PurseCases).dismiss(_decision(case_id, body), operation)


def _decision(case_id: str, body: Body) -> DecideCase:
    return DecideCase(case_id, caller().id, body["note"])
