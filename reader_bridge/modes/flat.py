"""One price a ride: buses, and gates with a flat fare. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from card_protocol.epurse.transactions import TransactionKind
from card_protocol.fares import FlatFare
from card_protocol.mode_rules import ModeRules
from reader_bridge.kernels.epurse import PurseFacts, moment_at
from reader_bridge.modes import words
from reader_bridge.modes.fares import (
    balance_after,
    charge_of,
    find_age_seconds,
    find_age_since,
    is_again,
)
from reader_bridge.modes.records import (
    MARK_NONE,
    MARK_TRANSFER,
    VEHICLE_BUS,
    VEHICLE_METRO,
    JourneyKind,
    Written,
    device,
)
from reader_bridge.modes.values import Held, MobileTap, Place, PurseTap, Ride, RideKind

PURCHASES: Final = frozenset({TransactionKind.PURCHASE, TransactionKind.COMPOUND_PURCHASE})
PAID_KINDS: Final = frozenset({JourneyKind.SINGLE, JourneyKind.EXIT, JourneyKind.SINGLE_AT_EXIT})
RIDES: Final = frozenset({VEHICLE_BUS, VEHICLE_METRO})  # a parking gives no transfer


@dataclass(frozen=True, slots=True)
class Validator:
    """One validator's fare, rules and place. `vehicle`: byte 9 of a journey."""

    fare: FlatFare
    rules: ModeRules
    place: Place
    vehicle: int

    def decide(self, tap: PurseTap, now: int) -> Ride | Held:
        """Raises CardFault(purse_balance_low)."""
        facts = tap.facts
        if self._has_paid_here(facts, now):
            return Held(words.PAID_ALREADY, may_pass=True)
        charge = charge_of(self.rules, facts, self.fare.amount_fen, self._transfer_fen(facts, now))
        balance_fen = balance_after(facts, charge.amount_fen)
        written = Written(self.place, moment_at(now), charge.amount_fen, balance_fen)
        mark = MARK_TRANSFER if charge.transfer_fen else MARK_NONE
        journey = written.journey(JourneyKind.SINGLE, self.vehicle, charge.amount_fen, mark)
        return Ride(
            amount_fen=charge.amount_fen,
            full_fare_fen=charge.full_fare_fen,
            concession_fen=charge.concession_fen,
            transfer_fen=charge.transfer_fen,
            kind=RideKind.SINGLE,
            records=(journey,) if facts.management else (),  # City Union cards keep no journeys
            told=words.said(words.PAID, charge.amount_fen, balance_fen),
        )

    def decide_mobile(self, tap: MobileTap, now: int) -> Ride | Held:
        """Concessions are the backend's, by account; the terminal asks for the whole fare."""
        last_ride_at = tap.last_ride_at
        if last_ride_at is not None:
            age_seconds = find_age_since(last_ride_at, now, self.rules)
            if is_again(self.rules, age_seconds):
                return Held(words.PAID_ALREADY, may_pass=True)
        fare_fen = self.fare.amount_fen
        return Ride(
            amount_fen=fare_fen,
            full_fare_fen=fare_fen,
            kind=RideKind.SINGLE,
            told=words.said(words.PAID, fare_fen, None),
        )

    def _has_paid_here(self, facts: PurseFacts, now: int) -> bool:
        """By the newest journey or, on cards without journeys, the newest line of the log."""
        if facts.journeys:
            last = facts.journeys[0]
            is_ours = last.terminal == device(self.place) and last.kind == JourneyKind.SINGLE
            moment = last.moment
        elif facts.log:
            line = facts.log[0]
            is_ours = line.terminal == self.place.terminal and line.kind in PURCHASES
            moment = line.moment
        else:
            return False
        return is_ours and is_again(self.rules, find_age_seconds(moment, now, self.rules))

    def _transfer_fen(self, facts: PurseFacts, now: int) -> int:
        """The discount, when the newest journey was a paid ride, not long ago, on another line of
        the city, and was no transfer itself."""
        transfer, place = self.rules.transfer, self.place
        if transfer is None or not facts.journeys:
            return 0
        last = facts.journeys[0]
        is_paid = last.kind in PAID_KINDS and last.vehicle in RIDES and last.amount_fen > 0
        is_same_line = (last.operator, last.line) == (place.operator, place.line)
        if not is_paid or is_same_line or last.city != place.city:
            return 0
        if last.reserved == MARK_TRANSFER:
            return 0
        age_seconds = find_age_seconds(last.moment, now, self.rules)
        is_soon = age_seconds is not None and age_seconds <= transfer.within_seconds
        return transfer.discount_fen if is_soon else 0
