"""What a receipt says of a fare: kind, full price and what was taken off. Knows no rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reader_bridge.amounts import format_yuan
from reader_bridge.faults import Language, Text

KINDS: Final[Mapping[str, Text]] = {
    "single": Text("乘车", "Ride"),
    "entry": Text("进站", "Entry"),
    "exit": Text("出站", "Exit"),
    "start": Text("开始计时", "Start"),
    "end": Text("结束计时", "End"),
    "purchase": Text("消费", "Purchase"),
}
TITLES: Final[Mapping[str, Text]] = {
    "full_fare_fen": Text("票价", "Full fare"),
    "concession_fen": Text("优惠", "Concession"),
    "transfer_fen": Text("换乘优惠", "Transfer"),
}
_KIND: Final = Text("类型", "Kind")
_YUAN: Final = Text("元", "CNY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fare:
    """What a ride, a stay or a hire cost and why; the receipt's `amount_fen` is what was taken.

    The full fare is that amount, the concession and the transfer together. `told` is for the
    holder; None where it was said before.
    """

    kind: str  # a RideKind's value
    full_fare_fen: int
    concession_fen: int = 0
    transfer_fen: int = 0
    told: Text | None = None

    def to_document(self) -> dict[str, Any]:
        """Without the words."""
        return {"kind": self.kind} | {name: getattr(self, name) for name in TITLES}

    def rows(self, language: Language) -> tuple[tuple[Text, str | None], ...]:
        """Lines of a printed receipt; what is nothing has no line."""
        kind = KINDS.get(self.kind, Text(self.kind, self.kind)).read(language)
        told = ((title, getattr(self, name)) for name, title in TITLES.items())
        unit = _YUAN.read(language)
        fens = ((title, f"{format_yuan(fen)} {unit}" if fen else None) for title, fen in told)
        return ((_KIND, kind), *fens)


def find_fare(document: object) -> Fare | None:
    """What `Fare.to_document` made; None for anything else."""
    if not isinstance(document, dict) or document.keys() != {"kind", *TITLES}:
        return None
    is_whole = all(type(document[name]) is int for name in TITLES)
    return Fare(**document) if is_whole and isinstance(document["kind"], str) else None
