"""Resources of staff about purses: SAMs of terminals, lost outcomes, loads that hang."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask.views import MethodView
from flask_smorest import Blueprint

from backend import cards
from backend.db import Operation
from backend.payments.purses import desk_schemas as schemas
from backend.payments.purses import loss_model, model, sams
from backend.payments.purses.loss_model import DecideLoss, LossEvent, LossView, OpenLoss
from backend.payments.purses.losses import PurseLosses
from backend.payments.purses.model import LoadView
from backend.payments.purses.sams import BindSam, BoundSam, Sams
from backend.payments.purses.stuck import ReturnLoad, StuckLoads
from backend.payments.refusals import TERMINAL
from backend.wallet import AccountFrozen, WalletUnknown
from backend.web import CallerKind, Page, access, caller, command, refuses, service

READ, WRITE = "ledger.read", "cards.write"
Body = Mapping[str, Any]

internal_blueprint = Blueprint("purse-desk", __name__, description="What staff does about purses")


@internal_blueprint.route("/v1/ops/terminals/<string:terminal_id>/sams")
class TerminalSams(MethodView):
    @access(CallerKind.STAFF, READ)
    @internal_blueprint.response(200, schemas.BoundSamsShape)
    @refuses(sams.SamUnknown)
    def get(self, terminal_id: str) -> Mapping[str, list[BoundSam]]:
        """Which SAMs may speak for a terminal."""
        return {"data": service(Sams).of_terminal(terminal_id)}

    @access(CallerKind.STAFF, "merchants.write")
    @command(internal_blueprint, body=schemas.BindSamShape, answer=schemas.BoundSamShape)
    @refuses(*TERMINAL)
    def post(self, body: Body, operation: Operation, terminal_id: str) -> BoundSam:
        """Say that a SAM sits in this terminal now; where it was, it was until now."""
        return service(Sams).bind(BindSam(body["sam_number"], terminal_id, caller().id), operation)


@internal_blueprint.route("/v1/ops/sams/<string:sam_number>")
class OneSam(MethodView):
    @access(CallerKind.STAFF, READ)
    @internal_blueprint.response(200, schemas.BoundSamShape)
    @refuses(sams.SamUnknown)
    def get(self, sam_number: str) -> BoundSam:
        """Which terminal a SAM sits in."""
        return service(Sams).get(sam_number.lower())


@internal_blueprint.route("/v1/ops/purse-losses")
class OpsPurseLosses(MethodView):
    @access(CallerKind.STAFF, READ)
    @internal_blueprint.arguments(schemas.LossArguments, location="query")
    @internal_blueprint.response(200, schemas.LossPage)
    def get(self, page: Body) -> Page[LossView]:
        """Purchases whose terminal cannot tell how they ended, oldest first."""
        return Page(*service(PurseLosses).of_state(**page))

    @access(CallerKind.STAFF, WRITE)
    @command(internal_blueprint, body=schemas.OpenLossShape, answer=schemas.LossShape)
    @refuses(*TERMINAL, cards.PurseUnknown, loss_model.LossExists)
    def post(self, body: Body, operation: Operation) -> LossView:
        """Write down what the terminal says of such a purchase (`purse_outcome_lost`)."""
        return service(PurseLosses).open(OpenLoss(staff_id=caller().id, **body), operation)


@internal_blueprint.route("/v1/ops/purse-losses/<string:loss_id>")
class OpsPurseLoss(MethodView):
    @access(CallerKind.STAFF, READ)
    @internal_blueprint.response(200, schemas.LossShape)
    @refuses(loss_model.LossUnknown)
    def get(self, loss_id: str) -> LossView:
        """One of them, with what later uploads say by now."""
        return service(PurseLosses).get(loss_id)


ENDS = (
    loss_model.LossUnknown,
    loss_model.LossStateConflict,
    loss_model.LossFourEyesNeeded,
    loss_model.LossDenied,
)


@internal_blueprint.route("/v1/ops/purse-losses/<string:loss_id>/refunds")
class OpsPurseLossRefunds(MethodView):
    @access(CallerKind.STAFF, WRITE)
    @command(internal_blueprint, body=schemas.RefundLossShape, answer=schemas.LossShape, status=200)
    @refuses(*ENDS, WalletUnknown, AccountFrozen)
    def post(self, body: Body, operation: Operation, loss_id: str) -> LossView:
        """The chip paid and the holder got nothing: into the wallet; somebody else than opened."""
        return _end(LossEvent.REFUND, loss_id, body, operation)


@internal_blueprint.route("/v1/ops/purse-losses/<string:loss_id>/payments")
class OpsPurseLossPayments(MethodView):
    @access(CallerKind.STAFF, WRITE)
    @command(internal_blueprint, body=schemas.EndShape, answer=schemas.LossShape, status=200)
    @refuses(*ENDS)
    def post(self, body: Body, operation: Operation, loss_id: str) -> LossView:
        """The chip paid and the goods were handed over: to the merchant."""
        return _end(LossEvent.PAY, loss_id, body, operation)


@internal_blueprint.route("/v1/ops/purse-losses/<string:loss_id>/dismissals")
class OpsPurseLossDismissals(MethodView):
    @access(CallerKind.STAFF, WRITE)
    @command(internal_blueprint, body=schemas.EndShape, answer=schemas.LossShape, status=200)
    @refuses(*ENDS)
    def post(self, body: Body, operation: Operation, loss_id: str) -> LossView:
        """The chip did not pay: nothing moves."""
        return _end(LossEvent.DISMISS, loss_id, body, operation)


@internal_blueprint.route("/v1/ops/loads")
class OpsLoads(MethodView):
    @access(CallerKind.STAFF, READ)
    @internal_blueprint.arguments(schemas.LoadArguments, location="query")
    @internal_blueprint.response(200, schemas.StaffLoadPage)
    def get(self, page: Body) -> Page[LoadView]:
        """Loads in a state; `begun`: paid, and nobody knows yet whether they are on the chip."""
        return Page(*service(StuckLoads).of_state(**page))


@internal_blueprint.route("/v1/ops/loads/<string:load_id>/returns")
class OpsLoadReturns(MethodView):
    @access(CallerKind.STAFF, WRITE)
    @command(internal_blueprint, body=schemas.EndShape, answer=schemas.StaffLoadShape, status=200)
    @refuses(model.LoadUnknown, model.LoadNotStuck, AccountFrozen)
    def post(self, body: Body, operation: Operation, load_id: str) -> LoadView:
        """Give a load back whose chip is gone: its purse was closed long enough ago."""
        return service(StuckLoads).give_back(
            ReturnLoad(load_id, caller().id, body["note"]), operation
        )


def _end(event: LossEvent, loss_id: str, body: Body, operation: Operation) -> LossView:
    wanted = DecideLoss(loss_id, event, caller().id, body["note"], body.get("wallet_id"))
    return service(PurseLosses).decide(wanted, operation)
