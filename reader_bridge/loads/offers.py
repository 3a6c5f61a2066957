"""Which amounts a terminal offers for loads, by the terms of its profile. Pure."""

from __future__ import annotations

from card_protocol.mode_rules import LoadingRules
from card_protocol.terminal_profile import Mode, ProfileTerms
from reader_bridge.amounts import format_yuan
from reader_bridge.modes.words import RideRefused


def loading_rules_of(terms: ProfileTerms | None) -> LoadingRules:
    """What the profile offers; where it says nothing, the defaults."""
    return LoadingRules() if terms is None else terms.rules.loading


def require_offered(terms: ProfileTerms, amount_fen: int) -> None:
    """At a loading post the profile says which amounts. How much a card may hold the issuer
    knows, before it takes anything. Raises RideRefused(load_amount_not_offered)."""
    if terms.mode is Mode.LOADING and amount_fen not in loading_rules_of(terms).amounts_fen:
        raise RideRefused("load_amount_not_offered", amount=format_yuan(amount_fen))
