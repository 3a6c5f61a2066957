"""What kind of place this terminal stands at, as a till and a page need it; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from card_protocol.fares import FlatFare
from card_protocol.place import Direction
from card_protocol.terminal_profile import Mode

STANDING: Final = frozenset({Mode.BUS, Mode.GATE, Mode.PARKING, Mode.BICYCLE})


@dataclass(frozen=True, slots=True)
class Post:
    """`fare_fen`: the flat fare; None where each tap has its own. `direction`: a gate's, entry or
    exit. `load_amounts_fen`: what a loading post offers, rising."""

    mode: Mode = Mode.SHOP
    fare_fen: int | None = None
    direction: Literal["entry", "exit"] | None = None
    load_amounts_fen: tuple[int, ...] = ()

    @property
    def is_standing(self) -> bool:
        """Every card is served, and nobody presses a key."""
        return self.mode in STANDING


def fare_fen_of(fare: object) -> int | None:
    return fare.amount_fen if isinstance(fare, FlatFare) else None


def direction_of(told: Direction | None) -> Literal["entry", "exit"] | None:
    """Which way a gate or barrier is used; None where both, or where there is no such thing."""
    if told is None:
        return None
    return "entry" if told is Direction.IN else "exit"
