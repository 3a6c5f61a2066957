"""How a token and a device change state: one table each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from backend.virtual_card.errors import TokenTransitionRefused


class TokenState(Enum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETED = "deleted"


class TokenEvent(Enum):
    REPORT_LOSS = "report_loss"  # 挂失
    RELEASE = "release"  # 解挂
    DELETE = "delete"


class DeviceState(Enum):
    """`Devices.end` is the only change there is, and it is final."""

    ACTIVE = "active"
    ENDED = "ended"


class Reason(Enum):
    """Why a token changed: kept in its history."""

    PROVISIONED = "provisioned"
    HOLDER_REPORTED_LOSS = "holder_reported_loss"
    HOLDER_RELEASED = "holder_released"
    DEVICE_ENDED = "device_ended"


FLOW: Mapping[tuple[TokenState, TokenEvent], TokenState] = {
    (TokenState.ACTIVE, TokenEvent.REPORT_LOSS): TokenState.SUSPENDED,
    (TokenState.ACTIVE, TokenEvent.DELETE): TokenState.DELETED,
    (TokenState.SUSPENDED, TokenEvent.RELEASE): TokenState.ACTIVE,
    (TokenState.SUSPENDED, TokenEvent.DELETE): TokenState.DELETED,
}


def advance(state: TokenState, event: TokenEvent) -> TokenState:
    """The only way a token changes state. Raises TokenTransitionRefused."""
    try:
        return FLOW[state, event]
    except KeyError:
        raise TokenTransitionRefused(state=state.value, event=event.value) from None
