"""Resources of statements (public network): as pages, as CSV, to print; balances; receipts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from flask import Response, render_template
from flask.views import MethodView
from flask_smorest import Blueprint

from backend.wallet.model import WalletUnknown
from backend.wallet.statements.model import (
    BalanceAt,
    LineUnknown,
    MomentInFuture,
    Period,
    PeriodInFuture,
    PeriodInvalid,
    Receipt,
    Statement,
    StatementTooLong,
    line_number,
)
from backend.wallet.statements.schemas import (
    DaysLanguageQuery,
    DaysPageQuery,
    LanguageQuery,
    MomentQuery,
    PastBalanceShape,
    StatementPageQuery,
    WalletReceiptShape,
    WalletStatementShape,
)
from backend.wallet.statements.service import WalletStatements
from backend.wallet.statements.spreadsheet import csv_chunks
from backend.wallet.statements.words import Issuer, Speaker
from backend.web import CallerKind, access, caller, refuses, service
from backend.web.problems import language as header_language

WALLET = {
    "in": "path",
    "name": "wallet_id",
    "schema": {"type": "string"},
    "example": "wal_01h455vb4pex5vsknk084sn02q",
}
MONTH = {
    "in": "path",
    "name": "month",
    "schema": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"},
    "description": "a month of the calendar in Shanghai",
    "example": "2026-11",
}
LINE = {
    "in": "path",
    "name": "line",
    "schema": {"type": "string"},
    "description": "`line_id` of a line",
    "example": "17",
}
TEXT = {"type": "string"}
CSV_TYPE, HTML_TYPE = "text/csv", "text/html"

ROOT = "/v1/me/wallets/<wallet_id>"

blueprint = Blueprint(
    "statements", __name__, description="账单 · a wallet's statements, past balances and receipts"
)


@blueprint.route(f"{ROOT}/statements/<month>", parameters=[WALLET, MONTH])
class MonthStatement(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.arguments(StatementPageQuery, location="query")
    @blueprint.response(200, WalletStatementShape)
    @refuses(WalletUnknown, PeriodInvalid, PeriodInFuture)
    def get(self, page: dict[str, Any], wallet_id: str, month: str) -> Statement:
        """The statement of a month, by pages."""
        return _paged(wallet_id, _month(month), page)


@blueprint.route(f"{ROOT}/statements/<month>.csv", parameters=[WALLET, MONTH])
class MonthFile(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.arguments(LanguageQuery, location="query")
    @blueprint.response(200, TEXT, content_type=CSV_TYPE)
    @refuses(WalletUnknown, PeriodInvalid, PeriodInFuture, StatementTooLong)
    def get(self, asked: dict[str, Any], wallet_id: str, month: str) -> Response:
        """The statement of a month as a CSV file, oldest line first."""
        return _file(wallet_id, _month(month), asked)


@blueprint.route(f"{ROOT}/statements/<month>.html", parameters=[WALLET, MONTH])
class MonthSheet(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.arguments(LanguageQuery, location="query")
    @blueprint.response(200, TEXT, content_type=HTML_TYPE)
    @refuses(WalletUnknown, PeriodInvalid, PeriodInFuture, StatementTooLong)
    def get(self, asked: dict[str, Any], wallet_id: str, month: str) -> Response:
        """The statement of a month as a page to read and print."""
        return _sheet(wallet_id, _month(month), asked)


@blueprint.route(f"{ROOT}/statements", parameters=[WALLET])
class DaysStatement(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.arguments(DaysPageQuery, location="query")
    @blueprint.response(200, WalletStatementShape)
    @refuses(WalletUnknown, PeriodInvalid, PeriodInFuture)
    def get(self, asked: dict[str, Any], wallet_id: str) -> Statement:
        """The statement of at most 366 days, by pages."""
        return _paged(wallet_id, _days(asked), asked)


@blueprint.route(f"{ROOT}/statements.csv", parameters=[WALLET])
class DaysFile(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.arguments(DaysLanguageQuery, location="query")
    @blueprint.response(200, TEXT, content_type=CSV_TYPE)
    @refuses(WalletUnknown, PeriodInvalid, PeriodInFuture, StatementTooLong)
    def get(self, asked: dict[str, Any], wallet_id: str) -> Response:
        """The statement of at most 366 days as a CSV file, oldest line first."""
        return _file(wallet_id, _days(asked), asked)


@blueprint.route(f"{ROOT}/statements.html", parameters=[WALLET])
class DaysSheet(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.arguments(DaysLanguageQuery, location="query")
    @blueprint.response(200, TEXT, content_type=HTML_TYPE)
    @refuses(WalletUnknown, PeriodInvalid, PeriodInFuture, StatementTooLong)
    def get(self, asked: dict[str, Any], wallet_id: str) -> Response:
        """The statement of at most 366 days as a page to read and print."""
        return _sheet(wallet_id, _days(asked), asked)


@blueprint.route(f"{ROOT}/balance", parameters=[WALLET])
class PastBalance(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.arguments(MomentQuery, location="query")
    @blueprint.response(200, PastBalanceShape)
    @refuses(WalletUnknown, MomentInFuture)
    def get(self, asked: dict[str, Any], wallet_id: str) -> BalanceAt:
        """What was in the wallet at a moment."""
        return service(WalletStatements).balance_at(caller().id, wallet_id, asked["at"])


@blueprint.route(f"{ROOT}/lines/<line>/receipt", parameters=[WALLET, LINE])
class LineReceipt(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.response(200, WalletReceiptShape)
    @refuses(WalletUnknown, LineUnknown)
    def get(self, wallet_id: str, line: str) -> Receipt:
        """The receipt of one line."""
        return _receipt(wallet_id, line)


@blueprint.route(f"{ROOT}/lines/<line>/receipt.html", parameters=[WALLET, LINE])
class LineReceiptSheet(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.arguments(LanguageQuery, location="query")
    @blueprint.response(200, TEXT, content_type=HTML_TYPE)
    @refuses(WalletUnknown, LineUnknown)
    def get(self, asked: dict[str, Any], wallet_id: str, line: str) -> Response:
        """The receipt of one line as a page to read and print."""
        return _page("statements/receipt.html", asked, receipt=_receipt(wallet_id, line))


def _month(text: str) -> Period:
    return Period.month(text, service(WalletStatements).today())


def _days(asked: dict[str, Any]) -> Period:
    first_day: date = asked["first_day"]
    return Period.days(first_day, asked["last_day"], service(WalletStatements).today())


def _paged(wallet_id: str, period: Period, page: dict[str, Any]) -> Statement:
    return service(WalletStatements).page(
        caller().id,
        wallet_id,
        period,
        limit=page["limit"],
        after_line=page["after_line"],
        newest_first=page["order"] == "newest",
    )


def _file(wallet_id: str, period: Period, asked: dict[str, Any]) -> Response:
    export = service(WalletStatements).export(caller().id, wallet_id, period)
    speaker = _speaker(asked)
    chunks: Iterator[bytes] = csv_chunks(export.pages, speaker)
    response = Response(chunks, content_type=f"{CSV_TYPE}; charset=utf-8; header=present")
    response.headers["Content-Disposition"] = f'attachment; filename="statement-{period.name}.csv"'
    return _spoken(response, speaker)


def _sheet(wallet_id: str, period: Period, asked: dict[str, Any]) -> Response:
    statement = service(WalletStatements).whole(caller().id, wallet_id, period)
    return _page("statements/statement.html", asked, statement=statement)


def _receipt(wallet_id: str, line: str) -> Receipt:
    return service(WalletStatements).receipt(caller().id, wallet_id, line_number(line))


def _page(template: str, asked: dict[str, Any], **values: Any) -> Response:
    speaker = _speaker(asked)
    page = render_template(template, speaker=speaker, issuer=service(Issuer), **values)
    return _spoken(Response(page, content_type=f"{HTML_TYPE}; charset=utf-8"), speaker)


def _speaker(asked: dict[str, Any]) -> Speaker:
    """What the address asks for, else what the caller prefers."""
    return Speaker(asked["lang"] or header_language())


def _spoken(response: Response, speaker: Speaker) -> Response:
    response.headers["Content-Language"] = "en" if speaker.language == "en" else "zh-CN"
    response.headers["Vary"] = "Accept-Language"
    return response
