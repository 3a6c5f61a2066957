"""Which cards there are to hold to a simulated reader, as facts; starts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from reader_bridge.amounts import parse_yuan
from reader_bridge.faults import TerminalFault

ARGUMENTS_MAX: Final = 32
PORT: Final = "{port}"
BALANCE_FEN: Final = 5_000


class CardRefused(ValueError):
    """A card that cannot be made as it is described; the text says why."""


class Kind(StrEnum):
    """What answers the terminal."""

    PLASTIC = "plastic"  # an e-purse
    PHONE = "phone"  # a mobile card
    BOTH = "both"  # a phone that carries both
    RECORDING = "recording"  # a recorded tap, to the byte
    PROGRAM = "program"  # a card of your own that dials a virtual reader (vpcd)
    FOREIGN = "foreign"  # no application this terminal knows
    SILENT = "silent"  # no answer
    NOISE = "noise"  # answers that mean nothing
    MORE = "more"  # "61FF": there is more, for ever
    AGAIN = "again"  # "6C00": say it again with another length, for ever


PURSES: Final = frozenset({Kind.PLASTIC, Kind.BOTH})
OUR_CARDS: Final = frozenset({Kind.PLASTIC, Kind.PHONE, Kind.BOTH})
_MEMBERS: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        Kind.PLASTIC: "balance",
        Kind.BOTH: "balance",
        Kind.RECORDING: "file",
        Kind.PROGRAM: "command",
    }
)


@dataclass(frozen=True, slots=True)
class CardSpec:
    """`balance_fen` belongs to purses, `file` to recordings, `command` to programs."""

    kind: Kind
    balance_fen: int = 0
    file: Path | None = None
    command: tuple[str, ...] = ()


BUILT_IN: Final[Mapping[str, CardSpec]] = MappingProxyType(
    {
        kind.value: CardSpec(kind, BALANCE_FEN if kind in PURSES else 0)
        for kind in Kind
        if kind not in {Kind.RECORDING, Kind.PROGRAM}
    }
)


def spec_of(name: str, table: Any, folder: Path) -> CardSpec:
    """From a table of a scenario; a relative `file` lies beside the scenario. Raises CardRefused"""
    if not isinstance(table, dict) or table.get("kind") not in set(Kind):
        raise CardRefused(f"card '{name}': `kind` is one of {', '.join(Kind)}")
    kind = Kind(table["kind"])
    member = _MEMBERS.get(kind)
    unknown = sorted(set(table) - {"kind", member})
    if unknown:
        raise CardRefused(f"card '{name}': unknown: {', '.join(unknown)}")
    value = None if member is None else table.get(member)
    if kind in PURSES:
        return CardSpec(kind, BALANCE_FEN if value is None else _fen(name, value))
    if kind is Kind.RECORDING:
        if not isinstance(value, str):
            raise CardRefused(f"card '{name}': `file` is the recording's path")
        return CardSpec(kind, file=folder / value)
    if kind is Kind.PROGRAM:
        return CardSpec(kind, command=_command(name, value))
    return CardSpec(kind)


def _fen(name: str, value: Any) -> int:
    try:
        return parse_yuan(value if isinstance(value, str) else "")
    except TerminalFault:
        raise CardRefused(f"card '{name}': `balance` is a text like \"50.00\"") from None


def _command(name: str, value: Any) -> tuple[str, ...]:
    is_list = isinstance(value, list) and 0 < len(value) <= ARGUMENTS_MAX
    if not is_list or not all(isinstance(one, str) for one in value):
        raise CardRefused(f"card '{name}': `command` is a list of 1 to {ARGUMENTS_MAX} texts")
    if not any(PORT in one for one in value):
        raise CardRefused(f"card '{name}': `command` names {PORT}, where it has to dial")
    return tuple(value)
