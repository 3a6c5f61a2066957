"""The order being served and the last results; knows no thread and no reader."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Final

from reader_bridge.acceptance.order import Order
from reader_bridge.faults import Fault, TerminalFault, Text
from reader_bridge.till.channel import Gate
from reader_bridge.till.model import RESTARTABLE, Result, ResultState
from reader_bridge.till.post import Post

RESULTS_MAX: Final = 200


@dataclass(slots=True)
class Active:
    """The one order being served. Guarded by the till's lock."""

    order: Order
    full_fare_fen: int | None
    deadline: float | None  # of the clock's `elapsed`; None waits for ever (a validator)
    is_torn: bool = False
    gate: Gate = field(default_factory=Gate)
    is_served: bool = False  # a card or code is with the acceptor right now
    post: Post | None = None  # of a standing order that nobody asked for
    pin: bytes | None = field(default=None, repr=False)  # of the next tap, and of no other

    @property
    def is_standing(self) -> bool:
        return self.post is not None

    def take_order(self) -> Order:
        """The order as the acceptor gets it: with the PIN, which is forgotten here."""
        pin, self.pin = self.pin, None
        return self.order if pin is None else replace(self.order, pin=pin)

    def open_result(self, code: str, message: Text) -> Result:
        return Result(self.order, ResultState.OPEN, code, message, None, self.full_fare_fen)


class Results:
    """The last results by reference, oldest forgotten first. Guarded by the till's lock."""

    def __init__(self) -> None:
        self._by_reference: OrderedDict[str, Result] = OrderedDict()

    def keep(self, result: Result) -> None:
        self._by_reference[result.order.reference] = result
        self._by_reference.move_to_end(result.order.reference)
        while len(self._by_reference) > RESULTS_MAX:
            self._by_reference.popitem(last=False)

    def find(self, reference: str) -> Result | None:
        return self._by_reference.get(reference)

    def newest(self, limit: int) -> tuple[Result, ...]:
        return tuple(reversed(self._by_reference.values()))[:limit]


def require_same(known: Order, wanted: Order) -> None:
    """Raises TerminalFault(reference_used_differently) that names the field."""
    for name in ("kind", "amount_fen", "funding"):
        if getattr(known, name) != getattr(wanted, name):
            raise TerminalFault(
                "reference_used_differently",
                reference=wanted.reference,
                field=name.removesuffix("_fen"),
            )


def is_final(result: Result) -> bool:
    """Whether the same reference hears this again, without another look at the journal."""
    return result.state not in RESTARTABLE and result.state is not ResultState.UNKNOWN


def text_of(fault: Fault) -> Text:
    """A fault's words with its data filled in; what stays in braces is no placeholder."""
    return plain(fault.text("zh-CN"), fault.text("en"))


def plain(zh: str, en: str) -> Text:
    return Text(*(words.replace("{", "{{").replace("}", "}}") for words in (zh, en)))
