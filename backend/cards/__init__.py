"""The door of plastic cards: the registry of e-purses, and what the issuer computes for one."""

from backend.cards.denials import PURSE_CHANGED, PurseStanding, PurseStandings
from backend.cards.errors import (
    PurseExists,
    PurseFourEyesNeeded,
    PurseKeyUnknown,
    PurseMismatch,
    PurseNotActive,
    PurseTransitionRefused,
    PurseUnknown,
)
from backend.cards.macs import LoadSeed, PurseMacs
from backend.cards.model import (
    ChangePurse,
    Purse,
    PurseAtMoment,
    PurseKey,
    RegisterPurse,
)
from backend.cards.service import Purses
from backend.cards.states import PurseEvent, PurseState

__all__ = [
    "PURSE_CHANGED",
    "ChangePurse",
    "LoadSeed",
    "Purse",
    "PurseAtMoment",
    "PurseEvent",
    "PurseExists",
    "PurseFourEyesNeeded",
    "PurseKey",
    "PurseKeyUnknown",
    "PurseMacs",
    "PurseMismatch",
    "PurseNotActive",
    "PurseStanding",
    "PurseStandings",
    "PurseState",
    "PurseTransitionRefused",
    "PurseUnknown",
    "Purses",
    "RegisterPurse",
]
