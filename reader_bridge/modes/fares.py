"""What the holder of a purse pays of a fare, and how long ago something was; knows no mode."""

from __future__ import annotations

from dataclasses import dataclass

from card_protocol.mode_rules import ModeRules
from reader_bridge.faults import CardFault
from reader_bridge.kernels.epurse import PurseFacts
from reader_bridge.modes.records import find_unix


@dataclass(frozen=True, slots=True)
class Charge:
    """One fare, divided: what the holder pays, what a concession and a transfer take off."""

    full_fare_fen: int
    amount_fen: int
    transfer_fen: int = 0

    @property
    def concession_fen(self) -> int:
        return self.full_fare_fen - self.transfer_fen - self.amount_fen


def charge_of(rules: ModeRules, facts: PurseFacts, fare_fen: int, transfer_fen: int = 0) -> Charge:
    """The transfer comes off first, the concession is of what is left."""
    transfer_fen = min(transfer_fen, fare_fen)
    rest_fen = fare_fen - transfer_fen
    card_type = facts.management.card_type if facts.management else None
    concession = None if card_type is None else rules.concessions.get(card_type)
    amount_fen = rest_fen if concession is None else concession.pays_fen(rest_fen)
    return Charge(fare_fen, amount_fen, transfer_fen)


def balance_after(facts: PurseFacts, amount_fen: int, needed_fen: int = 0) -> int:
    """What the purse holds after it paid. `needed_fen` must be left over.

    Raises CardFault(purse_balance_low).
    """
    left_fen = facts.balance_fen - amount_fen
    if left_fen < needed_fen:
        raise CardFault("purse_balance_low")
    return left_fen


def find_age_seconds(moment: bytes, now: int, rules: ModeRules) -> int | None:
    """Seconds since a BCD moment. One a little later than now, by clocks that differ, is now.

    None for bytes that are no moment, or one that is later than clocks may differ.
    """
    then = find_unix(moment)
    return None if then is None else find_age_since(then, now, rules)


def find_age_since(then: int, now: int, rules: ModeRules) -> int | None:
    """The same, from unix seconds."""
    return None if then - now > rules.clock_slack_seconds else max(0, now - then)


def is_again(rules: ModeRules, age_seconds: int | None) -> bool:
    """Whether something so long ago is this same tap, the card still in the hand."""
    return age_seconds is not None and rules.again_seconds >= age_seconds
