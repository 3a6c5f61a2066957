"""How loads and cases of purses change state: one table each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from backend.kernel import DomainError, Kind, Words


class LoadState(Enum):
    BEGUN = "begun"  # paid, MAC2 given out
    WRITTEN = "written"  # on the chip
    RETURNED = "returned"  # back where it came from


class LoadEvent(Enum):
    WRITE = "write"
    RETURN = "return"


class CaseState(Enum):
    OPEN = "open"
    PAID = "paid"  # to the merchant
    DISMISSED = "dismissed"  # back to the purse's float


class CaseEvent(Enum):
    PAY = "pay"
    DISMISS = "dismiss"


class LoadStateConflict(DomainError):
    kind, code = Kind.CONFLICT, "load_state_conflict"
    title = Words(zh="圈存已处理", en="Load already decided")
    detail = Words(zh="圈存处于 {state}。", en="The load is {state}.")


class PurseCaseDecided(DomainError):
    kind, code = Kind.CONFLICT, "purse_case_decided"
    title = Words(zh="挂账已处理", en="Case already decided")
    detail = Words(zh="该挂账处于 {state}。", en="The case is {state}.")


LOAD_FLOW: Mapping[tuple[LoadState, LoadEvent], LoadState] = {
    (LoadState.BEGUN, LoadEvent.WRITE): LoadState.WRITTEN,
    (LoadState.BEGUN, LoadEvent.RETURN): LoadState.RETURNED,
}
CASE_FLOW: Mapping[tuple[CaseState, CaseEvent], CaseState] = {
    (CaseState.OPEN, CaseEvent.PAY): CaseState.PAID,
    (CaseState.OPEN, CaseEvent.DISMISS): CaseState.DISMISSED,
}


def advance_load(state: LoadState, event: LoadEvent) -> LoadState:
    """Raises LoadStateConflict."""
    try:
        return LOAD_FLOW[state, event]
    except KeyError:
        raise LoadStateConflict(state=state.value) from None


def advance_case(state: CaseState, event: CaseEvent) -> CaseState:
    """Raises PurseCaseDecided."""
    try:
        return CASE_FLOW[state, event]
    except KeyError:
        raise PurseCaseDecided(state=state.value) from None
