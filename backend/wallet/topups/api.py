"""Resources of top-ups, and the door for the bank's notices."""

from __future__ import annotations

from typing import Any

from flask import request
from flask.views import MethodView
from flask_smorest import Blueprint

from backend.db import Operation
from backend.kernel import AmountOutOfRange
from backend.wallet.bank import NoticeRefused
from backend.wallet.ledger import AccountClosed, AccountFrozen, CeilingExceeded
from backend.wallet.model import WalletUnknown
from backend.wallet.topups.model import (
    BankCardInvalid,
    RequestTopUp,
    TopUp,
    TopUpExists,
    TopUpUnknown,
)
from backend.wallet.topups.schemas import RequestTopUpShape, TopUpShape
from backend.wallet.topups.service import TopUps
from backend.web import CallerKind, access, caller, command, refuses, service

REQUEST_REFUSALS = (
    AmountOutOfRange,
    BankCardInvalid,
    WalletUnknown,
    TopUpExists,
    CeilingExceeded,
    AccountFrozen,
    AccountClosed,
)

blueprint = Blueprint("topups", __name__, description="充值 · top-up from a bank card")


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
