"""The unit of work: one command, one transaction; nothing else commits."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Executable, Row, Table, insert, select, text
from sqlalchemy.dialects.postgresql import insert as insert_postgres
from sqlalchemy.dialects.sqlite import insert as insert_sqlite
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backend.db.engines import (
    BEGIN_MODE,
    WAIT_SECONDS_MAX,
    Database,
    Databases,
    DatabaseUnavailable,
)
from backend.db.metadata import METADATA, Which
from backend.db.operations import (
    Answer,
    AnsweredBefore,
    ConcurrentChange,
    IdempotencyConflict,
    Operation,
    OperationRunning,
    Running,
)
from backend.kernel import Clock, DomainError, new_id

log = structlog.get_logger(__name__)

T = TypeVar("T")

BUSY_TRIES_MAX = 400
BUSY_PAUSE_SECONDS = 0.005


@dataclass(slots=True)
class Work:
    """One open transaction on one database, and the moment it began."""

    which: Which
    connection: Connection
    now: datetime
    told: int = field(default=0, init=False)

    def execute(self, statement: Executable, rows: Any = None) -> CursorResult[Any]:
        return self.connection.execute(statement, rows)

    def one(self, statement: Executable) -> Row[Any] | None:
        """The only row, or None."""
        return self.connection.execute(statement).one_or_none()

    def upsert_into(self, table: Table) -> Any:
        """`INSERT` that knows ON CONFLICT, in the dialect of this database."""
        on_postgres = self.connection.dialect.name == "postgresql"
        return insert_postgres(table) if on_postgres else insert_sqlite(table)

    def insert_new(self, table: Table, row: Mapping[str, Any]) -> bool:
        """Write the row unless one of its keys is taken, be it a moment ago by somebody else."""
        statement = self.upsert_into(table).values(**row).on_conflict_do_nothing()
        made = self.connection.execute(statement.returning(*table.primary_key.columns))
        return made.first() is not None

    def tell(self, topic: str, *, due_at: datetime | None = None, **payload: object) -> None:
        """Put an event in the outbox: delivered at least once after this work commits.

        `due_at` (default: now) is the earliest moment of delivery.
        """
        outbox = METADATA[self.which].tables["outbox"]
        row = {
            "event_id": new_id("evt"),
            "topic": topic,
            "payload": payload,
            "created_at": self.now,
            "due_at": due_at or self.now,
            "attempts": 0,
        }
        self.connection.execute(insert(outbox), row)
        self.told += 1


@dataclass(frozen=True, slots=True)
class Units:
    """Begins units of work. `wake` is called after a commit that told the outbox something."""

    databases: Databases
    clock: Clock
    wake: Callable[[], None] = lambda: None
    running: Running = field(default_factory=Running)

    @contextmanager
    def write(self, which: Which) -> Iterator[Work]:
        """A transaction that commits when the block ends and rolls back when it raises.

        Raises DatabaseUnavailable when the database cannot be reached or stays busy.
        """
        database = self.databases[which]
        with _writer(database), _transaction(database, "IMMEDIATE") as connection:
            work = Work(which, connection, self.clock.now())
            yield work
        if work.told:
            self.wake()

    @contextmanager
    def read(self, which: Which) -> Iterator[Work]:
        """A snapshot to read from; what the block writes is rolled back."""
        database = self.databases[which]
        with _transaction(database, "DEFERRED", keep=False) as connection:
            yield Work(which, connection, self.clock.now())

    def once(
        self, which: Which, operation: Operation, decide: Callable[[Work], T | DomainError]
    ) -> T:
        """Run `decide` in one transaction and keep the answer under the operation's id.

        A refusal it raises is kept too, alone: what it had written is rolled back to its start.
        A refusal it returns is kept with what it wrote.
        Raises AnsweredBefore, IdempotencyConflict, OperationRunning, and what `decide` refuses.
        """
        with self.running.claim(operation):
            outcome = self._decide_once(which, operation, decide)
        if isinstance(outcome, DomainError):
            raise outcome
        return outcome

    def _decide_once(
        self, which: Which, operation: Operation, decide: Callable[[Work], T | DomainError]
    ) -> T | DomainError:
        with self.write(which) as work:
            _hold_id(work, operation)
            if before := _find_answer(work, operation):
                raise AnsweredBefore(before)
            try:
                with work.connection.begin_nested():
                    outcome: T | DomainError = decide(work)
            except DomainError as refusal:
                if not refusal.is_lasting:
                    raise
                outcome = refusal
            operation.said = operation.render(outcome)
            _keep_answer(work, operation, operation.said)
        return outcome


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
    except (DomainError, AnsweredBefore):
        connection.rollback()
        raise
    except DBAPIError as error:
        connection.invalidate()
        if _is_passing(error):
            raise _unavailable(database, error) from error
        if isinstance(error, IntegrityError) and _is_race(error):
            raise ConcurrentChange from error
        raise
    except BaseException:
        # A killed greenlet or a bug may have left the connection anywhere: throw it away.
        connection.invalidate()
        raise
    finally:
        connection.close()


def _connect(database: Database, mode: str) -> Connection:
    options: dict[str, Any] = {BEGIN_MODE: mode}
    if mode == "DEFERRED" and not database.is_sqlite:
        options["isolation_level"] = "REPEATABLE READ"  # one snapshot for the whole block
    try:
        connection = database.engine.connect()
    except (OperationalError, PoolTimeout) as error:
        raise _unavailable(database, error) from error
    return connection.execution_options(**options)


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


def _is_race(error: IntegrityError) -> bool:
    """Whether somebody else made the same row first (SQLSTATE 23505); a CHECK is a bug instead."""
    return getattr(error.orig, "sqlstate", None) == "23505"


def _begin(connection: Connection) -> None:
    """Begin; while another process writes, pause so that other greenlets run."""
    for attempt in range(BUSY_TRIES_MAX):
        try:
            connection.begin()
            return
        except OperationalError as error:
            if "locked" not in str(error.orig) or attempt == BUSY_TRIES_MAX - 1:
                raise
            connection.rollback()
            time.sleep(BUSY_PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - jitter


def _hold_id(work: Work, operation: Operation) -> None:
    """On PostgreSQL other processes may hold the id: ask without waiting."""
    if work.connection.dialect.name != "postgresql":
        return
    ask = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
    if not work.connection.execute(ask, {"name": f"{operation.scope}:{operation.key}"}).scalar():
        raise OperationRunning


def _find_answer(work: Work, operation: Operation) -> Answer | None:
    answer = METADATA[work.which].tables["answer"]
    row = work.one(
        select(answer.c.content, answer.c.status, answer.c.body).where(
            answer.c.scope == operation.scope, answer.c.key == operation.key
        )
    )
    if row is None:
        return None
    if differing := operation.differs_from(row.content):
        raise IdempotencyConflict(fields=", ".join(differing))
    return Answer(row.status, row.body)


def _keep_answer(work: Work, operation: Operation, said: Answer) -> None:
    row = {
        "scope": operation.scope,
        "key": operation.key,
        "content": dict(operation.content),
        "status": said.status,
        "body": said.body,
        "created_at": work.now,
    }
    work.execute(insert(METADATA[work.which].tables["answer"]), row)
