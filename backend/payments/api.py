"""Resources of payments: for citizens, terminals and merchants' servers."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask.views import MethodView
from flask_smorest import Blueprint

from backend.db import Operation
from backend.payments.model import (
    CaptureTooMuch,
    Owner,
    Payment,
    PaymentUnknown,
    PayMerchantCode,
    Refund,
    RefundPayment,
    Reversal,
    Sell,
)
from backend.payments.refusals import CODE_REFUSALS, REFUND_REFUSALS, SALE_REFUSALS, TERMINAL
from backend.payments.schemas import (
    BillArguments,
    CaptureShape,
    MerchantPaymentShape,
    PaymentPageShape,
    PaymentShape,
    PayMerchantCodeShape,
    RefundRequestShape,
    RefundShape,
    ReversalShape,
    SellShape,
    StatementShape,
)
from backend.payments.service import Payments
from backend.payments.statements import Statement, Statements
from backend.payments.states import TransitionRefused
from backend.web import (
    CallerKind,
    EmptyShape,
    Page,
    PageArguments,
    access,
    caller,
    command,
    refuses,
    service,
)

blueprint = Blueprint("payments", __name__, description="支付 · taps, pay codes, merchant codes")


def _terminal() -> Owner:
    return Owner(terminal_id=caller().id)


def _merchant() -> Owner:
    return Owner(merchant_id=caller().context["merchant_id"])


@blueprint.route("/v1/me/payments")
class MyPayments(MethodView):
    @access(CallerKind.CITIZEN)
    @command(blueprint, body=PayMerchantCodeShape, answer=PaymentShape)
    @refuses(*CODE_REFUSALS)
    def post(self, body: dict[str, Any], operation: Operation) -> Payment:
        """Pay what a merchant code asks for."""
        wanted = PayMerchantCode(person_id=caller().id, **body)
        return service(Payments).pay_merchant_code(wanted, operation)


@blueprint.route("/v1/me/payments/<payment_id>")
class MyPayment(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.response(200, PaymentShape)
    @refuses(PaymentUnknown)
    def get(self, payment_id: str) -> Payment:
        """One of my payments."""
        return service(Payments).get_mine(payment_id, caller().id)


@blueprint.route("/v1/terminal/payments")
class TerminalPayments(MethodView):
    @access(CallerKind.TERMINAL)
    @blueprint.arguments(BillArguments, location="query")
    @blueprint.response(200, PaymentPageShape)
    def get(self, query: dict[str, Any]) -> Page[Payment]:
        """The payment of a bill shown as merchant code, once it is paid."""
        shop_id = caller().context["shop_id"]
        return Page(service(Payments).find_by_bill(query["bill_number"], shop_id), None)

    @access(CallerKind.TERMINAL)
    @command(blueprint, body=SellShape, answer=PaymentShape)
    @refuses(*SALE_REFUSALS)
    def post(self, body: dict[str, Any], operation: Operation) -> Payment:
        """A sale: a card was tapped or a pay code shown."""
        return service(Payments).sell(Sell(terminal_id=caller().id, **body), operation)


@blueprint.route("/v1/terminal/payments/<payment_id>")
class TerminalPayment(MethodView):
    @access(CallerKind.TERMINAL)
    @blueprint.response(200, PaymentShape)
    @refuses(PaymentUnknown)
    def get(self, payment_id: str) -> Payment:
        """What became of a sale, by the terminal's own id."""
        return service(Payments).get(payment_id, _terminal())


@blueprint.route("/v1/terminal/payments/<payment_id>/capture")
class TerminalCapture(MethodView):
    @access(CallerKind.TERMINAL)
    @command(blueprint, body=CaptureShape, answer=PaymentShape, status=200)
    @refuses(*TERMINAL, PaymentUnknown, TransitionRefused, CaptureTooMuch)
    def post(self, body: dict[str, Any], operation: Operation, payment_id: str) -> Payment:
        """Capture an authorised payment, whole or in part."""
        return service(Payments).capture(payment_id, body["amount_fen"], _terminal(), operation)


@blueprint.route("/v1/terminal/payments/<payment_id>/void")
class TerminalVoid(MethodView):
    @access(CallerKind.TERMINAL)
    @command(blueprint, body=EmptyShape, answer=PaymentShape, status=200)
    @refuses(*TERMINAL, PaymentUnknown, TransitionRefused)
    def post(self, body: dict[str, Any], operation: Operation, payment_id: str) -> Payment:
        """Release an authorised payment."""
        return service(Payments).void(payment_id, _terminal(), operation)


@blueprint.route("/v1/terminal/payments/<payment_id>/reversal")
class TerminalReversal(MethodView):
    @access(CallerKind.TERMINAL)
    @command(blueprint, body=EmptyShape, answer=ReversalShape, status=200)
    @refuses(*TERMINAL, PaymentUnknown, TransitionRefused)
    def post(self, body: dict[str, Any], operation: Operation, payment_id: str) -> Reversal:
        """Take back a payment whose outcome was lost (冲正); safe before it ever arrived."""
        return service(Payments).reverse(payment_id, _terminal(), operation)


@blueprint.route("/v1/terminal/payments/<payment_id>/refunds")
class TerminalRefunds(MethodView):
    @access(CallerKind.TERMINAL)
    @command(blueprint, body=RefundRequestShape, answer=RefundShape)
    @refuses(*TERMINAL, *REFUND_REFUSALS)
    def post(self, body: dict[str, Any], operation: Operation, payment_id: str) -> Refund:
        """Refund part or all of a payment of this terminal."""
        wanted = RefundPayment(payment_id=payment_id, **body)
        return service(Payments).refund(wanted, _terminal(), operation)


@blueprint.route("/v1/merchant/payments/<payment_id>")
class MerchantPayment(MethodView):
    @access(CallerKind.MERCHANT)
    @blueprint.response(200, MerchantPaymentShape)
    @refuses(PaymentUnknown)
    def get(self, payment_id: str) -> Payment:
        """One of the merchant's payments."""
        return service(Payments).get(payment_id, _merchant())


@blueprint.route("/v1/merchant/payments/<payment_id>/refunds")
class MerchantRefunds(MethodView):
    @access(CallerKind.MERCHANT)
    @command(blueprint, body=RefundRequestShape, answer=RefundShape)
    @refuses(*REFUND_REFUSALS)
    def post(self, body: dict[str, Any], operation: Operation, payment_id: str) -> Refund:
        """Refund part or all of one of the merchant's payments."""
        wanted = RefundPayment(payment_id=payment_id, **body)
        return service(Payments).refund(wanted, _merchant(), operation)


@blueprint.route("/v1/merchant/statements/<date:business_date>")
class MerchantStatement(MethodView):
    @access(CallerKind.MERCHANT)
    @blueprint.arguments(PageArguments, location="query")
    @blueprint.response(200, StatementShape)
    def get(self, page: dict[str, Any], business_date: date) -> Statement:
        """The merchant's statement of one business day."""
        merchant_id = caller().context["merchant_id"]
        return service(Statements).of_day(merchant_id, business_date, **page)
