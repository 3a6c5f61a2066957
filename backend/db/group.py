"""Group commit: commands that arrive together are decided in order and committed at once.

The first to come leads: it takes everybody who waits, runs one transaction, and hands each its
own answer after the commit. Who comes meanwhile is led by the first of them. Knows no SQL.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import structlog

from backend.db import answers
from backend.db.engines import DatabaseUnavailable
from backend.db.operations import AnsweredBefore, DryRun, Operation, OperationRunning
from backend.db.rows import Rows
from backend.kernel import Clock, DomainError

log = structlog.get_logger(__name__)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

BATCH_MAX = 500
QUEUE_MAX = 5_000
WAIT_SECONDS_MAX = 30.0
ROUNDS_MAX = 4


class Decision(Protocol[T_co]):
    """One command: names the rows it reads, then decides over them; it may be asked again."""

    def needs(self, rows: Rows) -> bool:
        """Want the rows `decide` will read; True when more can be named once these are there."""

    def decide(self, rows: Rows) -> T_co | DomainError:
        """All refusals first, then the changes.

        A refusal raised forgets what was changed; one returned is kept with its changes.
        """


@dataclass(frozen=True, slots=True)
class Decide(Generic[T]):
    """A decision made of two functions; see `Decision`."""

    needs: Callable[[Rows], bool]
    decide: Callable[[Rows], T | DomainError]


@dataclass(slots=True, eq=False)
class Ticket(Generic[T]):
    """One command waiting for its answer; `operation` is the caller's name for it, if any."""

    decision: Decision[T]
    operation: Operation | None = None
    outcome: T | BaseException | None = None
    is_done: bool = False
    leads: bool = False  # called to lead the next batch
    called: threading.Lock | None = None  # held while it waits

    def finish(self, outcome: T | BaseException) -> None:
        self.outcome, self.is_done = outcome, True

    def call(self) -> None:
        """Wake who waits for it."""
        assert self.called is not None
        self.called.release()

    def wait(self, seconds: float) -> bool:
        """Whether it was called in time."""
        assert self.called is not None
        return self.called.acquire(timeout=seconds)

    def result(self) -> T:
        """The answer, or what was raised for it."""
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome  # type: ignore[return-value]


Settle = Callable[[Sequence[Ticket[Any]]], None]
"""Decides, commits and finishes every ticket it is given, each with an answer of its own."""


@dataclass(slots=True)
class GroupCommit:
    """The queue of one database in one process. `lanes`: how many batches may be under way."""

    settle: Settle
    lanes: int = 1
    batch_max: int = BATCH_MAX
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _queue: deque[Ticket[Any]] = field(default_factory=deque)
    _leaders: int = 0

    def run(self, ticket: Ticket[T]) -> T:
        """Decide and commit together with whoever waits. Raises what was decided for it alone.

        Raises DatabaseUnavailable when too many wait already, or when no turn came in time.
        """
        if not self._may_lead(ticket):
            self._wait(ticket)
        if not ticket.is_done:
            self._lead(ticket)
        return ticket.result()

    def _may_lead(self, ticket: Ticket[Any]) -> bool:
        with self._lock:
            if self._leaders < self.lanes:
                self._leaders += 1
                return True
            if len(self._queue) >= QUEUE_MAX:
                raise DatabaseUnavailable
            ticket.called = threading.Lock()
            ticket.called.acquire()  # whoever finishes it, or lets it lead, releases it
            self._queue.append(ticket)
            return False

    def _lead(self, ticket: Ticket[Any]) -> None:
        self._let_others_come()
        with self._lock:
            others = min(len(self._queue), self.batch_max - 1)
            batch = [ticket, *(self._queue.popleft() for _ in range(others))]
        try:
            self.settle(batch)
        except BaseException as error:
            _fail(batch, error)
            raise
        finally:
            for one in batch[1:]:
                one.call()
            self._hand_on()

    def _let_others_come(self) -> None:
        """Whoever is ready to ask asks now: SQLite's leader lets no greenlet run until the end."""
        try:
            time.sleep(0)  # sleep: gives the turn away, waits for nothing
        except BaseException:  # the greenlet is killed: the queue goes on without it
            self._hand_on()
            raise

    def _hand_on(self) -> None:
        """The first who waits leads next; it is in nobody else's batch any more."""
        with self._lock:
            if not self._queue:
                self._leaders -= 1
                return
            successor = self._queue.popleft()
            successor.leads = True
        successor.call()

    def _wait(self, ticket: Ticket[Any]) -> None:
        try:
            if ticket.wait(WAIT_SECONDS_MAX) or self._is_taken(ticket):
                return
        except BaseException:  # the greenlet is killed: the queue goes on without it
            if not self._left(ticket) and ticket.leads:
                self._hand_on()
            raise
        raise DatabaseUnavailable

    def _left(self, ticket: Ticket[Any]) -> bool:
        """Take it out of the queue, if it is there still."""
        with self._lock:
            if ticket in self._queue:
                self._queue.remove(ticket)
                return True
            return False

    def _is_taken(self, ticket: Ticket[Any]) -> bool:
        """After a long wait: whether somebody has it in hand; then its word is waited for."""
        if self._left(ticket):
            return False
        return ticket.wait(WAIT_SECONDS_MAX)


def _fail(batch: Sequence[Ticket[Any]], error: BaseException) -> None:
    """Nobody knows what became of them: each may ask again under its own id."""
    for ticket in batch:
        if not ticket.is_done:
            log.error("group_failed", error=type(error).__name__)
            ticket.finish(DatabaseUnavailable())


def decide_in_order(rows: Rows, tickets: Sequence[Ticket[Any]], clock: Clock) -> list[Any]:
    """What each ticket is told, its changes in `rows`; a fixed number of reads for all of them."""
    operations = [one.operation for one in tickets if one.operation]
    for operation in operations:
        answers.want(rows, operation)
    free = _load_what_is_needed(rows, tickets, {answers.lock(one) for one in operations})
    rows.now = clock.now()  # after the wait for locks: an account's lines stay in order of time
    return [_decide(rows, ticket, free) for ticket in tickets]


def _load_what_is_needed(rows: Rows, tickets: Sequence[Ticket[Any]], tried: set[int]) -> set[int]:
    """Rounds of wanting and loading; accounts are held in the last one, when all are known."""
    free: set[int] = set()
    for number in range(ROUNDS_MAX):
        names_more = [one.decision.needs(rows) for one in tickets]
        is_last = not any(names_more) or number == ROUNDS_MAX - 1
        free |= rows.load(tried if number == 0 else (), rank_max=9 if is_last else 1)
        if is_last:
            break
    return free


def _decide(rows: Rows, ticket: Ticket[Any], free: set[int]) -> Any:
    operation = ticket.operation
    mark = rows.mark()
    try:
        if operation is None:
            return ticket.decision.decide(rows)
        if answers.lock(operation) not in free:
            return OperationRunning()
        if before := answers.find(rows, operation):
            return AnsweredBefore(before)
        return _answer(rows, ticket, operation, mark)
    except Exception as error:  # a refusal, or a bug of this command's: its neighbours go on
        rows.undo(mark)
        return error


def _answer(rows: Rows, ticket: Ticket[Any], operation: Operation, mark: int) -> Any:
    try:
        outcome = ticket.decision.decide(rows)
    except DomainError as refusal:
        if not refusal.is_lasting:
            raise
        rows.undo(mark)
        outcome = refusal
    operation.said = operation.render(outcome)
    if operation.is_dry_run:
        rows.undo(mark)
        return DryRun(operation.said)
    answers.keep(rows, operation)
    return outcome
