"""A loading post: which amounts a purse can be offered, under which ceiling. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from card_protocol.mode_rules import LoadingRules
from reader_bridge.amounts import format_yuan
from reader_bridge.faults import Text
from reader_bridge.kernels.epurse import PurseFacts
from reader_bridge.modes import words
from reader_bridge.modes.words import RideRefused


@dataclass(frozen=True, slots=True)
class LoadOffer:
    """One load that may be asked of the issuer, who holds the ceiling for certain."""

    amount_fen: int
    balance_after_fen: int
    ceiling_fen: int
    told: Text


def amounts_offered(rules: LoadingRules, facts: PurseFacts, product: str | None) -> tuple[int, ...]:
    """The amounts (fen, rising) that this purse has room for. `product` None: not known."""
    room_fen = rules.ceiling_fen(product) - facts.balance_fen
    return tuple(amount_fen for amount_fen in rules.amounts_fen if amount_fen <= room_fen)


def require_load(
    rules: LoadingRules, facts: PurseFacts, product: str | None, amount_fen: int
) -> LoadOffer:
    """Raises RideRefused(load_amount_not_offered, load_ceiling_reached)."""
    if amount_fen not in rules.amounts_fen:
        raise RideRefused("load_amount_not_offered", amount=format_yuan(amount_fen))
    ceiling_fen, balance_fen = rules.ceiling_fen(product), facts.balance_fen + amount_fen
    if balance_fen > ceiling_fen:
        raise RideRefused("load_ceiling_reached", ceiling=format_yuan(ceiling_fen))
    told = words.said(words.LOADED, amount_fen, balance_fen)
    return LoadOffer(amount_fen, balance_fen, ceiling_fen, told)
