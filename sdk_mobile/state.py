"""What the phone remembers between two starts, as one document. Knows nothing of the network."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from sdk_mobile.errors import StorageDamaged
from sdk_mobile.models import Account, Device, History, Person, PhoneCard, TopUp
from sdk_mobile.shapes import decode, encode
from sdk_mobile.storage import Storage

T = TypeVar("T")

STATE, HISTORY = "state", "history"
OPERATIONS_MAX = 16  # one of each kind can be open, and there are fewer kinds
TOP_UPS_MAX = 50
CARDS_MAX = 20


class Kind(StrEnum):
    """What the phone may have open with the backend: at most one of each kind."""

    LOG_IN = "log_in"
    REFRESH = "refresh"
    OPEN_WALLET = "open_wallet"
    ENROL_DEVICE = "enrol_device"
    ADD_SM2_KEY = "add_sm2_key"
    PROVISION_CARD = "provision_card"
    REFILL_KEYS = "refill_keys"
    MOVE_CARD = "move_card"
    CONFIRM_CARD = "confirm_card"
    TOP_UP = "top_up"
    PAY = "pay"
    LOSS = "loss"  # report and release are one kind: the later wish takes the earlier's place


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof inside an operation's body: whom it speaks to, its jti, when it was made."""

    audience: str
    jti: str
    issued_at: int


@dataclass(frozen=True, slots=True)
class Operation:
    """A request exactly as it goes out, stored before it does. `operation_id` is the phone's.

    `is_resumed` is stored before it is sent for a second time: from then on only an answer ends it.
    """

    operation_id: str
    kind: str
    path: str
    body: str = field(repr=False)
    idempotency_key: str
    proof: Proof | None = None
    is_resumed: bool = False


@dataclass(frozen=True, slots=True)
class Challenge:
    """A one-time code was sent to this phone number."""

    challenge_id: str
    phone: str
    expires_at: datetime | None = None  # not in what an older app wrote
    resend_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """Tokens of the log-in; `access_ends_at` is the backend's time, unix seconds."""

    session_id: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    access_ends_at: float


@dataclass(frozen=True, slots=True)
class State:
    """Everything but keys, counters and the statement's lines."""

    phone: str | None = None
    challenge: Challenge | None = None
    session: Session | None = None
    person: Person | None = None
    account: Account | None = None
    account_as_of: datetime | None = None
    device: Device | None = None
    card: PhoneCard | None = None
    cards: tuple[PhoneCard, ...] = ()  # the person's, on other phones too, as last told
    operations: tuple[Operation, ...] = ()
    top_ups: tuple[TopUp, ...] = ()
    clock_skew_seconds: float = 0.0
    clock_read_seconds: float | None = None  # what the phone's clock showed then

    def find_operation(self, kind: Kind) -> Operation | None:
        return next((one for one in self.operations if one.kind == kind), None)

    def holds_resumed(self, operation: Operation) -> bool:
        """True when somebody else may have sent the operation too."""
        return any(
            one.is_resumed for one in self.operations if one.operation_id == operation.operation_id
        )

    def with_operation(self, operation: Operation) -> State:
        """Stores an operation; it takes the place of an earlier form of the same kind."""
        others = tuple(one for one in self.operations if one.kind != operation.kind)
        assert len(others) < OPERATIONS_MAX
        return replace(self, operations=(*others, operation))

    def without_operation(self, operation: Operation) -> State:
        others = tuple(one for one in self.operations if one.operation_id != operation.operation_id)
        return replace(self, operations=others)

    def with_top_up(self, top_up: TopUp) -> State:
        """Remembers a top-up, newest last; settled ones are forgotten first."""
        others = [one for one in self.top_ups if one.topup_id != top_up.topup_id]
        others.append(top_up)
        while len(others) > TOP_UPS_MAX:
            others.remove(next((one for one in others if one.is_settled), others[0]))
        return replace(self, top_ups=tuple(others))


class StateDocument:
    """The state in storage. Every change is read, decided and written under the store's lock."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def read(self) -> State:
        """Raises StorageDamaged naming the document."""
        raw = self._storage.read(STATE)
        return State() if raw is None else _decoded(State, raw, self._storage.describe(STATE))

    def change(self, decide: Callable[[State], State]) -> State:
        """Writes what `decide` returns, durably, and returns it. `decide` may refuse by raising."""
        with self._storage.exclusive():
            before = self.read()
            after = decide(before)
            if after != before:
                self._storage.write(STATE, _encoded(after))
            return after

    def read_history(self) -> History | None:
        raw = self._storage.read(HISTORY)
        return None if raw is None else _decoded(History, raw, self._storage.describe(HISTORY))

    def write_history(self, history: History) -> None:
        self._storage.write(HISTORY, _encoded(history))


def _encoded(value: object) -> bytes:
    return json.dumps(encode(value), ensure_ascii=False, separators=(",", ":")).encode()


def _decoded(cls: type[T], raw: bytes, place: str) -> T:
    try:
        return decode(cls, json.loads(raw))
    except ValueError as error:
        raise StorageDamaged(place, str(error)) from None
