"""Resources of top-ups by every channel, and the door for the bank's notices."""

from __future__ import annotations

from typing import Any

from flask import request
from flask.views import MethodView
from flask_smorest import Blueprint

from backend.db import Operation
from backend.kernel import AmountOutOfRange
from backend.wallet.bank import NoticeRefused
from backend.wallet.ledger import (
    AccountClosed,
    AccountFrozen,
    CeilingExceeded,
    InsufficientFunds,
    LimitExceeded,
)
from backend.wallet.model import FourEyesNeeded, WalletUnknown
from backend.wallet.topups.automatic import AutoTopUps
from backend.wallet.topups.automatic_model import (
    AutomaticTopUp,
    AutomaticTopUpUnknown,
    MonthTooSmall,
    OrderAutomatic,
)
from backend.wallet.topups.batch_model import (
    Batch,
    BatchExists,
    BatchInvalid,
    BatchStateConflict,
    BatchUnknown,
    LineResult,
    OpenBatch,
)
from backend.wallet.topups.batches import Batches
from backend.wallet.topups.counter import Counters
from backend.wallet.topups.counter_model import (
    CashTopUp,
    CashTopUpExists,
    CashTopUpOld,
    CashTopUpUnknown,
    CountDrawer,
    CounterUnknown,
    Drawer,
    DrawerCounted,
    DrawerUnknown,
    ReverseCash,
    TakeCash,
)
from backend.wallet.topups.model import (
    BankCardInvalid,
    CreditCardRefused,
    RequestTopUp,
    TopUp,
    TopUpExists,
    TopUpUnknown,
)
from backend.wallet.topups.schemas import (
    AutomaticTopUpShape,
    BatchLinePageShape,
    BatchShape,
    CashTopUpShape,
    CountDrawerShape,
    DecideBatchShape,
    DrawerArguments,
    DrawerShape,
    FillBatchShape,
    OpenBatchShape,
    OrderAutomaticShape,
    RequestTopUpShape,
    ReverseCashShape,
    SubmitBatchShape,
    TakeCashShape,
    TopUpShape,
)
from backend.wallet.topups.service import TopUps
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

REQUEST_REFUSALS = (
    AmountOutOfRange,
    BankCardInvalid,
    CreditCardRefused,
    WalletUnknown,
    TopUpExists,
    CeilingExceeded,
    AccountFrozen,
    AccountClosed,
)

blueprint = Blueprint("topups", __name__, description="充值 · top-up from a bank card")
internal_blueprint = Blueprint(
    "topup_channels", __name__, description="充值渠道 · cash at a counter, employers' batches"
)


def _staff() -> str:
    return caller().context["username"]


@blueprint.route("/v1/me/topups")
class MyTopUps(MethodView):
    @access(CallerKind.CITIZEN)
    @command(blueprint, body=RequestTopUpShape, answer=TopUpShape, status=202)
    @refuses(*REQUEST_REFUSALS)
    def post(self, body: dict[str, Any], operation: Operation) -> TopUp:
        """Top up my wallet: answers `processing`; ask again at `ask_again_at`."""
        return service(TopUps).request(RequestTopUp(person_id=caller().id, **body), operation)


