"""Resources of wallets (public network) and of the ledger's proof (internal network)."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView
from flask_smorest import Blueprint

from backend.db import Operation
from backend.wallet.model import (
    OpenWallet,
    RegistrationNeeded,
    Wallet,
    WalletExists,
    WalletUnknown,
)
from backend.wallet.proof import CustodyMatch, LedgerProof, Proof
from backend.wallet.schemas import (
    CustodyMatchShape,
    HistoryPageShape,
    LedgerProofShape,
    MatchCustodyShape,
    OpenWalletShape,
    WalletPageShape,
    WalletShape,
)
from backend.wallet.service import Wallets
from backend.web import CallerKind, Page, PageArguments, access, caller, command, refuses, service

blueprint = Blueprint("wallet", __name__, description="钱包 · the citizen's wallet and its history")
internal_blueprint = Blueprint("ledger", __name__, description="账务 · the ledger's daily proof")


@blueprint.route("/v1/me/wallets")
class MyWallets(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.response(200, WalletPageShape)
    def get(self) -> Page[Wallet]:
        """My wallets."""
        return Page(service(Wallets).of_person(caller().id), None)

    @access(CallerKind.CITIZEN)
    @command(blueprint, body=OpenWalletShape, answer=WalletShape)
    @refuses(RegistrationNeeded, WalletExists, WalletUnknown)
    def post(self, body: dict[str, Any], operation: Operation) -> Wallet:
        """Open my wallet."""
        return service(Wallets).open(OpenWallet(person_id=caller().id, **body), operation)


@blueprint.route("/v1/me/wallets/<wallet_id>")
class MyWallet(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.response(200, WalletShape)
    @refuses(WalletUnknown)
    def get(self, wallet_id: str) -> Wallet:
        """One wallet, with its balance."""
        return service(Wallets).get(wallet_id, caller().id)


@blueprint.route("/v1/me/wallets/<wallet_id>/lines")
class MyWalletLines(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.arguments(PageArguments, location="query")
    @blueprint.response(200, HistoryPageShape)
    @refuses(WalletUnknown)
    def get(self, page: dict[str, Any], wallet_id: str) -> Page[Any]:
        """History, newest first, with the balance after each line."""
        return Page(*service(Wallets).lines(wallet_id, caller().id, **page))


@internal_blueprint.route("/v1/ops/ledger/proof")
class LedgerProofResource(MethodView):
    @access(CallerKind.STAFF, "ledger.read")
    @internal_blueprint.response(200, LedgerProofShape)
    def get(self) -> LedgerProof:
        """Sums are zero, custody equals what is owed and what the bank reports."""
        return service(Proof).prove()


@internal_blueprint.route("/v1/ops/custody/reconciliations")
class CustodyReconciliations(MethodView):
    @access(CallerKind.STAFF, "custody.write")
    @command(internal_blueprint, body=MatchCustodyShape, answer=CustodyMatchShape)
    def post(self, body: dict[str, Any], operation: Operation) -> CustodyMatch:
        """Book the bank's custody statement of one business day."""
        return service(Proof).match_custody(body["business_date"], operation)
