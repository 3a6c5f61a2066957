"""What a ride, a stay or a hire costs, as data of a terminal's profile; all in fen. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from card_protocol.checks import require, require_printable, require_whole

CODE = "fare_malformed"
FARE_MAX_FEN = 1_000_000
STATIONS_MAX = 256
STATION_CHARACTERS_MAX = 16
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class FlatFare:
    """One price a ride: buses. Raises `MalformedBytes` "fare_malformed"."""

    amount_fen: int

    def __post_init__(self) -> None:
        _require_fen(self.amount_fen, "amount_fen")

    def to_document(self) -> dict[str, Any]:
        return {"kind": "flat", "amount_fen": self.amount_fen}


@dataclass(frozen=True, slots=True)
class MatrixFare:
    """A price from each station to each: metro. `fen_by_stations[entry][exit]`, stations in order.

    Raises `MalformedBytes` "fare_malformed".
    """

    stations: tuple[str, ...]
    fen_by_stations: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        count = len(self.stations)
        require(1 <= count <= STATIONS_MAX, CODE, f"1 to {STATIONS_MAX} stations")
        require(len(set(self.stations)) == count, CODE, "a station is named twice")
        for station in self.stations:
            require_printable(station, 1, STATION_CHARACTERS_MAX, CODE, "a station")
        is_square = all(len(row) == count for row in self.fen_by_stations)
        require(len(self.fen_by_stations) == count and is_square, CODE, "a row for each station")
        for row in self.fen_by_stations:
            for amount_fen in row:
                _require_fen(amount_fen, "fen_by_stations")

    @property
    def highest_fen(self) -> int:
        """What is owed when nobody knows where the ride began."""
        return max(max(row) for row in self.fen_by_stations)

    def fare_fen(self, entry: str, leaving: str) -> int:
        """Raises `MalformedBytes` for a station that is not in the list."""
        require({entry, leaving} <= set(self.stations), CODE, "no such station")
        return self.fen_by_stations[self.stations.index(entry)][self.stations.index(leaving)]

    def to_document(self) -> dict[str, Any]:
        rows = [list(row) for row in self.fen_by_stations]
        return {"kind": "matrix", "stations": list(self.stations), "fen_by_stations": rows}


@dataclass(frozen=True, slots=True)
class TimedFare:
    """A price for each started unit, after free minutes, with a cap a day: parking, bicycles.

    A day is 24 hours from the start. Free seconds are given once, at the start of the stay; a stay
    no longer than they are costs nothing. Raises `MalformedBytes` "fare_malformed".
    """

    unit_seconds: int
    unit_fen: int
    free_seconds: int
    day_max_fen: int

    def __post_init__(self) -> None:
        require_whole(self.unit_seconds, 60, DAY_SECONDS, CODE, "unit_seconds")
        require_whole(self.free_seconds, 0, DAY_SECONDS, CODE, "free_seconds")
        _require_fen(self.unit_fen, "unit_fen")
        _require_fen(self.day_max_fen, "day_max_fen")

    def fare_fen(self, seconds: int) -> int:
        """What a stay of so many seconds costs. Raises `MalformedBytes` below 0."""
        require_whole(seconds, 0, 10 * 366 * DAY_SECONDS, CODE, "seconds")
        days, rest = divmod(seconds, DAY_SECONDS)
        total = 0
        if days:
            total += self._within_day_fen(DAY_SECONDS, self.free_seconds)
            total += (days - 1) * self._within_day_fen(DAY_SECONDS, 0)
        return total + self._within_day_fen(rest, 0 if days else self.free_seconds)

    def _within_day_fen(self, seconds: int, free_seconds: int) -> int:
        paid_seconds = max(0, seconds - free_seconds)
        return min(-(-paid_seconds // self.unit_seconds) * self.unit_fen, self.day_max_fen)

    def to_document(self) -> dict[str, Any]:
        names = ("unit_seconds", "unit_fen", "free_seconds", "day_max_fen")
        return {"kind": "timed", **{name: getattr(self, name) for name in names}}


Fare = FlatFare | MatrixFare | TimedFare


def fare_of(document: Mapping[str, Any]) -> Fare:
    """From a profile or from `city.toml`. Raises `MalformedBytes` "fare_malformed"."""
    require(isinstance(document, Mapping), CODE, "a fare is an object")
    members = {name: value for name, value in document.items() if name != "kind"}
    match document.get("kind"):
        case "flat" if members.keys() == {"amount_fen"}:
            return FlatFare(**members)
        case "matrix" if members.keys() == {"stations", "fen_by_stations"}:
            stations, rows = (_sequence(members[name]) for name in ("stations", "fen_by_stations"))
            return MatrixFare(stations, tuple(_sequence(row) for row in rows))
        case "timed" if members.keys() == set(TimedFare.__dataclass_fields__):
            return TimedFare(**members)
    require(False, CODE, "flat, matrix or timed, with its own members")
    raise AssertionError


def _sequence(value: object) -> tuple[Any, ...]:
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    require(is_list, CODE, "a list is expected")
    return tuple(value)  # type: ignore[arg-type]  # required above


def _require_fen(value: object, name: str) -> None:
    require_whole(value, 0, FARE_MAX_FEN, CODE, name)
