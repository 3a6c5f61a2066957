"""Gates with a fare from station to station: entry, exit, and rides that are not whole. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from card_protocol.epurse.capp import RailRecord
from card_protocol.fares import MatrixFare
from card_protocol.mode_rules import ModeRules, Remedy
from reader_bridge.faults import Text
from reader_bridge.kernels.epurse import PurseFacts, moment_at
from reader_bridge.modes import words
from reader_bridge.modes.fares import (
    Charge,
    balance_after,
    charge_of,
    find_age_seconds,
    is_again,
)
from reader_bridge.modes.records import (
    VEHICLE_METRO,
    JourneyKind,
    Written,
    device,
    is_inside,
    rail_record_of,
    station_of,
)
from reader_bridge.modes.values import Direction, Held, Place, PurseTap, Ride, RideKind
from reader_bridge.modes.words import RideRefused


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate's place, fares and rules. A ride that is not whole costs the highest fare without
    concession, where the rules do not refuse it."""

    fare: MatrixFare
    rules: ModeRules
    place: Place
    _highest_fen: int = field(init=False, repr=False)  # of 65 536 figures: found once
    _highest_from_here_fen: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        here = self.fare.fen_by_stations[self.fare.stations.index(self.place.station)]
        object.__setattr__(self, "_highest_fen", self.fare.highest_fen)
        object.__setattr__(self, "_highest_from_here_fen", max(here))

    def decide(self, tap: PurseTap, now: int) -> Ride | Held:
        """Raises RideRefused, CardFault(purse_balance_low, purse_record_locked)."""
        rail = rail_record_of(tap.rail)
        if self.place.direction is Direction.IN:
            return self._enter(tap.facts, rail, now)
        return self._leave(tap.facts, rail, now)

    def _enter(self, facts: PurseFacts, rail: RailRecord, now: int) -> Ride | Held:
        charge = Charge(0, 0)
        if is_inside(rail):
            if rail.entry_device == device(self.place) and self._is_now(rail.entry_moment, now):
                return Held(words.ENTERED_ALREADY, may_pass=False)
            charge = self._unfinished(rail)
        balance_fen = balance_after(facts, charge.amount_fen, self._needed_fen(facts))
        written = Written(self.place, moment_at(now), charge.amount_fen, balance_fen)
        journeys = [written.journey(JourneyKind.ENTRY, VEHICLE_METRO, 0)]
        if is_inside(rail):  # the lost ride ends first, so that entries and exits alternate
            lost = written.journey(JourneyKind.EXIT, VEHICLE_METRO, charge.amount_fen)
            journeys.insert(0, lost)
        text = words.ENTERED_MAXIMUM if charge.amount_fen else words.ENTERED
        return Ride(
            amount_fen=charge.amount_fen,
            full_fare_fen=charge.full_fare_fen,
            kind=RideKind.ENTRY,
            records=(*journeys, written.rail_in(rail, facts, self._highest_from_here_fen)),
            told=words.said(text, charge.amount_fen, balance_fen),
        )

    def _needed_fen(self, facts: PurseFacts) -> int:
        """What a purse must hold to go in: nobody shall be stuck at the exit."""
        needed_fen = self.rules.gate.entry_needs_fen
        if needed_fen is not None:
            return needed_fen
        return charge_of(self.rules, facts, self._highest_from_here_fen).amount_fen

    def _unfinished(self, rail: RailRecord) -> Charge:
        """What an entry costs a card that is still inside somewhere."""
        gate = self.rules.gate
        if self._find_entry_station(rail) is None:
            return self._maximum(gate.entry_unknown, "entry_unknown")
        return self._maximum(gate.double_entry, "entered_twice")

    def _leave(self, facts: PurseFacts, rail: RailRecord, now: int) -> Ride | Held:
        inside = is_inside(rail)
        is_here = not inside and rail.exit_device == device(self.place)
        if is_here and self._is_now(rail.exit_moment, now):
            return Held(words.LEFT_ALREADY, may_pass=False)
        charge, text = self._fare_of(facts, rail, now, inside)
        balance_fen = balance_after(facts, charge.amount_fen)
        written = Written(self.place, moment_at(now), charge.amount_fen, balance_fen)
        kind = JourneyKind.EXIT if inside else JourneyKind.SINGLE_AT_EXIT
        return Ride(
            amount_fen=charge.amount_fen,
            full_fare_fen=charge.full_fare_fen,
            concession_fen=charge.concession_fen,
            kind=RideKind.EXIT,
            records=(
                written.journey(kind, VEHICLE_METRO, charge.amount_fen),
                written.rail_out(rail, facts),
            ),
            told=words.said(text, charge.amount_fen, balance_fen),
        )

    def _fare_of(
        self, facts: PurseFacts, rail: RailRecord, now: int, inside: bool
    ) -> tuple[Charge, Text]:
        gate = self.rules.gate
        if not inside:
            return self._maximum(gate.missing_entry, "entry_missing"), words.LEFT_MAXIMUM
        entry = self._find_entry_station(rail)
        if entry is None:
            return self._maximum(gate.entry_unknown, "entry_unknown"), words.LEFT_MAXIMUM
        age_seconds = find_age_seconds(rail.entry_moment, now, self.rules)
        if age_seconds is None or age_seconds > gate.ride_seconds_max:
            return self._maximum(gate.entry_too_old, "entry_too_old"), words.LEFT_MAXIMUM
        if entry == self.place.station and gate.same_station is not Remedy.TABLE:
            return self._maximum(gate.same_station, "same_station"), words.LEFT_MAXIMUM
        fare_fen = self.fare.fare_fen(entry, self.place.station)
        return charge_of(self.rules, facts, fare_fen), words.LEFT

    def _maximum(self, remedy: Remedy, code: str) -> Charge:
        if remedy is Remedy.REFUSE:
            raise RideRefused(code)
        return Charge(self._highest_fen, self._highest_fen)

    def _find_entry_station(self, rail: RailRecord) -> str | None:
        """Where the table knows the card to have entered; None elsewhere, or in another city."""
        station = station_of(rail.entry_station)
        is_known = rail.entry_city == self.place.city and station in self.fare.stations
        return station if is_known else None

    def _is_now(self, moment: bytes, now: int) -> bool:
        return is_again(self.rules, find_age_seconds(moment, now, self.rules))
