"""How a token and a device change state: one table each; why, and who may take it back."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from backend.virtual_card.errors import TokenTransitionRefused


class TokenState(Enum):
    PENDING = "pending"  # on its new phone, which has not said yet that it can use it
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETED = "deleted"


class TokenEvent(Enum):
    CONFIRM = "confirm"
    REPORT_LOSS = "report_loss"  # 挂失, by the holder
    SUSPEND = "suspend"  # by a rule, or by staff
    RELEASE = "release"  # 解挂
    DELETE = "delete"


class DeviceState(Enum):
    """`Devices.end` and a holder's death are the only changes there are, and they are final."""

    ACTIVE = "active"
    ENDED = "ended"


class ActorKind(Enum):
    """Who changed a token: kept in its history."""

    CITIZEN = "citizen"
    STAFF = "staff"
    SYSTEM = "system"  # a rule, with nobody asking


class Reason(Enum):
    """Why a token changed: kept in its history."""

    PROVISIONED = "provisioned"
    MOVED_HERE = "moved_here"  # provisioned as the successor of a token on another device
    CONFIRMED = "confirmed"
    MOVED_ON = "moved_on"  # its successor is active
    MOVE_OVERDUE = "move_overdue"  # its successor was awaited long enough
    HOLDER_REPORTED_LOSS = "holder_reported_loss"
    HOLDER_RELEASED = "holder_released"
    STAFF_RELEASED = "staff_released"
    DEVICE_ENDED = "device_ended"
    LOST_PLASTIC = "lost_plastic"
    LOST_PHONE = "lost_phone"
    NEW_PHONE = "new_phone"
    SIM_CHANGE = "sim_change"
    DEATH = "death"
    MOVED_AWAY = "moved_away"
    COUNTERS_CONFLICT = "counters_conflict"  # two devices use one token's keys
    LOG_CONFLICT = "log_conflict"  # the phone's log contradicts what arrived


class Release(Enum):
    """Who may end a suspension; in rising strength."""

    HOLDER = 0
    HOLDER_WITH_CODE = 1  # after a one-time code
    STAFF = 2
    NOBODY = 3


RELEASED_BY: Mapping[Reason, Release] = {
    Reason.HOLDER_REPORTED_LOSS: Release.HOLDER,
    Reason.LOST_PLASTIC: Release.HOLDER_WITH_CODE,
    Reason.LOST_PHONE: Release.HOLDER_WITH_CODE,
    Reason.NEW_PHONE: Release.HOLDER_WITH_CODE,
    Reason.SIM_CHANGE: Release.HOLDER_WITH_CODE,
    Reason.MOVED_AWAY: Release.STAFF,
    Reason.COUNTERS_CONFLICT: Release.NOBODY,  # its keys are out: a new token is the way
    Reason.LOG_CONFLICT: Release.STAFF,
    Reason.DEATH: Release.NOBODY,
}
"""Total over the reasons that suspend."""

FLOW: Mapping[tuple[TokenState, TokenEvent], TokenState] = {
    (TokenState.PENDING, TokenEvent.CONFIRM): TokenState.ACTIVE,
    # What never lived is not kept: whoever wants it asks anew.
    (TokenState.PENDING, TokenEvent.SUSPEND): TokenState.DELETED,
    (TokenState.PENDING, TokenEvent.REPORT_LOSS): TokenState.DELETED,
    (TokenState.PENDING, TokenEvent.DELETE): TokenState.DELETED,
    (TokenState.ACTIVE, TokenEvent.REPORT_LOSS): TokenState.SUSPENDED,
    (TokenState.ACTIVE, TokenEvent.SUSPEND): TokenState.SUSPENDED,
    (TokenState.ACTIVE, TokenEvent.DELETE): TokenState.DELETED,
    (TokenState.SUSPENDED, TokenEvent.SUSPEND): TokenState.SUSPENDED,  # for one more reason
    (TokenState.SUSPENDED, TokenEvent.RELEASE): TokenState.ACTIVE,
    (TokenState.SUSPENDED, TokenEvent.DELETE): TokenState.DELETED,
}


def advance(state: TokenState, event: TokenEvent) -> TokenState:
    """The only way a token changes state. Raises TokenTransitionRefused."""
    try:
        return FLOW[state, event]
    except KeyError:
        raise TokenTransitionRefused(state=state.value, event=event.value) from None


def graver(held: Reason | None, new: Reason) -> Reason:
    """The reason that stands when a suspension gets another: the one that is harder to end."""
    if held is None or RELEASED_BY[new].value > RELEASED_BY[held].value:
        return new
    return held
