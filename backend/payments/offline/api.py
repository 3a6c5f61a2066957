"""Resources of offline sales: terminals upload (public), staff sees what does not add up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask.views import MethodView
from flask_smorest import Blueprint

from backend import cards
from backend.db import Operation
from backend.merchants import TerminalUnknown
from backend.payments.offline import model, schemas
from backend.payments.offline.clones import CloneReport, Oddities, UnreadItem
from backend.payments.offline.foreign import (
    DecideForeignSale,
    ForeignSale,
    ForeignSaleDecided,
    ForeignSales,
    ForeignSaleUnknown,
)
from backend.payments.offline.model import Upload, Uploaded
from backend.payments.offline.service import OfflineSales
from backend.payments.refusals import TERMINAL
from backend.web import (
    CallerKind,
    Page,
    PageArguments,
    access,
    caller,
    command,
    refuses,
    service,
)
from backend.web.problems import language

SCOPE = "ledger.read"
Body = Mapping[str, Any]

blueprint = Blueprint("offline-sales", __name__, description="脱机交易 · sales uploaded later")
internal_blueprint = Blueprint("offline-oddities", __name__, description="Copied terminals")


@blueprint.route("/v1/terminal/offline-sales")
class OfflineSalesResource(MethodView):
    @access(CallerKind.TERMINAL)
    @command(blueprint, body=schemas.UploadShape, answer=schemas.UploadedShape, status=200)
    @refuses(*TERMINAL)
    def post(self, body: Body, operation: Operation) -> Uploaded:
        """Upload sales that were accepted offline: a result for each, for ever the same."""
        sales = tuple(schemas.read_item(one) for one in body["sales"])
        upload = Upload(caller().id, body["incarnation"].lower(), sales, language())
        return service(OfflineSales).upload(upload, operation)


@internal_blueprint.route("/v1/ops/cloned-terminals")
class ClonedTerminals(MethodView):
    @access(CallerKind.STAFF, SCOPE)
    @internal_blueprint.arguments(PageArguments, location="query")
    @internal_blueprint.response(200, schemas.ClonedTerminalPage)
    def get(self, page: Body) -> Page[Mapping[str, str]]:
        """Terminals whose uploads look as if two boxes shared one disk."""
        found, following = service(Oddities).terminals(**page)
        return Page([{"terminal_id": one} for one in found], following)


@internal_blueprint.route("/v1/ops/cloned-terminals/<string:terminal_id>")
class ClonedTerminal(MethodView):
    @access(CallerKind.STAFF, SCOPE)
    @internal_blueprint.response(200, schemas.CloneReportShape)
    @refuses(TerminalUnknown)
    def get(self, terminal_id: str) -> CloneReport:
        """What speaks for a copied disk at one terminal."""
        return service(Oddities).report(terminal_id)


@internal_blueprint.route("/v1/ops/unread-sales")
class UnreadSales(MethodView):
    @access(CallerKind.STAFF, SCOPE)
    @internal_blueprint.arguments(PageArguments, location="query")
    @internal_blueprint.response(200, schemas.UnreadItemPage)
    def get(self, page: Body) -> Page[UnreadItem]:
        """Uploaded items that were no sales: a terminal's fault, and perhaps somebody's money."""
        return Page(*service(Oddities).unread(**page))


@internal_blueprint.route("/v1/ops/foreign-sam-sales")
class ForeignSamSales(MethodView):
    @access(CallerKind.STAFF, SCOPE)
    @internal_blueprint.arguments(schemas.ForeignSaleArguments, location="query")
    @internal_blueprint.response(200, schemas.ForeignSalePage)
    def get(self, page: Body) -> Page[ForeignSale]:
        """Purse sales refused because their SAM is registered for another terminal."""
        return Page(*service(ForeignSales).of_state(**page))


@internal_blueprint.route("/v1/ops/foreign-sam-sales/<string:payment_id>/payments")
class ForeignSamSalePayments(MethodView):
    @access(CallerKind.STAFF, "cards.write")
    @command(
        internal_blueprint,
        body=schemas.DecideForeignSaleShape,
        answer=schemas.ForeignSaleShape,
        status=200,
    )
    @refuses(
        *TERMINAL,
        ForeignSaleUnknown,
        ForeignSaleDecided,
        model.SaleMalformed,
        model.SaleTooOld,
        model.PurseSaleSeen,
        model.PurseTacInvalid,
        cards.PurseNotActive,
        cards.PurseMismatch,
        cards.PurseKeyUnknown,
    )
    def post(self, body: Body, operation: Operation, payment_id: str) -> ForeignSale:
        """Pay the merchant after all: the SAM was moved, and nobody had said so."""
        wanted = DecideForeignSale(payment_id, caller().id, body["note"])
        return service(ForeignSales).pay(wanted, operation)


@internal_blueprint.route("/v1/ops/foreign-sam-sales/<string:payment_id>/dismissals")
class ForeignSamSaleDismissals(MethodView):
    @access(CallerKind.STAFF, "cards.write")
    @command(
        internal_blueprint,
        body=schemas.DecideForeignSaleShape,
        answer=schemas.ForeignSaleShape,
        status=200,
    )
    @refuses(ForeignSaleUnknown, ForeignSaleDecided)
    def post(self, body: Body, operation: Operation, payment_id: str) -> ForeignSale:
        """Leave it refused."""
        wanted = DecideForeignSale(payment_id, caller().id, body["note"])
        return service(ForeignSales).dismiss(wanted, operation)
