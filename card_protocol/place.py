"""Where a terminal stands, as its profile tells it, and whether that fits its mode. Pure.

Backend and terminal ask the same question with `require_fits`. The members:
docs/protocol/terminal-profile.md. Everything here raises `MalformedBytes` "place_malformed".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any, Final

from card_protocol.checks import require, require_bytes
from card_protocol.fares import FlatFare, MatrixFare, TimedFare
from card_protocol.terminal_profile import ProfileTerms

CODE: Final = "place_malformed"
NO_STATION: Final = "0000"
SIZES: Final[Mapping[str, int]] = {"city": 2, "operator": 2, "acquirer": 8, "line": 2}
_STATION = re.compile(r"[0-9A-F]{4}", re.ASCII)


@unique
class Direction(StrEnum):
    """Which way a gate, a barrier or a dock is used."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalPlace:
    """`station`: 4 hexadecimal digits, as the fare table names it; the car park's number at a
    barrier. Zeros are what nobody told."""

    city: bytes = bytes(2)  # UnionPay's region code
    operator: bytes = bytes(2)
    acquirer: bytes = bytes(8)  # shaped like an issuer id
    line: bytes = bytes(2)
    station: str = NO_STATION
    direction: Direction | None = None

    def __post_init__(self) -> None:
        for name, size in SIZES.items():
            require_bytes(getattr(self, name), size, CODE, name)
        require_station(self.station)
        is_known = self.direction is None or isinstance(self.direction, Direction)
        require(is_known, CODE, "a direction is in or out")

    @property
    def station_bytes(self) -> bytes:
        return bytes.fromhex(self.station)

    def to_document(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name).hex() for name in SIZES},
            "station": self.station,
            "direction": None if self.direction is None else self.direction.value,
        }


def place_of(document: object) -> TerminalPlace:
    """From a profile or from `[transit]` of `city.toml`; what is left out is zeros, what is
    unknown is refused."""
    require(isinstance(document, Mapping), CODE, "a place is an object")
    assert isinstance(document, Mapping)
    names = {*SIZES, "station", "direction"}
    require(document.keys() <= names, CODE, "a place has no such member")
    values: dict[str, Any] = dict(document)
    for name in SIZES.keys() & values.keys():
        values[name] = _hex(values[name], name)
    if values.get("direction") is not None:
        is_known = values["direction"] in ("in", "out")
        require(is_known, CODE, "a direction is in or out")
        values["direction"] = Direction(values["direction"])
    return TerminalPlace(**values)


def require_station(station: object) -> None:
    """Two bytes is what a journey record has room for."""
    is_fit = isinstance(station, str) and _STATION.fullmatch(station) is not None
    require(is_fit, CODE, "a station is 4 hexadecimal digits, upper case")


def require_fits(terms: ProfileTerms, place: TerminalPlace) -> None:
    """What a mode needs of its place: a gate its station and side, a barrier its side."""
    match terms.fare:
        case FlatFare():
            require(place.direction is not Direction.OUT, CODE, "a flat fare is paid going in")
        case MatrixFare() as fare:
            require(place.direction is not None, CODE, "a gate is an entry or an exit")
            for station in fare.stations:
                require_station(station)
            require(place.station in fare.stations, CODE, "the table lacks this station")
        case TimedFare():
            require(place.direction is not None, CODE, "a barrier is an entry or an exit")


def _hex(value: object, name: str) -> bytes:
    digits = 2 * SIZES[name]
    is_hex = isinstance(value, str) and re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", value)
    require(bool(is_hex), CODE, f"{name} is {digits} hexadecimal digits")
    return bytes.fromhex(str(value))
