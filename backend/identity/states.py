"""How persons, challenges and sessions may change: three tables and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from backend.identity.errors import TransitionRefused

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)


class PersonState(Enum):
    UNREGISTERED = "unregistered"  # known by phone only
    REGISTERED = "registered"  # matched with a base record


class PersonEvent(Enum):
    REGISTER = "register"


class ChallengeState(Enum):
    WAITING = "waiting"  # for its code
    USED = "used"
    LOCKED = "locked"


class ChallengeEvent(Enum):
    MATCH = "match"
    MISS = "miss"
    EXHAUST = "exhaust"


class SessionState(Enum):
    OPEN = "open"
    ENDED = "ended"


class SessionEvent(Enum):
    ROTATE = "rotate"
    END = "end"


PERSON_FLOW: Mapping[tuple[PersonState, PersonEvent], PersonState] = {
    (PersonState.UNREGISTERED, PersonEvent.REGISTER): PersonState.REGISTERED,
}

CHALLENGE_FLOW: Mapping[tuple[ChallengeState, ChallengeEvent], ChallengeState] = {
    (ChallengeState.WAITING, ChallengeEvent.MATCH): ChallengeState.USED,
    (ChallengeState.WAITING, ChallengeEvent.MISS): ChallengeState.WAITING,
    (ChallengeState.WAITING, ChallengeEvent.EXHAUST): ChallengeState.LOCKED,
}

SESSION_FLOW: Mapping[tuple[SessionState, SessionEvent], SessionState] = {
    (SessionState.OPEN, SessionEvent.ROTATE): SessionState.OPEN,
    (SessionState.OPEN, SessionEvent.END): SessionState.ENDED,
}


def advance(flow: Mapping[tuple[S, E], S], state: S, event: E) -> S:
    """The only way a state changes. Raises TransitionRefused."""
    try:
        return flow[state, event]
    except KeyError:
        raise TransitionRefused from None
