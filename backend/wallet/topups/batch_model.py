"""An employer's batch as facts: announced, filled, checked whole, approved by another. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from backend.kernel import AmountRange, DomainError, Kind, Words, is_id
from backend.kernel.fen import AMOUNT_MAX_FEN

LINES_MAX = 10_000
PART_MAX = 400
REFERENCE_MAX = 64


class BatchState(Enum):
    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    DONE = "done"


class BatchEvent(Enum):
    FILL = "fill"
    SUBMIT = "submit"
    APPROVE = "approve"
    REJECT = "reject"
    FINISH = "finish"


FLOW: Mapping[tuple[BatchState, BatchEvent], BatchState] = {
    (BatchState.DRAFT, BatchEvent.FILL): BatchState.DRAFT,
    (BatchState.DRAFT, BatchEvent.SUBMIT): BatchState.SUBMITTED,
    (BatchState.DRAFT, BatchEvent.REJECT): BatchState.REJECTED,
    (BatchState.SUBMITTED, BatchEvent.APPROVE): BatchState.APPROVED,
    (BatchState.SUBMITTED, BatchEvent.REJECT): BatchState.REJECTED,
    (BatchState.APPROVED, BatchEvent.FINISH): BatchState.DONE,
}


class BatchUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "batch_unknown"
    title = Words(zh="没有这个批次", en="No such batch")
    detail = Words(zh="未找到该充值批次。", en="There is no such batch of top-ups.")


class BatchExists(DomainError):
    kind, code = Kind.CONFLICT, "batch_exists"
    title = Words(zh="批次编号已使用", en="Batch id in use")
    detail = Words(zh="此编号已用于另一批次。", en="This id belongs to another batch.")


class BatchStateConflict(DomainError):
    kind, code = Kind.CONFLICT, "batch_state_conflict"
    title = Words(zh="批次状态不符", en="The batch is in another state")
    detail = Words(zh="批次状态为 {state}，不能 {event}。", en="{event}: the batch is {state}.")


class BatchInvalid(DomainError):
    """Every fault of a part or of the whole, each with its line; nothing was kept or posted.

    `faults`: line (0: the batch itself), field, fault (stable word).
    """

    kind, code = Kind.INVALID, "batch_invalid"
    title = Words(zh="批次有误", en="The batch has faults")
    detail = Words(zh="共有 {count} 处错误。", en="There are {count} faults.")

    def __init__(self, faults: Iterable[Fault]) -> None:
        listed = [{"line": one.line, "field": one.field, "fault": one.fault} for one in faults]
        super().__init__(count=len(listed), faults=listed)


@dataclass(frozen=True, slots=True)
class Fault:
    line: int
    field: str
    fault: str


@dataclass(frozen=True, slots=True)
class Line:
    """One person's top-up: `reference` is the employer's own, unique in the batch."""

    number: int
    wallet_id: str
    amount_fen: int
    reference: str


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """The command: what is going to come, as the employer announced it."""

    batch_id: str
    employer: str
    lines: int
    total_fen: int
    staff: str


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch and how far it is. `refused_fen` was not funded: it is owed to the employer."""

    batch_id: str
    employer: str
    state: BatchState
    lines: int
    total_fen: int
    waiting: int
    posted: int
    posted_fen: int
    refused: int
    refused_fen: int
    uploaded_by: str
    decided_by: str | None
    created_at: datetime
    decided_at: datetime | None
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class LineResult:
    """What became of a line; `code`: why it was refused."""

    number: int
    wallet_id: str
    amount_fen: int
    reference: str
    state: str
    code: str | None


def advance(state: BatchState, event: BatchEvent) -> BatchState:
    """The only way a batch changes state. Raises BatchStateConflict."""
    try:
        return FLOW[state, event]
    except KeyError:
        raise BatchStateConflict(state=state.value, event=event.value) from None


def read_lines(first: int, raw: Iterable[object]) -> list[Line]:
    """The lines of a part, numbered from `first`. Raises BatchInvalid naming all that is wrong."""
    faults: list[Fault] = []
    lines = []
    for number, one in enumerate(raw, start=first):
        found = list(_faults_of(number, one))
        faults += found
        if not found:
            assert isinstance(one, Mapping)
            lines.append(Line(number, one["wallet_id"], one["amount_fen"], one["reference"]))
    if faults:
        raise BatchInvalid(faults)
    return lines


def _faults_of(number: int, one: object) -> Iterable[Fault]:
    if not isinstance(one, Mapping):
        yield Fault(number, "line", "not_an_object")
        return
    names = {"wallet_id", "amount_fen", "reference"}
    yield from (Fault(number, name, "missing") for name in sorted(names - set(one)))
    if set(one) - names:
        yield Fault(number, "line", "unknown_field")
    yield from (
        Fault(number, name, "invalid")
        for name, is_good in _CHECKS.items()
        if name in one and not is_good(one[name])
    )


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= REFERENCE_MAX


def _is_amount(value: Any) -> bool:
    return type(value) is int and 0 < value <= AMOUNT_MAX_FEN


_CHECKS = {
    "wallet_id": lambda value: isinstance(value, str) and is_id(value, "wal"),
    "amount_fen": _is_amount,
    "reference": _is_reference,
}


def faults_of_whole(
    lines: Iterable[Line],
    *,
    announced: int,
    total_fen: int,
    known_wallets: frozenset[str],
    amounts: AmountRange,
) -> list[Fault]:
    """Everything wrong with a batch that is complete in form; line 0 is the batch itself."""
    by_number = {one.number: one for one in lines}
    faults = [
        Fault(number, "line", "missing")
        for number in range(1, announced + 1)
        if number not in by_number
    ]
    faults += [Fault(number, "line", "not_announced") for number in by_number if number > announced]
    if sum(one.amount_fen for one in by_number.values()) != total_fen:
        faults.append(Fault(0, "total_fen", "differs"))
    first_of: dict[str, int] = {}
    for number, line in sorted(by_number.items()):
        if not amounts.minimum_fen <= line.amount_fen <= amounts.maximum_fen:
            faults.append(Fault(number, "amount_fen", "out_of_range"))
        if line.wallet_id not in known_wallets:
            faults.append(Fault(number, "wallet_id", "unknown"))
        if first_of.setdefault(line.reference, number) != number:
            faults.append(Fault(number, "reference", "repeated"))
    return sorted(faults, key=lambda one: (one.line, one.field))
