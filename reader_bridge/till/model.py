"""What the till is doing and what its screen shows: pure values and one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

from reader_bridge.acceptance.order import Order, OrderKind
from reader_bridge.faults import Text
from reader_bridge.receipt import Receipt

BALANCE_UNKNOWN: Final = "unknown"
Balance = int | Literal["unknown"]


class Stage(Enum):
    IDLE = "idle"
    WAITING = "waiting"  # for a card or code
    READING = "reading"  # the card is spoken to: hold still
    AGAIN = "again"  # the same card once more: money may have moved
    ASKING = "asking"  # the backend; the card may go
    DONE = "done"


class StageEvent(Enum):
    START = "start"
    RESUME = "resume"  # an order that an earlier run left torn
    PRESENT = "present"
    ASK = "ask"
    LOSE = "lose"  # a reader fault, nothing happened
    TEAR = "tear"  # a reader fault, money may have moved
    FINISH = "finish"
    CANCEL = "cancel"
    EXPIRE = "expire"
    CLEAR = "clear"


FLOW: Final[Mapping[tuple[Stage, StageEvent], Stage]] = {
    (Stage.IDLE, StageEvent.START): Stage.WAITING,
    (Stage.IDLE, StageEvent.RESUME): Stage.AGAIN,
    (Stage.DONE, StageEvent.START): Stage.WAITING,
    (Stage.DONE, StageEvent.RESUME): Stage.AGAIN,
    (Stage.DONE, StageEvent.CLEAR): Stage.IDLE,
    (Stage.WAITING, StageEvent.CLEAR): Stage.IDLE,  # a standing order gives way
    (Stage.WAITING, StageEvent.PRESENT): Stage.READING,
    (Stage.WAITING, StageEvent.CANCEL): Stage.DONE,
    (Stage.WAITING, StageEvent.EXPIRE): Stage.DONE,
    (Stage.AGAIN, StageEvent.PRESENT): Stage.READING,
    (Stage.AGAIN, StageEvent.EXPIRE): Stage.DONE,
    (Stage.AGAIN, StageEvent.CANCEL): Stage.DONE,  # set aside: money may have moved
    (Stage.READING, StageEvent.ASK): Stage.ASKING,
    (Stage.READING, StageEvent.LOSE): Stage.WAITING,
    (Stage.READING, StageEvent.TEAR): Stage.AGAIN,
    (Stage.READING, StageEvent.FINISH): Stage.DONE,
    (Stage.READING, StageEvent.CANCEL): Stage.DONE,  # while the gate is open: see channel.py
    (Stage.ASKING, StageEvent.LOSE): Stage.WAITING,
    (Stage.ASKING, StageEvent.TEAR): Stage.AGAIN,
    (Stage.ASKING, StageEvent.FINISH): Stage.DONE,
}


class StageRefused(Exception):
    """The till was to move in a way FLOW does not know: a bug in the caller."""


def advance(stage: Stage, event: StageEvent) -> Stage:
    """The only way a stage changes. Raises StageRefused."""
    try:
        return FLOW[stage, event]
    except KeyError:
        raise StageRefused(f"{event.value} is not possible when {stage.value}") from None


class Signal(Enum):
    """What light and sound tell."""

    NONE = "none"
    OK = "ok"
    NO = "no"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class CardShown:
    """Which card answered, where, and how long each step took (milliseconds)."""

    reader: str
    aid: bytes | None = None  # of the last application selected
    application: str | None = None
    steps: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Screen:
    """Everything a display needs; `version` changes with every change."""

    version: int = 1
    stage: Stage = Stage.IDLE
    order: Order | None = None
    amount_fen: int | None = None
    full_fare_fen: int | None = None
    concession_fen: int | None = None
    balance: Balance = BALANCE_UNKNOWN
    code: str = "ready"
    message: Text = field(default_factory=lambda: Text("", ""))
    signal: Signal = Signal.NONE
    card: CardShown | None = None
    receipt: Receipt | None = None


class ResultState(Enum):
    """How an order stands, in the register's words."""

    OPEN = "open"
    PAID = "paid"
    READ = "read"  # a balance
    LOADED = "loaded"  # the money is on the card
    RETURNED = "returned"  # it is not, and goes back
    REFUSED = "refused"
    REVERSED = "reversed"
    UNKNOWN = "unknown"  # money may have moved: ask again
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    FAILED = "failed"  # the terminal could not do it, nothing was charged


# Nothing was charged and nothing was judged: the reference may be used again.
RESTARTABLE: Final = frozenset({ResultState.CANCELLED, ResultState.TIMED_OUT, ResultState.FAILED})
SIGNALS: Final[Mapping[ResultState, Signal]] = {
    ResultState.OPEN: Signal.NONE,
    ResultState.PAID: Signal.OK,
    ResultState.READ: Signal.OK,
    ResultState.LOADED: Signal.OK,
    ResultState.RETURNED: Signal.NO,
    ResultState.REFUSED: Signal.NO,
    ResultState.REVERSED: Signal.NO,
    ResultState.UNKNOWN: Signal.AGAIN,
    ResultState.CANCELLED: Signal.NONE,
    ResultState.TIMED_OUT: Signal.NONE,
    ResultState.FAILED: Signal.NO,
}


@dataclass(frozen=True, slots=True)
class Result:
    """How one order stands, for the register."""

    order: Order
    state: ResultState
    code: str
    message: Text
    receipt: Receipt | None = None
    full_fare_fen: int | None = None

    @property
    def signal(self) -> Signal:
        return SIGNALS[self.state]


TORN: Final = "intended"  # only the same card can tell
# Receipt outcomes by their public value: a receipt may learn new ones before the till does.
_STATES: Final[Mapping[str, ResultState]] = {
    "captured": ResultState.PAID,
    "accepted": ResultState.PAID,
    "posted": ResultState.PAID,
    "passed": ResultState.PAID,  # nothing to pay, or paid a moment ago: green
    "held": ResultState.REFUSED,  # the same card again at a gate: it stays shut
    "loaded": ResultState.LOADED,
    "returned": ResultState.RETURNED,
    "refused": ResultState.REFUSED,
    "reversed": ResultState.REVERSED,
    "dropped": ResultState.FAILED,  # torn, and the card proved that it did not pay
}
_CODES: Final[Mapping[ResultState, str]] = {
    ResultState.PAID: "paid",
    ResultState.READ: "balance_read",
    ResultState.LOADED: "loaded",
    ResultState.RETURNED: "load_returned",
    ResultState.REFUSED: "refused",
    ResultState.REVERSED: "reversed",
    ResultState.UNKNOWN: "outcome_unknown",
    ResultState.FAILED: "not_charged",
}


def state_of(order: Order, receipt: Receipt) -> ResultState:
    """An outcome we do not know counts as unknown, never as paid or free."""
    state = _STATES.get(receipt.outcome.value, ResultState.UNKNOWN)
    if order.kind is OrderKind.BALANCE and state is not ResultState.REFUSED:
        return ResultState.READ  # a balance moves no money
    return state


def result_of(
    order: Order, receipt: Receipt, messages: Mapping[str, Text], full_fare_fen: int | None = None
) -> Result:
    """What a receipt means for the register; a refusal brings its own words."""
    state = state_of(order, receipt)
    code, refusal = _CODES[state], receipt.refusal
    message = messages[code]
    if refusal is not None and state is ResultState.REFUSED:
        code, message = refusal.code, refusal.text
    elif receipt.told is not None:  # what a ride cost, "go in", "paid already"
        message = receipt.told
    return Result(order, state, code, message, receipt, full_fare_fen)
