"""The only way a purse changes state: one table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from backend.cards.errors import PurseTransitionRefused


class PurseState(Enum):
    MADE = "made"  # personalised, with nobody yet
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


class PurseEvent(Enum):
    ACTIVATE = "activate"
    SUSPEND = "suspend"
    RELEASE = "release"
    CLOSE = "close"


STOPPED = frozenset({PurseState.SUSPENDED, PurseState.CLOSED})
"""States that deny lists carry."""

FLOW: Mapping[tuple[PurseState, PurseEvent], PurseState] = {
    (PurseState.MADE, PurseEvent.ACTIVATE): PurseState.ACTIVE,
    (PurseState.MADE, PurseEvent.SUSPEND): PurseState.SUSPENDED,  # stolen from the stock
    (PurseState.ACTIVE, PurseEvent.SUSPEND): PurseState.SUSPENDED,
    (PurseState.SUSPENDED, PurseEvent.RELEASE): PurseState.ACTIVE,
    (PurseState.SUSPENDED, PurseEvent.CLOSE): PurseState.CLOSED,
}


def advance(state: PurseState, event: PurseEvent) -> PurseState:
    """The state after `event`. Raises PurseTransitionRefused."""
    try:
        return FLOW[state, event]
    except KeyError:
        raise PurseTransitionRefused(state=state.value, event=event.value) from None
