"""The only way a payment changes state: one table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from backend.kernel import DomainError, Kind, Words


class State(Enum):
    AUTHORISED = "authorised"  # held in the wallet
    CAPTURED = "captured"  # posted
    VOIDED = "voided"  # the hold was released
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    REVERSED = "reversed"  # taken back whole: its terminal never learnt the outcome


class Event(Enum):
    CAPTURE = "capture"
    VOID = "void"
    REFUND_PART = "refund_part"
    REFUND_ALL = "refund_all"
    REVERSE = "reverse"


class TransitionRefused(DomainError):
    kind, code = Kind.CONFLICT, "payment_state_conflict"
    title = Words(zh="当前状态不允许此操作", en="Not possible in this state")
    detail = Words(
        zh="支付处于 {state}，不能执行 {event}。", en="The payment is {state}: {event} is refused."
    )


FLOW: Mapping[tuple[State, Event], State] = {
    (State.AUTHORISED, Event.CAPTURE): State.CAPTURED,
    (State.AUTHORISED, Event.VOID): State.VOIDED,
    (State.AUTHORISED, Event.REVERSE): State.REVERSED,
    (State.CAPTURED, Event.REFUND_PART): State.PARTIALLY_REFUNDED,
    (State.CAPTURED, Event.REFUND_ALL): State.REFUNDED,
    (State.CAPTURED, Event.REVERSE): State.REVERSED,
    (State.PARTIALLY_REFUNDED, Event.REFUND_PART): State.PARTIALLY_REFUNDED,
    (State.PARTIALLY_REFUNDED, Event.REFUND_ALL): State.REFUNDED,
}


def advance(state: State, event: Event) -> State:
    """The state after `event`. Raises TransitionRefused."""
    try:
        return FLOW[state, event]
    except KeyError:
        raise TransitionRefused(state=state.value, event=event.value) from None
