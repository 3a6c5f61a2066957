"""Resources of wallets (public network) and of the ledger's proof (internal network)."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask.views import MethodView
from flask_smorest import Blueprint

from backend.db import Operation
from backend.wallet.cases import Case, CaseUnknown, ExplainCase
from backend.wallet.matching import DayMatch, Matching
from backend.wallet.matching.model import CasesOpen, DayNotMatched, StatementStrange
from backend.wallet.model import (
    OpenWallet,
    RegistrationNeeded,
    Wallet,
    WalletExists,
    WalletUnknown,
)
from backend.wallet.proof import LedgerProof, Proof
from backend.wallet.schemas import (
    CloseDayShape,
    CustodyMatchShape,
    ExplainCaseShape,
    HistoryPageShape,
    LedgerProofShape,
    MatchCasePageShape,
    MatchCaseShape,
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
    @refuses(StatementStrange)
    def post(self, body: dict[str, Any], operation: Operation) -> DayMatch:
        """Match one business day: bank statement, top-ups, ledger; books what agrees."""
        return service(Matching).match(body["business_date"], operation)


@internal_blueprint.route("/v1/ops/custody/reconciliations/<date:business_date>")
class CustodyDay(MethodView):
    @access(CallerKind.STAFF, "ledger.read")
    @internal_blueprint.response(200, CustodyMatchShape)
    @refuses(DayNotMatched)
    def get(self, business_date: date) -> DayMatch:
        """The stored result of a day, with the totals of the three sides by channel."""
        return service(Matching).get(business_date)


@internal_blueprint.route("/v1/ops/custody/reconciliations/<date:business_date>/cases")
class CustodyCases(MethodView):
    @access(CallerKind.STAFF, "ledger.read")
    @internal_blueprint.arguments(PageArguments, location="query")
    @internal_blueprint.response(200, MatchCasePageShape)
    def get(self, page: dict[str, Any], business_date: date) -> Page[Case]:
        """Every difference of a day, with what was said about it."""
        return Page(*service(Matching).cases(business_date, **page))


@internal_blueprint.route("/v1/ops/custody/explanations")
class CustodyExplanations(MethodView):
    @access(CallerKind.STAFF, "custody.write")
    @command(internal_blueprint, body=ExplainCaseShape, answer=MatchCaseShape)
    @refuses(CaseUnknown)
    def post(self, body: dict[str, Any], operation: Operation) -> Case:
        """Explain a difference of a day: its case number and the reason."""
        wanted = ExplainCase(explained_by=caller().context["username"], **body)
        return service(Matching).explain(wanted, operation)


@internal_blueprint.route("/v1/ops/custody/closings")
class CustodyClosings(MethodView):
    @access(CallerKind.STAFF, "custody.write")
    @command(internal_blueprint, body=CloseDayShape, answer=CustodyMatchShape)
    @refuses(DayNotMatched, CasesOpen)
    def post(self, body: dict[str, Any], operation: Operation) -> DayMatch:
        """Close a day that was matched and has no open case."""
        who = caller().context["username"]
        return service(Matching).close(body["business_date"], who, operation)
