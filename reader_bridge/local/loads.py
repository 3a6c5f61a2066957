"""The resources of loads (圈存): each calls one method of the till."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from reader_bridge.loads.values import Funding, pin_of
from reader_bridge.local.access import CALLER
from reader_bridge.local.routes import ReferenceInPath, WaitSeconds, started, till_of
from reader_bridge.local.schemas import LoadRequest, PinRequest, SaleOut, problems

router = APIRouter(prefix="/v1/loads")


@router.post(
    "",
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
def start_load(request: Request, body: LoadRequest, response: Response) -> SaleOut:
    """Put money onto the next purse card. A known reference gives its first result."""
    funding = Funding(body.funding)
    result = till_of(request).start_load(body.reference, body.amount_fen, funding)
    return started(result, response, "loads")


@router.get("/{reference}", dependencies=CALLER, responses=problems(404, 422, 503))
def get_load(
    request: Request, reference: ReferenceInPath, wait_seconds: WaitSeconds = 0
) -> SaleOut:
    """How the load stands; with `wait_seconds`, an open one is waited for."""
    return SaleOut.of(till_of(request).wait_result(reference, wait_seconds))


@router.post("/{reference}/pin", dependencies=CALLER, responses=problems(400, 404, 409, 422))
def give_pin(request: Request, reference: ReferenceInPath, body: PinRequest) -> SaleOut:
    """The card's PIN, when `code` is `load_pin_wanted` or `load_pin_wrong`; then the card again.

    409 `pin_not_wanted` at any other moment.
    """
    pin = pin_of(body.pin)
    return SaleOut.of(till_of(request).give_pin(reference, pin))


@router.post("/{reference}/cancellation", dependencies=CALLER, responses=problems(404, 409, 422))
def cancel_load(request: Request, reference: ReferenceInPath) -> SaleOut:
    """End a load nobody paid. 409 `cancel_too_late` once money may have moved."""
    return SaleOut.of(till_of(request).cancel(reference))
