"""How a mode treats what the fare alone does not say: data of a profile, with bounds. Pure.

The fares are `fares.py`'s, the place is `place.py`'s. Every reader and value raises
`MalformedBytes` "mode_rules_malformed".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Any, Final, TypeVar

from card_protocol.checks import U8_MAX, require, require_printable, require_whole
from card_protocol.fares import DAY_SECONDS, FARE_MAX_FEN

CODE: Final = "mode_rules_malformed"
AGAIN_SECONDS_MAX: Final = 600
CLOCK_SLACK_SECONDS_MAX: Final = 3_600
RIDE_SECONDS_MAX: Final = 2 * DAY_SECONDS
STAY_SECONDS_MAX: Final = 366 * DAY_SECONDS
TRANSFER_SECONDS_MAX: Final = DAY_SECONDS
CEILING_MAX_FEN: Final = 500_000  # the law's for any prepaid card
ITEMS_MAX: Final = 32

Value = TypeVar("Value")


@unique
class Remedy(StrEnum):
    """What to do about a ride that is not whole."""

    REFUSE = "refuse"
    MAXIMUM = "maximum"  # the table's highest fare, without concession
    TABLE = "table"  # as the table says


@unique
class Rounding(StrEnum):
    """To which side of a step a concession's remainder goes: `up` is dearer for the holder."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """Rides that are not whole. `entry_needs_fen` None: the highest fare from this station."""

    missing_entry: Remedy = Remedy.REFUSE
    entry_too_old: Remedy = Remedy.MAXIMUM
    entry_unknown: Remedy = Remedy.REFUSE
    double_entry: Remedy = Remedy.REFUSE
    same_station: Remedy = Remedy.TABLE
    ride_seconds_max: int = 4 * 3_600
    entry_needs_fen: int | None = None

    def __post_init__(self) -> None:
        for name in ("missing_entry", "entry_too_old", "entry_unknown", "double_entry"):
            is_fit = getattr(self, name) in {Remedy.REFUSE, Remedy.MAXIMUM}
            require(is_fit, CODE, f"{name} is refuse or maximum: no table tells that fare")
        require(isinstance(self.same_station, Remedy), CODE, "same_station")
        require_whole(self.ride_seconds_max, 60, RIDE_SECONDS_MAX, CODE, "ride_seconds_max")
        if self.entry_needs_fen is not None:
            require_whole(self.entry_needs_fen, 0, FARE_MAX_FEN, CODE, "entry_needs_fen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A ride soon after another paid one costs less, once, and not on the same line."""

    within_seconds: int
    discount_fen: int

    def __post_init__(self) -> None:
        require_whole(self.within_seconds, 1, TRANSFER_SECONDS_MAX, CODE, "within_seconds")
        require_whole(self.discount_fen, 1, FARE_MAX_FEN, CODE, "discount_fen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Concession:
    """What the holder of a kind of card pays, per cent of the fare, in whole steps."""

    pays_percent: int
    step_fen: int = 1
    rounds: Rounding = Rounding.DOWN

    def __post_init__(self) -> None:
        require_whole(self.pays_percent, 0, 100, CODE, "pays_percent")
        require_whole(self.step_fen, 1, 1_000, CODE, "step_fen")
        require(isinstance(self.rounds, Rounding), CODE, "rounds")

    def pays_fen(self, fare_fen: int) -> int:
        """The holder's part of a fare, never more than the fare."""
        steps, rest = divmod(fare_fen * self.pays_percent, 100 * self.step_fen)
        if rest and self.rounds is Rounding.UP:
            steps += 1
        return min(steps * self.step_fen, fare_fen)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadingRules:
    """What a loading post offers. A product it does not know has the lowest ceiling."""

    amounts_fen: tuple[int, ...] = (1_000, 2_000, 5_000, 10_000, 20_000)
    ceilings_fen: Mapping[str, int] = field(
        default_factory=lambda: {"main_card": 500_000, "secondary_card": 100_000}
    )

    def __post_init__(self) -> None:
        amounts = self.amounts_fen
        require(isinstance(amounts, tuple) and 0 < len(amounts) <= ITEMS_MAX, CODE, "amounts")
        for amount_fen in amounts:
            require_whole(amount_fen, 1, CEILING_MAX_FEN, CODE, "amounts_fen")
        require(tuple(sorted(set(amounts))) == amounts, CODE, "amounts rise")
        require(0 < len(self.ceilings_fen) <= ITEMS_MAX, CODE, "ceilings_fen")
        for product, ceiling_fen in self.ceilings_fen.items():
            require_printable(product, 1, 32, CODE, "a product")
            require_whole(ceiling_fen, 1, CEILING_MAX_FEN, CODE, "a ceiling")
        object.__setattr__(self, "ceilings_fen", MappingProxyType(dict(self.ceilings_fen)))

    def ceiling_fen(self, product: str | None) -> int:
        lowest_fen = min(self.ceilings_fen.values())
        return lowest_fen if product is None else self.ceilings_fen.get(product, lowest_fen)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeRules:
    """All a mode asks beside its fare. `concessions`: by the card type in file 17; none default."""

    again_seconds: int = 5  # the same card at the same terminal is the same tap
    clock_slack_seconds: int = 120  # how far two terminals' clocks may be apart
    stay_seconds_max: int = 30 * DAY_SECONDS
    transfer: Transfer | None = None
    concessions: Mapping[int, Concession] = field(default_factory=dict)
    gate: GateRules = field(default_factory=GateRules)
    loading: LoadingRules = field(default_factory=LoadingRules)

    def __post_init__(self) -> None:
        require_whole(self.again_seconds, 0, AGAIN_SECONDS_MAX, CODE, "again_seconds")
        slack, slack_max = self.clock_slack_seconds, CLOCK_SLACK_SECONDS_MAX
        require_whole(slack, 0, slack_max, CODE, "clock_slack_seconds")
        require_whole(self.stay_seconds_max, 60, STAY_SECONDS_MAX, CODE, "stay_seconds_max")
        require(len(self.concessions) <= ITEMS_MAX, CODE, "too many concessions")
        for card_type, concession in self.concessions.items():
            require_whole(card_type, 0, U8_MAX, CODE, "a card type")
            require(isinstance(concession, Concession), CODE, "a concession")
        object.__setattr__(self, "concessions", MappingProxyType(dict(self.concessions)))

    def to_document(self) -> dict[str, Any]:
        whole = ("again_seconds", "clock_slack_seconds", "stay_seconds_max")
        loading = self.loading
        return {
            **{name: getattr(self, name) for name in whole},
            "transfer": None if self.transfer is None else _members(self.transfer),
            "concessions": [
                {"card_type": card_type, **_members(one)}
                for card_type, one in sorted(self.concessions.items())
            ],
            "gate": _members(self.gate),
            "loading": {
                "amounts_fen": list(loading.amounts_fen),
                "ceilings_fen": dict(loading.ceilings_fen),
            },
        }


def mode_rules_of(document: Mapping[str, Any]) -> ModeRules:
    """What is left out has its default, what is unknown is refused. Raises `MalformedBytes`."""
    values = _known(document, ModeRules)
    if values.get("transfer") is not None:
        values["transfer"] = _made(Transfer, _known(values["transfer"], Transfer))
    if "concessions" in values:
        values["concessions"] = _concessions(values["concessions"])
    if "gate" in values:
        gate = _known(values["gate"], GateRules)
        remedies = {name: _one_of(Remedy, gate[name]) for name in gate if name in _REMEDIES}
        values["gate"] = GateRules(**(gate | remedies))
    if "loading" in values:
        loading = _known(values["loading"], LoadingRules)
        if "amounts_fen" in loading:
            loading["amounts_fen"] = tuple(_list(loading["amounts_fen"]))
        if "ceilings_fen" in loading:
            require(isinstance(loading["ceilings_fen"], Mapping), CODE, "ceilings by product")
        values["loading"] = LoadingRules(**loading)
    return ModeRules(**values)


_REMEDIES: Final = frozenset(
    {"missing_entry", "entry_too_old", "entry_unknown", "double_entry", "same_station"}
)


def _concessions(items: object) -> dict[int, Concession]:
    found: dict[int, Concession] = {}
    for item in _list(items):
        require(isinstance(item, Mapping) and "card_type" in item, CODE, "a concession's card type")
        card_type = item["card_type"]
        require_whole(card_type, 0, U8_MAX, CODE, "a card type")
        require(card_type not in found, CODE, "a card type is named twice")
        rest = {name: value for name, value in item.items() if name != "card_type"}
        values = _known(rest, Concession)
        if "rounds" in values:
            values["rounds"] = _one_of(Rounding, values["rounds"])
        found[card_type] = _made(Concession, values)
    return found


def _made(kind: type[Value], values: Mapping[str, Any]) -> Value:
    try:
        return kind(**values)
    except TypeError:
        require(False, CODE, f"{kind.__name__} lacks a member")
        raise


def _known(document: object, kind: type) -> dict[str, Any]:
    require(isinstance(document, Mapping), CODE, f"{kind.__name__} is an object")
    assert isinstance(document, Mapping)
    names = set(kind.__dataclass_fields__)  # type: ignore[attr-defined]  # called with dataclasses
    require(document.keys() <= names, CODE, f"{kind.__name__} has no such member")
    return dict(document)


def _list(value: object) -> list[Any]:
    is_short = isinstance(value, list) and len(value) <= ITEMS_MAX
    require(is_short, CODE, "a short list is expected")
    assert isinstance(value, list)
    return value


def _one_of(kind: type[StrEnum], value: object) -> Any:
    is_known = isinstance(value, str) and value in {one.value for one in kind}
    require(is_known, CODE, f"unknown {kind.__name__}")
    return kind(str(value))


def _members(one: Any) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in one.__dataclass_fields__}
    return {
        name: value.value if isinstance(value, StrEnum) else value for name, value in values.items()
    }
