"""A token's later life: what happens to its holder, its phone and its card, and moving on."""

from backend.virtual_card.life.events import Events
from backend.virtual_card.life.model import (
    POLICY,
    TOLD_BY_HOLDER,
    Action,
    Applied,
    ApplyEvent,
    Effect,
)
from backend.virtual_card.life.moves import MOVE_DUE, ConfirmCard, MoveCard, Moves
from backend.virtual_card.life.notices import CARD_NOTICE, CardMessages

__all__ = [
    "CARD_NOTICE",
    "MOVE_DUE",
    "POLICY",
    "TOLD_BY_HOLDER",
    "Action",
    "Applied",
    "ApplyEvent",
    "CardMessages",
    "ConfirmCard",
    "Effect",
    "Events",
    "MoveCard",
    "Moves",
]
