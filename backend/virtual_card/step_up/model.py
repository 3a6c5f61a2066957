"""One-time codes that let a refused wish through: purposes and figures; knows no rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

CODE_DIGITS = 6
TRIES_MAX = 5
TTL = timedelta(minutes=5)
PASSED_TTL = timedelta(minutes=15)
"""So long a given code waits for the wish it was asked for."""

RESEND_AFTER = timedelta(seconds=60)
PER_HOUR_MAX = 5


class Purpose(Enum):
    """What a code is for; its subject is a device (provision) or a token."""

    PROVISION = "provision"
    REFILL = "refill"
    RELEASE = "release"


class StepUpState(Enum):
    WAITING = "waiting"
    LOCKED = "locked"
    PASSED = "passed"
    USED = "used"


@dataclass(frozen=True, slots=True)
class StepUp:
    """A code that was asked for; the code itself is told nowhere but by SMS."""

    step_up_id: str
    purpose: Purpose
    subject: str
    state: StepUpState
    expires_at: datetime


def find_next_at(asked: Sequence[datetime]) -> datetime | None:
    """When the next code may be asked for, given the newest moments (oldest first); None: now."""
    if not asked:
        return None
    allowed = asked[-1] + RESEND_AFTER
    if len(asked) >= PER_HOUR_MAX:
        allowed = max(allowed, asked[-PER_HOUR_MAX] + timedelta(hours=1))
    return allowed
