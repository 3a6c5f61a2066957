"""Resources of offline sales: terminals upload (public), staff sees what does not add up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask.views import MethodView
from flask_smorest import Blueprint

from backend.db import Operation
from backend.merchants import TerminalUnknown
from backend.payments.offline import schemas
from backend.payments.offline.clones import CloneReport, Oddities, UnreadItem
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
