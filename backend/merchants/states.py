"""How a terminal or merchant client changes state: one table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from backend.merchants.errors import TerminalTransitionRefused


class State(Enum):
    ORDERED = "ordered"  # known to us, has no key yet
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


class Event(Enum):
    ORDER_CODE = "order_code"  # a new activation code
    ACTIVATE = "activate"  # a device shows the code and its key
    SUSPEND = "suspend"
    RESUME = "resume"
    CLOSE = "close"


FLOW: Mapping[tuple[State, Event], State] = {
    (State.ORDERED, Event.ORDER_CODE): State.ORDERED,
    (State.ORDERED, Event.ACTIVATE): State.ACTIVE,
    (State.ORDERED, Event.CLOSE): State.CLOSED,
    # A broken till is replaced: the new device takes over with a code of its own.
    (State.ACTIVE, Event.ORDER_CODE): State.ACTIVE,
    (State.ACTIVE, Event.ACTIVATE): State.ACTIVE,
    (State.ACTIVE, Event.SUSPEND): State.SUSPENDED,
    (State.ACTIVE, Event.CLOSE): State.CLOSED,
    (State.SUSPENDED, Event.RESUME): State.ACTIVE,
    (State.SUSPENDED, Event.CLOSE): State.CLOSED,
}


def advance(state: State, event: Event) -> State:
    """The only way a terminal changes state. Raises TerminalTransitionRefused."""
    try:
        return FLOW[state, event]
    except KeyError:
        raise TerminalTransitionRefused(state=state.value, event=event.value) from None
