"""What a tap costs and writes, by mode: pure rules over a profile, a card's facts and a moment."""

from card_protocol.mode_rules import (
    Concession,
    GateRules,
    LoadingRules,
    ModeRules,
    Remedy,
    Rounding,
    Transfer,
    mode_rules_of,
)
from reader_bridge.modes.book import MOBILE_CARDS_IN, MobileCards, ModeBook
from reader_bridge.modes.loading import LoadOffer, amounts_offered, require_load
from reader_bridge.modes.values import (
    Direction,
    Held,
    MobileTap,
    Place,
    PurseTap,
    Reads,
    Ride,
    RideKind,
)
from reader_bridge.modes.words import RideRefused

__all__ = [
    "MOBILE_CARDS_IN",
    "Concession",
    "Direction",
    "GateRules",
    "Held",
    "LoadOffer",
    "LoadingRules",
    "MobileCards",
    "MobileTap",
    "ModeBook",
    "ModeRules",
    "Place",
    "PurseTap",
    "Reads",
    "Remedy",
    "Ride",
    "RideKind",
    "RideRefused",
    "Rounding",
    "Transfer",
    "amounts_offered",
    "mode_rules_of",
    "require_load",
]
