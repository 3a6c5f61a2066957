"""The resources of the local API: each calls one method of the till."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from reader_bridge.backend_client import Refused
from reader_bridge.faults import Language
from reader_bridge.local.access import CALLER, TOKEN
from reader_bridge.local.problems import language_of
from reader_bridge.local.schemas import (
    REFERENCE_PATTERN,
    BalanceRequest,
    LinkOut,
    ReceiptOut,
    RefundRequest,
    SaleList,
    SaleOut,
    SaleRequest,
    ScreenOut,
    StatusOut,
    problems,
)
from reader_bridge.local.settings import LocalSettings
from reader_bridge.receipt import Outcome
from reader_bridge.till import Result, ResultState, Till

WAIT_SECONDS_MAX: Final = 30
LIST_MAX: Final = 100

router = APIRouter(prefix="/v1")
WaitSeconds = Annotated[int, Query(ge=0, le=WAIT_SECONDS_MAX)]
ReferenceInPath = Annotated[str, Path(pattern=REFERENCE_PATTERN)]


@router.post(
    "/sales",
    status_code=201,
    dependencies=CALLER,
    responses=problems(
        400,
        409,
        413,
        415,
        422,
        503,
        also={200: {"model": SaleOut, "description": "Known: the first result"}},
    ),
)
def start_sale(request: Request, body: SaleRequest, response: Response) -> SaleOut:
    """Wait for a card or code that pays this amount. A known reference gives its first result."""
    result = till_of(request).start_sale(
        body.reference, body.amount_fen, full_fare_fen=body.full_fare_fen
    )
    return started(result, response)


@router.get("/sales", dependencies=CALLER, responses=problems(422))
def list_sales(request: Request, limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 20) -> SaleList:
    """The last orders of this run of the terminal, the newest first."""
    return SaleList(data=[SaleOut.of(result) for result in till_of(request).last_results(limit)])


@router.get("/sales/{reference}", dependencies=CALLER, responses=problems(404, 422, 503))
def get_sale(
    request: Request,
    reference: ReferenceInPath,
    wait_seconds: WaitSeconds = 0,
) -> SaleOut:
    """How the sale stands; with `wait_seconds`, an open one is waited for."""
    return SaleOut.of(till_of(request).wait_result(reference, wait_seconds))


@router.post(
    "/sales/{reference}/cancellation", dependencies=CALLER, responses=problems(404, 409, 422)
)
def cancel_sale(request: Request, reference: ReferenceInPath) -> SaleOut:
    """End an order nobody paid. 409 `cancel_too_late` once the card may have been charged."""
    return SaleOut.of(till_of(request).cancel(reference))


@router.post(
    "/sales/{reference}/refunds",
    status_code=201,
    dependencies=CALLER,
    responses=problems(
        400,
        402,
        404,
        409,
        413,
        415,
        422,
        503,
        also={
            200: {"model": ReceiptOut, "description": "Known: the first result"},
            202: {"model": ReceiptOut, "description": "Outcome unknown: the same again later"},
        },
    ),
)
def refund_sale(
    request: Request, reference: ReferenceInPath, body: RefundRequest, response: Response
) -> ReceiptOut:
    """Give money of a sale back. The same `refund_reference` is never refunded twice."""
    receipt = till_of(request).refund(
        reference, body.amount_fen, refund_reference=body.refund_reference, reason=body.reason
    )
    if receipt.refusal is not None:
        refusal = receipt.refusal
        words = refusal.text.read(_language(request))
        raise Refused(
            refusal.code, words, retryable=refusal.retryable, data=refusal.data, status=402
        )
    if receipt.outcome is Outcome.UNKNOWN:
        response.status_code = 202
    elif receipt.is_repeated:
        _replayed(response)
    return ReceiptOut.of(receipt)


@router.post(
    "/sales/{reference}/reversal", dependencies=CALLER, responses=problems(402, 404, 409, 422, 503)
)
def reverse_sale(request: Request, reference: ReferenceInPath) -> SaleOut:
    """Take the whole sale back, whatever became of it; may be asked again."""
    return SaleOut.of(till_of(request).reverse(reference))


@router.post(
    "/balance",
    status_code=201,
    dependencies=CALLER,
    responses=problems(
        400,
        409,
        413,
        415,
        422,
        503,
        also={200: {"model": SaleOut, "description": "Known: the first result"}},
    ),
)
def read_balance(request: Request, body: BalanceRequest, response: Response) -> SaleOut:
    """Read the balance of the next card. The result is found like a sale's."""
    return started(till_of(request).balance(body.reference), response)


@router.get("/screen", dependencies=CALLER, responses=problems())
def show_screen(request: Request) -> ScreenOut:
    """What a display shows now."""
    return ScreenOut.of(till_of(request).screen())


@router.get("/status", dependencies=CALLER, responses=problems())
def show_status(request: Request) -> StatusOut:
    """Network, sales that wait for upload, profile, readers."""
    settings: LocalSettings = request.app.state.settings
    till = till_of(request)
    return StatusOut.of(settings.shop_name, settings.health(), till.post(), till.readers())


@router.post("/page-links", status_code=201, dependencies=TOKEN, responses=problems())
def make_page_link(request: Request) -> LinkOut:
    """A link that opens the terminal's page once, within ten minutes. By token only."""
    return LinkOut(path=f"/open?link={request.app.state.doors.new_link()}")


def till_of(request: Request) -> Till:
    till: Till = request.app.state.till
    return till


def _language(request: Request) -> Language:
    settings: LocalSettings = request.app.state.settings
    return language_of(request.headers.get("accept-language", ""), settings.language)


def started(result: Result, response: Response, collection: str = "sales") -> SaleOut:
    """201 while it is open; a result told again is 200."""
    if result.state is not ResultState.OPEN:
        _replayed(response)
    response.headers["Location"] = f"/v1/{collection}/{result.order.reference}"
    return SaleOut.of(result)


def _replayed(response: Response) -> None:
    response.status_code = 200
    response.headers["Idempotent-Replayed"] = "true"
