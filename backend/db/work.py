"""The unit of work: one command, one transaction; nothing else commits."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar, cast

import structlog
from sqlalchemy import Connection, Executable, Row, Table
from sqlalchemy.dialects.postgresql import insert as insert_postgres
from sqlalchemy.dialects.sqlite import insert as insert_sqlite
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backend.db import answers
from backend.db.engines import (
    BEGIN_MODE,
    WAIT_SECONDS_MAX,
    Database,
    Databases,
    DatabaseUnavailable,
)
from backend.db.group import Decision, GroupCommit, Ticket, decide_in_order
from backend.db.metadata import Which
from backend.db.operations import (
    AnsweredBefore,
    ConcurrentChange,
    DryRun,
    Operation,
    OperationRunning,
    Running,
)
from backend.db.rows import Rows
from backend.kernel import Clock, DomainError

log = structlog.get_logger(__name__)

T = TypeVar("T")

BUSY_TRIES_MAX = 400
BUSY_PAUSE_SECONDS = 0.005

COLLISIONS = frozenset({"23505", "40P01", "40001"})
"""SQLSTATE: somebody else made the same row first; waited in a circle; changed what was read."""
COLLISIONS_MAX = 5
COLLISION_PAUSE_SECONDS = 0.05


@dataclass(slots=True)
class Work:
    """One open transaction on one database, and the moment it began.

    `rows` are read and changed by key, in memory; statements see what was changed there.
    """

    which: Which
    connection: Connection
    now: datetime
    rows: Rows

    def execute(self, statement: Executable, rows: Any = None) -> CursorResult[Any]:
        self.rows.flush()
        return self.connection.execute(statement, rows)

    def one(self, statement: Executable) -> Row[Any] | None:
        """The only row, or None."""
        return self.execute(statement).one_or_none()

    def upsert_into(self, table: Table) -> Any:
        """`INSERT` that knows ON CONFLICT, in the dialect of this database."""
        on_postgres = self.connection.dialect.name == "postgresql"
        return insert_postgres(table) if on_postgres else insert_sqlite(table)

    def insert_new(self, table: Table, row: Mapping[str, Any]) -> bool:
        """Write the row unless one of its keys is taken, be it a moment ago by somebody else."""
        statement = self.upsert_into(table).values(**row).on_conflict_do_nothing()
        made = self.execute(statement.returning(*table.primary_key.columns))
        return made.first() is not None

    def tell(self, topic: str, *, due_at: datetime | None = None, **payload: object) -> None:
        """Put an event in the outbox; see `Rows.tell`."""
        self.rows.tell(topic, due_at=due_at, **payload)


@dataclass(frozen=True, slots=True)
class Units:
    """Begins units of work. `wake` is called after a commit that told the outbox something."""

    databases: Databases
    clock: Clock
    wake: Callable[[], None] = lambda: None
    running: Running = field(default_factory=Running)
    _groups: Mapping[Which, GroupCommit] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        groups = {which: GroupCommit(partial(self._settle, which)) for which in Which}
        object.__setattr__(self, "_groups", groups)

    @contextmanager
    def write(self, which: Which) -> Iterator[Work]:
        """A transaction that commits when the block ends and rolls back when it raises.

        Raises DatabaseUnavailable when the database cannot be reached or stays busy,
        ConcurrentChange when somebody else changed the same thing at the same moment.
        """
        database = self.databases[which]
        with _writer(database), _transaction(database, "IMMEDIATE") as connection:
            now = self.clock.now()
            rows = Rows(which, connection, now)
            yield Work(which, connection, now, rows)
            rows.flush()
        if rows.told:
            self.wake()

    @contextmanager
    def read(self, which: Which) -> Iterator[Work]:
        """A snapshot to read from; what the block writes is rolled back."""
        database = self.databases[which]
        with _transaction(database, "DEFERRED", keep=False) as connection:
            now = self.clock.now()
            yield Work(which, connection, now, Rows(which, connection, now, is_reading=True))

    def ask(self, which: Which, question: Executable) -> Sequence[Row[Any]]:
        """The answer to one statement, which sees one moment by itself: one round trip.

        Raises DatabaseUnavailable.
        """
        database = self.databases[which]
        try:
            with _asking(database, may_ask_again=True) as connection:
                return connection.execute(question).all()
        except _Stale:  # it wrote nothing: it may be asked again
            with _asking(database) as connection:
                return connection.execute(question).all()

    def once(
        self, which: Which, operation: Operation, decide: Callable[[Work], T | DomainError]
    ) -> T:
        """Run `decide` in one transaction and keep the answer under the operation's id.

        A refusal it raises is kept too, alone: what it had written is rolled back to its start.
        A refusal it returns is kept with what it wrote. A dry run keeps nothing at all.
        Raises AnsweredBefore, IdempotencyConflict, OperationRunning, and what `decide` refuses.
        """
        with self.running.claim(operation):
            outcome = _again_on_collision(lambda: self._decide_once(which, operation, decide))
        if isinstance(outcome, DomainError):
            raise outcome
        return outcome

    def decide(self, which: Which, decision: Decision[T], operation: Operation | None = None) -> T:
        """Decide and commit together with the commands that arrive at the same time.

        With an operation its answer is kept, as `once` does. Raises what `once` raises.
        """
        ticket = Ticket(decision, operation)
        if operation is None:
            return self._groups[which].run(ticket)
        with self.running.claim(operation):
            return self._groups[which].run(ticket)

    def decide_all(self, which: Which, decisions: Iterable[Decision[T]]) -> list[T | Exception]:
        """Decide many commands in order and commit them together; each stands or falls alone.

        An answer or a refusal for each; DatabaseUnavailable for all when that is so.
        """
        tickets = [Ticket(decision) for decision in decisions]
        self._settle(which, tickets)
        return [cast("T | Exception", ticket.outcome) for ticket in tickets]

    def _decide_once(
        self, which: Which, operation: Operation, decide: Callable[[Work], T | DomainError]
    ) -> T | DomainError:
        with self.write(which) as work:
            if not work.rows.load(tried=[answers.lock(operation)]):
                raise OperationRunning
            if before := answers.find(work.rows, operation):
                raise AnsweredBefore(before)
            try:
                with work.connection.begin_nested():
                    outcome: T | DomainError = decide(work)
                    work.rows.flush()
            except DomainError as refusal:
                if not refusal.is_lasting:
                    raise
                work.rows.forget()
                outcome = refusal
            operation.said = operation.render(outcome)
            if operation.is_dry_run:
                raise DryRun(operation.said)
            answers.keep(work.rows, operation)
        return outcome

    def _settle(self, which: Which, tickets: Sequence[Ticket[Any]]) -> None:
        """All in one transaction; if that fails, each alone: no ticket harms its neighbours."""
        try:
            outcomes = self._settle_together(which, tickets)
        except DatabaseUnavailable:
            outcomes = [DatabaseUnavailable() for _ in tickets]
        except Exception as error:
            log.warning("group_falls_apart", error=type(error).__name__, tickets=len(tickets))
            outcomes = [self._settle_alone(which, ticket) for ticket in tickets]
        for ticket, outcome in zip(tickets, outcomes, strict=True):
            ticket.finish(outcome)

    def _settle_together(self, which: Which, tickets: Sequence[Ticket[Any]]) -> list[Any]:
        with self.write(which) as work:
            return decide_in_order(work.rows, tickets, self.clock)

    def _settle_alone(self, which: Which, ticket: Ticket[Any]) -> Any:
        try:
            return _again_on_collision(lambda: self._settle_together(which, [ticket])[0])
        except Exception as error:  # a bug of this command's: nobody else hears of it
            return error


def _again_on_collision(attempt: Callable[[], T]) -> T:
    """Two at the same moment: one is asked again, after the other is done."""
    for _ in range(COLLISIONS_MAX):
        try:
            return attempt()
        except ConcurrentChange:
            time.sleep(COLLISION_PAUSE_SECONDS * random.random())  # noqa: S311 - jitter
    return attempt()


@contextmanager
def _writer(database: Database) -> Iterator[None]:
    """One writer a process: whoever waits here lets other greenlets run."""
    lock: threading.Lock | None = database.writer
    if lock is None:
        yield
        return
    if not lock.acquire(timeout=WAIT_SECONDS_MAX):
        raise _unavailable(database, TimeoutError("no turn to write"))
    try:
        yield
    finally:
        lock.release()


class _Stale(Exception):
    """A kept connection had died before it was asked; the pool starts anew."""


@contextmanager
def _asking(database: Database, *, may_ask_again: bool = False) -> Iterator[Connection]:
    connection = _connect(database, "NOT AT ALL")
    try:
        yield connection
    except DBAPIError as error:
        connection.invalidate()
        if error.connection_invalidated and may_ask_again:
            raise _Stale from error
        if _is_passing(error):
            raise _unavailable(database, error) from error
        raise
    except BaseException:
        connection.invalidate()
        raise
    finally:
        connection.close()


@contextmanager
def _transaction(database: Database, mode: str, *, keep: bool = True) -> Iterator[Connection]:
    connection = _connect(database, mode)
    try:
        _begin(connection)
        yield connection
        if keep:
            connection.commit()
        else:
            connection.rollback()
    except (DomainError, AnsweredBefore, DryRun):
        connection.rollback()
        raise
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in COLLISIONS:
            connection.rollback()  # waited for: the locks are free before anybody tries again
            raise ConcurrentChange from error
        connection.invalidate()
        if _is_passing(error):
            raise _unavailable(database, error) from error
        raise
    except BaseException:
        # A killed greenlet or a bug may have left the connection anywhere: throw it away.
        connection.invalidate()
        raise
    finally:
        connection.close()


def _connect(database: Database, mode: str) -> Connection:
    try:
        connection = database.engine.connect()
    except (OperationalError, PoolTimeout) as error:
        raise _unavailable(database, error) from error
    return connection.execution_options(**{BEGIN_MODE: mode})


def _unavailable(database: Database, error: Exception) -> DatabaseUnavailable:
    """The refusal, once the operator's log knows which database failed and how."""
    cause = getattr(error, "orig", None) or error
    name = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
    log.warning(
        "database_unavailable",
        database=database.which.value,
        error=type(cause).__name__,
        state=name,
    )
    return DatabaseUnavailable()


def _is_passing(error: DBAPIError) -> bool:
    """Whether asking again can help. SQLite calls a misspelt statement operational too."""
    sqlite_code = getattr(error.orig, "sqlite_errorcode", None)
    return isinstance(error, OperationalError) and sqlite_code != sqlite3.SQLITE_ERROR


def _begin(connection: Connection) -> None:
    """Begin; while another process writes, pause so that other greenlets run.

    A server that was restarted meanwhile is told by the first connection that finds out: the
    pool then starts anew.
    """
    for attempt in range(BUSY_TRIES_MAX):
        try:
            connection.begin()
            return
        except OperationalError as error:
            is_stale = error.connection_invalidated and attempt == 0
            if attempt == BUSY_TRIES_MAX - 1 or not (is_stale or "locked" in str(error.orig)):
                raise
            connection.rollback()
            if not is_stale:
                time.sleep(BUSY_PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
