"""Parking and bicycles: a start that costs nothing, an end by started units. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from card_protocol.fares import TimedFare
from card_protocol.mode_rules import ModeRules
from reader_bridge.kernels.epurse import moment_at
from reader_bridge.modes import words
from reader_bridge.modes.fares import (
    balance_after,
    charge_of,
    find_age_seconds,
    find_age_since,
    is_again,
)
from reader_bridge.modes.records import (
    VEHICLE_OTHER,
    JourneyKind,
    StayKind,
    StayRecord,
    Written,
    find_stay,
)
from reader_bridge.modes.values import Direction, Held, MobileTap, Place, PurseTap, Ride, RideKind
from reader_bridge.modes.words import RideRefused


@dataclass(frozen=True, slots=True)
class Barrier:
    """A barrier or a dock. A parking ends where it began; a hire with the same operator."""

    fare: TimedFare
    rules: ModeRules
    place: Place
    kind: StayKind

    def decide(self, tap: PurseTap, now: int) -> Ride | Held:
        """Raises RideRefused, CardFault(purse_balance_low, purse_record_locked)."""
        stay = find_stay(tap.stay)
        if self.place.direction is Direction.IN:
            return self._start(tap, stay, now)
        return self._end(tap, stay, now)

    def decide_mobile(self, tap: MobileTap, now: int) -> Ride:
        """The end of a stay whose start the barrier knows. Raises RideRefused."""
        if tap.stay_started_at is None or self.place.direction is Direction.IN:
            raise RideRefused("stay_start_unknown")
        seconds = self._bounded(find_age_since(tap.stay_started_at, now, self.rules))
        fare_fen = self.fare.fare_fen(seconds)
        return Ride(
            amount_fen=fare_fen,
            full_fare_fen=fare_fen,
            kind=RideKind.END,
            told=words.said(words.ENDED, fare_fen, None),
        )

    def _start(self, tap: PurseTap, stay: StayRecord | None, now: int) -> Ride | Held:
        if stay is not None and stay.is_open:
            if self._is_same_tap(stay, stay.start, now):
                return Held(words.STARTED_ALREADY, may_pass=False)
            raise RideRefused("stay_open")
        place, balance_fen = self.place, tap.facts.balance_fen
        begun = StayRecord(
            kind=self.kind,
            is_open=1,
            city=place.city,
            operator=place.operator,
            station=place.station_bytes,
            terminal=place.terminal,
            start=moment_at(now),
        )
        return Ride(
            amount_fen=0,
            full_fare_fen=0,
            kind=RideKind.START,
            records=(begun.to_record(),),
            told=words.said(words.STARTED, 0, balance_fen),
        )

    def _end(self, tap: PurseTap, stay: StayRecord | None, now: int) -> Ride | Held:
        if stay is None or not stay.is_open:
            if stay is not None and self._is_same_tap(stay, stay.end, now):
                return Held(words.ENDED_ALREADY, may_pass=False)
            raise RideRefused("stay_not_started")
        if not self._is_ours(stay):
            raise RideRefused("stay_elsewhere")
        seconds = self._bounded(find_age_seconds(stay.start, now, self.rules))
        charge = charge_of(self.rules, tap.facts, self.fare.fare_fen(seconds))
        balance_fen = balance_after(tap.facts, charge.amount_fen)
        moment, amount_fen = moment_at(now), charge.amount_fen
        ended = replace(
            stay, is_open=0, terminal=self.place.terminal, end=moment, amount_fen=amount_fen
        )
        written = Written(self.place, moment, amount_fen, balance_fen)
        journey = written.journey(JourneyKind.SINGLE, VEHICLE_OTHER, amount_fen)
        has_journeys = tap.facts.management is not None
        return Ride(
            amount_fen=amount_fen,
            full_fare_fen=charge.full_fare_fen,
            concession_fen=charge.concession_fen,
            kind=RideKind.END,
            records=(ended.to_record(), *((journey,) if has_journeys else ())),
            told=words.said(words.ENDED, amount_fen, balance_fen),
        )

    def _is_ours(self, stay: StayRecord) -> bool:
        place = self.place
        is_operator = (stay.kind, stay.city, stay.operator) == (
            self.kind,
            place.city,
            place.operator,
        )
        is_place = self.kind is StayKind.BICYCLE or stay.station == place.station_bytes
        return is_operator and is_place

    def _is_same_tap(self, stay: StayRecord, moment: bytes, now: int) -> bool:
        is_here = stay.terminal == self.place.terminal and stay.kind == self.kind
        return is_here and is_again(self.rules, find_age_seconds(moment, now, self.rules))

    def _bounded(self, seconds: int | None) -> int:
        if seconds is None:
            raise RideRefused("stay_start_later")
        if seconds > self.rules.stay_seconds_max:
            raise RideRefused("stay_too_long")
        return seconds
