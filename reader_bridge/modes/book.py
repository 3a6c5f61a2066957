"""The one question a terminal asks: what is this tap, here and now? Pure: no card, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from types import MappingProxyType
from typing import Final

from card_protocol.fares import FlatFare, MatrixFare, TimedFare
from card_protocol.mode_rules import ModeRules
from card_protocol.place import require_fits
from card_protocol.terminal_profile import Mode, ProfileTerms
from reader_bridge.amounts import require_amount
from reader_bridge.faults import TerminalFault
from reader_bridge.modes import words
from reader_bridge.modes.fares import balance_after
from reader_bridge.modes.flat import Validator
from reader_bridge.modes.gate import Gate
from reader_bridge.modes.records import VEHICLE_BUS, VEHICLE_METRO, StayKind
from reader_bridge.modes.stay import Barrier
from reader_bridge.modes.values import (
    Held,
    MobileTap,
    Place,
    PurseTap,
    Reads,
    Ride,
    RideKind,
    Tap,
)
from reader_bridge.modes.words import RideRefused


@unique
class MobileCards(Enum):
    """Whether a mode takes a card that carries no journey."""

    YES = "yes"
    ONLINE = "online"
    NO = "no"


MOBILE_CARDS_IN: Final[Mapping[Mode, MobileCards]] = MappingProxyType(
    {
        Mode.SHOP: MobileCards.YES,
        Mode.CLINIC: MobileCards.YES,
        Mode.BUS: MobileCards.YES,
        Mode.PARKING: MobileCards.ONLINE,
        Mode.GATE: MobileCards.NO,  # but with a flat fare
        Mode.BICYCLE: MobileCards.NO,
        Mode.LOADING: MobileCards.NO,
    }
)
TOLD: Final = frozenset({Mode.SHOP, Mode.CLINIC})
STAYS: Final = MappingProxyType({Mode.PARKING: StayKind.PARKING, Mode.BICYCLE: StayKind.BICYCLE})


@dataclass(frozen=True, slots=True)
class ModeBook:
    """A terminal's mode, fare, rules and place: made once a profile. Everything that does not fit
    together is found here: raises `MalformedBytes` "place_malformed".
    """

    terms: ProfileTerms
    rules: ModeRules
    place: Place
    _fares: Validator | Gate | Barrier | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_fares", self._made())

    def _made(self) -> Validator | Gate | Barrier | None:
        mode, place = self.terms.mode, self.place
        require_fits(self.terms, place)
        match self.terms.fare:
            case FlatFare() as fare:
                vehicle = VEHICLE_METRO if mode is Mode.GATE else VEHICLE_BUS
                return Validator(fare, self.rules, place, vehicle)
            case MatrixFare() as fare:
                return Gate(fare, self.rules, place)
            case TimedFare() as fare:
                return Barrier(fare, self.rules, place, STAYS[mode])
        return None

    @property
    def is_told(self) -> bool:
        """Whether the cash register says each amount; else the fare does."""
        return self.terms.mode in TOLD

    @property
    def reads(self) -> Reads:
        """What `decide` needs of a purse beyond public data and balance."""
        if isinstance(self._fares, Validator):
            is_asked = self.rules.again_seconds > 0 or self.rules.transfer is not None
            return Reads(journey=is_asked)
        return Reads(rail=isinstance(self._fares, Gate), stay=isinstance(self._fares, Barrier))

    @property
    def takes_ride_codes(self) -> bool:
        """One tap has to be the whole ride: a code says nothing of an entry."""
        return isinstance(self._fares, Validator)

    def require_asked(self, amount_fen: int | None) -> None:
        """Raises TerminalFault(amount_not_asked, amount_missing), RideRefused(no_payment_here)."""
        if self.terms.mode is Mode.LOADING:
            raise RideRefused("no_payment_here")
        if self.is_told is (amount_fen is None):
            raise TerminalFault("amount_missing" if self.is_told else "amount_not_asked")

    def decide(self, tap: Tap, now: int, amount_fen: int | None = None) -> Ride | Held:
        """`now`: unix seconds, the moment the purchase itself is signed with. `amount_fen`: the
        register's, in shop and clinic; other modes have their own.

        Raises RideRefused and CardFault (nothing may be taken), TerminalFault(amount_malformed,
        amount_not_asked, amount_missing).
        """
        self.require_asked(amount_fen)
        if isinstance(tap, MobileTap):
            return self._mobile_card(tap, now, amount_fen)
        return self._purse(tap, now, amount_fen)

    def _purse(self, tap: PurseTap, now: int, amount_fen: int | None) -> Ride | Held:
        if self._fares is not None:
            return self._fares.decide(tap, now)
        assert amount_fen is not None
        balance_fen = balance_after(tap.facts, require_amount(amount_fen))
        return _purchase(amount_fen, balance_fen)

    def _mobile_card(self, tap: MobileTap, now: int, amount_fen: int | None) -> Ride | Held:
        if isinstance(self._fares, Validator):
            return self._fares.decide_mobile(tap, now)
        taken = MOBILE_CARDS_IN[self.terms.mode]
        if isinstance(self._fares, Gate) or taken is MobileCards.NO:
            raise RideRefused("mobile_card_not_taken")
        if taken is MobileCards.ONLINE and not tap.is_online:
            raise RideRefused("mobile_card_online_only")
        if self._fares is not None:
            return self._fares.decide_mobile(tap, now)
        assert amount_fen is not None
        return _purchase(require_amount(amount_fen), None)


def _purchase(amount_fen: int, balance_fen: int | None) -> Ride:
    return Ride(
        amount_fen=amount_fen,
        full_fare_fen=amount_fen,
        kind=RideKind.PURCHASE,
        told=words.said(words.PAID, amount_fen, balance_fen),
    )