@blueprint.route("/v1/me/topups/<topup_id>")
class MyTopUp(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.response(200, TopUpShape)
    @refuses(TopUpUnknown)
    def get(self, topup_id: str) -> TopUp:
        """What became of a top-up."""
        return service(TopUps).get(topup_id, caller().id)


@blueprint.route("/v1/bank/notices")
class BankNotices(MethodView):
    @access(CallerKind.BANK)
    @blueprint.response(204)
    @refuses(NoticeRefused)
    def post(self) -> None:
        """The bank tells what became of an order (Standard Webhooks signature required)."""
        service(TopUps).receive_notice(dict(request.headers), request.get_data())


@blueprint.route("/v1/me/wallets/<wallet_id>/automatic-top-up")
class MyAutomaticTopUp(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.response(200, AutomaticTopUpShape)
    @refuses(WalletUnknown, AutomaticTopUpUnknown)
    def get(self, wallet_id: str) -> AutomaticTopUp:
        """My wallet's standing order."""
        return service(AutoTopUps).get(wallet_id, caller().id)

    @access(CallerKind.CITIZEN)
    @command(blueprint, body=OrderAutomaticShape, answer=AutomaticTopUpShape, status=200)
    @refuses(WalletUnknown, AmountOutOfRange, MonthTooSmall, BankCardInvalid, CreditCardRefused)
    def put(self, body: dict[str, Any], operation: Operation, wallet_id: str) -> AutomaticTopUp:
        """Top up by itself when my wallet runs low; takes the place of an earlier order."""
        wanted = OrderAutomatic(person_id=caller().id, wallet_id=wallet_id, **body)
        return service(AutoTopUps).order(wanted, operation)

    @access(CallerKind.CITIZEN)
    @blueprint.response(204)
    @refuses(WalletUnknown)
    def delete(self, wallet_id: str) -> None:
        """End it. What it asked for already still arrives."""
        service(AutoTopUps).stop(wallet_id, caller().id)


# --- internal network: counters -------------------------------------------------------------------


@internal_blueprint.route("/v1/ops/cash-topups")
class CashTopUps(MethodView):
    @access(CallerKind.STAFF, "counter.topup")
    @command(internal_blueprint, body=TakeCashShape, answer=CashTopUpShape)
    @refuses(
        AmountOutOfRange,
        CounterUnknown,
        WalletUnknown,
        CashTopUpExists,
        DrawerCounted,
        CeilingExceeded,
        LimitExceeded,
        AccountClosed,
    )
    def post(self, body: dict[str, Any], operation: Operation) -> CashTopUp:
        """Take cash for a wallet; the answer is what the receipt says."""
        return service(Counters).take(TakeCash(staff=_staff(), **body), operation)


@internal_blueprint.route("/v1/ops/cash-topups/<topup_id>")
class CashTopUpResource(MethodView):
    @access(CallerKind.STAFF, "counter.topup")
    @internal_blueprint.response(200, CashTopUpShape)
    @refuses(CashTopUpUnknown)
    def get(self, topup_id: str) -> CashTopUp:
        """The receipt again."""
        return service(Counters).get(topup_id)


@internal_blueprint.route("/v1/ops/cash-topups/<topup_id>/reversal")
class CashReversal(MethodView):
    @access(CallerKind.STAFF, "counter.topup")
    @command(internal_blueprint, body=ReverseCashShape, answer=CashTopUpShape, status=200)
    @refuses(
        CashTopUpUnknown,
        CashTopUpOld,
        DrawerCounted,
        InsufficientFunds,
        AccountFrozen,
        AccountClosed,
    )
    def post(self, body: dict[str, Any], operation: Operation, topup_id: str) -> CashTopUp:
        """Undo a mistake: same counter, same day; the cash goes back."""
        wanted = ReverseCash(topup_id=topup_id, staff=_staff(), **body)
        return service(Counters).reverse(wanted, operation)


@internal_blueprint.route("/v1/ops/cash-drawers")
class CashDrawers(MethodView):
    @access(CallerKind.STAFF, "counter.topup")
    @internal_blueprint.arguments(DrawerArguments, location="query")
    @internal_blueprint.response(200, DrawerShape)
    @refuses(CounterUnknown, DrawerUnknown)
    def get(self, asked: dict[str, Any]) -> Drawer:
        """How a counter's day stands: the book, and the cash once counted."""
        return service(Counters).drawer(asked["counter"], asked["business_date"])

    @access(CallerKind.STAFF, "counter.topup")
    @command(internal_blueprint, body=CountDrawerShape, answer=DrawerShape)
    @refuses(CounterUnknown, DrawerUnknown, DrawerCounted)
    def post(self, body: dict[str, Any], operation: Operation) -> Drawer:
        """Close a counter's day with the cash that was counted."""
        return service(Counters).count(CountDrawer(staff=_staff(), **body), operation)


# --- internal network: batches --------------------------------------------------------------------


@internal_blueprint.route("/v1/ops/topup-batches")
class TopUpBatches(MethodView):
    @access(CallerKind.STAFF, "batches.write")
    @command(internal_blueprint, body=OpenBatchShape, answer=BatchShape)
    @refuses(BatchInvalid, BatchExists)
    def post(self, body: dict[str, Any], operation: Operation) -> Batch:
        """Announce an employer's batch: how many lines, what total."""
        return service(Batches).open(OpenBatch(staff=_staff(), **body), operation)


@internal_blueprint.route("/v1/ops/topup-batches/<batch_id>")
class TopUpBatch(MethodView):
    @access(CallerKind.STAFF, "batches.write")
    @internal_blueprint.response(200, BatchShape)
    @refuses(BatchUnknown)
    def get(self, batch_id: str) -> Batch:
        """A batch and how far it is."""
        return service(Batches).get(batch_id)


@internal_blueprint.route("/v1/ops/topup-batches/<batch_id>/lines")
class TopUpBatchLines(MethodView):
    @access(CallerKind.STAFF, "batches.write")
    @internal_blueprint.arguments(PageArguments, location="query")
    @internal_blueprint.response(200, BatchLinePageShape)
    @refuses(BatchUnknown)
    def get(self, page: dict[str, Any], batch_id: str) -> Page[LineResult]:
        """Its lines in order, and what became of each."""
        return Page(*service(Batches).lines(batch_id, **page))

    @access(CallerKind.STAFF, "batches.write")
    @command(internal_blueprint, body=FillBatchShape, answer=BatchShape, status=200)
    @refuses(BatchUnknown, BatchStateConflict, FourEyesNeeded, BatchInvalid)
    def post(self, body: dict[str, Any], operation: Operation, batch_id: str) -> Batch:
        """Send up to 400 lines of a draft; sent again they replace what was there."""
        return service(Batches).fill(batch_id, body["first"], body["lines"], _staff(), operation)


@internal_blueprint.route("/v1/ops/topup-batches/<batch_id>/submission")
class TopUpBatchSubmission(MethodView):
    @access(CallerKind.STAFF, "batches.write")
    @command(internal_blueprint, body=SubmitBatchShape, answer=BatchShape, status=200)
    @refuses(BatchUnknown, BatchStateConflict, FourEyesNeeded, BatchInvalid)
    def post(self, body: dict[str, Any], operation: Operation, batch_id: str) -> Batch:
        """Have the whole checked; every line's fault is listed, and nothing is posted."""
        return service(Batches).submit(batch_id, _staff(), operation)


@internal_blueprint.route("/v1/ops/topup-batches/<batch_id>/decision")
class TopUpBatchDecision(MethodView):
    @access(CallerKind.STAFF, "batches.approve")
    @command(internal_blueprint, body=DecideBatchShape, answer=BatchShape, status=200)
    @refuses(BatchUnknown, BatchStateConflict, FourEyesNeeded)
    def post(self, body: dict[str, Any], operation: Operation, batch_id: str) -> Batch:
        """Approve it, which somebody else must do than who uploaded it; or reject it."""
        batches = service(Batches)
        decide = batches.approve if body["event"] == "approve" else batches.reject
        return decide(batch_id, _staff(), operation)
