"""Units of work: all or nothing, whatever ends them; SQLite as durable as promised."""

# ruff: noqa: PT012 - what a block does before it is left by an error is the subject here

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest
from db_world import (
    ON_SQLITE,
    PATIENCE_SECONDS,
    WHICH,
    TooPoor,
    count,
    names,
    probe,
    put,
    raw_connection,
    together,
)
from sqlalchemy import (
    Column,
    MetaData,
    Table,
    bindparam,
    delete,
    event,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, StatementError

from backend.db import Databases, DatabaseUnavailable, Units, Utc, Which, open_databases
from backend.db import work as work_module
from backend.kernel import ManualClock

pytestmark = pytest.mark.usefixtures("probe_table")

HOLDER = Path(__file__).with_name("lock_holder.py")


class Bug(Exception):
    """Something nobody foresaw."""


class Killed(BaseException):
    """As gevent's GreenletExit: no Exception."""


@contextmanager
def _writing_elsewhere(databases: Databases, seconds: float = 60) -> Iterator[subprocess.Popen]:
    file = databases[WHICH].engine.url.database
    command = [sys.executable, str(HOLDER), str(file), str(seconds)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            _let_go(process)


def _let_go(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.stdin.write("go\n")
        process.stdin.flush()
        process.wait(PATIENCE_SECONDS)


# --- commit and rollback -------------------------------------------------------------------------


def test_what_the_block_wrote_is_there_afterwards(units: Units) -> None:
    with units.write(WHICH) as work:
        put(work, "a")
        put(work, "b")
    assert names(units) == ["a", "b"]


@pytest.mark.parametrize("error", [TooPoor(short_fen=1), Bug(), Killed(), KeyboardInterrupt()])
def test_whatever_is_raised_leaves_nothing(units: Units, error: BaseException) -> None:
    with pytest.raises(type(error)), units.write(WHICH) as work:
        put(work, "a")
        work.tell("never", x=1)
        raise error
    assert names(units) == []
    assert count(units, "outbox") == 0


def test_the_three_databases_commit_apart(units: Units) -> None:
    with units.write(Which.LEDGER) as work:
        work.tell("ledger.told")
    assert count(units, "outbox") == 0
    with units.read(Which.LEDGER) as work:
        assert work.execute(text("SELECT count(*) FROM outbox")).scalar_one() == 1


@pytest.mark.parametrize("error", [Bug(), Killed()])
def test_a_connection_that_met_a_bug_is_thrown_away(units: Units, error: BaseException) -> None:
    with pytest.raises(type(error)), units.write(WHICH) as work:
        tainted = raw_connection(work)
        raise error
    with units.write(WHICH) as work:
        assert raw_connection(work) is not tainted
        put(work, "after")
    assert names(units) == ["after"]
    assert units.databases[WHICH].engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_a_connection_that_met_a_failed_statement_is_thrown_away(units: Units) -> None:
    with units.write(WHICH) as work:
        put(work, "a")
    with pytest.raises(Exception, match=r"(?i)probe|UNIQUE"), units.write(WHICH) as work:
        tainted = raw_connection(work)
        put(work, "b")
        work.execute(text("INSERT INTO probe (name, value) VALUES ('c', NULL)"))
    with units.write(WHICH) as work:
        assert raw_connection(work) is not tainted
    assert names(units) == ["a"]


def test_a_refusal_keeps_the_connection(units: Units) -> None:
    """Refusals are everyday: they must not cost a new connection each."""
    thrown: list[object] = []
    pool = units.databases[WHICH].engine.pool
    event.listen(pool, "invalidate", lambda connection, *_: thrown.append(connection))
    for _ in range(3):
        with pytest.raises(TooPoor), units.write(WHICH):
            raise TooPoor(short_fen=1)
    assert thrown == []
    with pytest.raises(Bug), units.write(WHICH):
        raise Bug
    assert len(thrown) == 1


def test_a_read_keeps_nothing(units: Units) -> None:
    with units.read(WHICH) as work:
        put(work, "a")
    assert names(units) == []


def test_a_read_sees_one_moment(units: Units) -> None:
    """Two statements of one read agree, though somebody commits between them."""
    with units.write(WHICH) as work:
        put(work, "a")
    rows = select(probe.c.name)
    with units.read(WHICH) as reading:
        before = reading.execute(rows).scalars().all()

        def change() -> None:
            with units.write(WHICH) as work:
                put(work, "b")
                work.execute(delete(probe).where(probe.c.name == "a"))

        writer = threading.Thread(target=change)
        writer.start()
        writer.join(PATIENCE_SECONDS)
        assert not writer.is_alive(), "a reader stops no writer"
        assert reading.execute(rows).scalars().all() == before == ["a"]
    assert names(units) == ["b"]


def test_after_a_read_writes_are_seen_and_kept_as_ever(units: Units) -> None:
    for index in range(3):
        assert len(names(units)) == index
        with units.write(WHICH) as work:
            put(work, f"{index}")


def test_work_carries_the_clocks_moment(units: Units, clock: ManualClock) -> None:
    with units.write(WHICH) as work:
        assert work.now == clock.now()
    clock.advance(timedelta(days=1))
    with units.read(WHICH) as work:
        assert work.now == clock.now()


def test_concurrent_increments_lose_nothing(units: Units) -> None:
    with units.write(WHICH) as work:
        put(work, "counter", 0)

    def add(_index: int) -> None:
        with units.write(WHICH) as work:
            work.execute(update(probe).values(value=probe.c.value + 1))

    assert together(20, add) == [None] * 20
    with units.read(WHICH) as work:
        assert work.execute(select(probe.c.value)).scalar_one() == 20


# --- what is told to the operator and to the caller ----------------------------------------------


def test_a_misspelt_statement_is_a_bug_not_a_busy_database(units: Units) -> None:
    """ "Try again later" for a fault that no retry heals would hide it for ever."""
    with pytest.raises(DBAPIError), units.write(WHICH) as work:
        work.execute(text("SELECT nothing FROM nowhere"))


def test_an_errors_text_carries_no_values(units: Units) -> None:
    """The text of an error ends in the log; a row's values are personal data."""
    statement = text("INSERT INTO nowhere (name) VALUES (:name)").bindparams(
        bindparam("name", "330106199001011234")
    )
    with pytest.raises(DBAPIError) as error, units.write(WHICH) as work:
        work.execute(statement)
    assert "330106199001011234" not in str(error.value)


def test_an_exhausted_pool_is_unavailable_not_a_bug(
    databases: Databases, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = databases[WHICH].engine.pool
    monkeypatch.setattr(pool, "_timeout", 0.05)
    units = Units(databases, clock)
    held = [databases[WHICH].engine.connect() for _ in range(pool.size())]  # type: ignore[attr-defined]
    try:
        for begin in (units.read, units.write):
            with pytest.raises(DatabaseUnavailable), begin(WHICH):
                pytest.fail("there was no connection left")
    finally:
        for connection in held:
            connection.close()
    assert names(units) == []


def test_a_server_that_is_gone_is_unavailable(clock: ManualClock, tmp_path: Path) -> None:
    gone = f"postgresql+psycopg://nobody@/none?host={tmp_path}"
    databases = open_databases(dict.fromkeys(Which, gone))
    units = Units(databases, clock)
    for begin in (units.read, units.write):
        with pytest.raises(DatabaseUnavailable) as refusal, begin(WHICH):
            pytest.fail("nobody answers there")
        assert refusal.value.retryable
    assert not databases.answers(WHICH)


# --- SQLite --------------------------------------------------------------------------------------


@ON_SQLITE
@pytest.mark.parametrize("which", Which, ids=lambda which: which.value)
def test_sqlite_is_set_up_to_lose_nothing(databases: Databases, which: Which) -> None:
    units = Units(databases, ManualClock(datetime(2026, 1, 1, tzinfo=UTC)))
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 0}
    for begin in (units.read, units.write):
        with begin(which) as work:
            for pragma, value in wanted.items():
                assert work.connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


@ON_SQLITE
def test_a_write_takes_the_lock_at_once_and_a_read_does_not(
    databases: Databases, units: Units
) -> None:
    seen: list[str] = []
    with units.write(WHICH) as work:
        work.connection.connection.driver_connection.set_trace_callback(seen.append)  # type: ignore[union-attr]
    with units.write(WHICH) as work:
        pass
    with units.read(WHICH) as work:
        pass
    assert [one for one in seen if one.startswith("BEGIN")] == ["BEGIN IMMEDIATE", "BEGIN DEFERRED"]


@ON_SQLITE
def test_a_writer_waits_for_another_process_and_then_writes(
    databases: Databases, units: Units, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    with _writing_elsewhere(databases) as other:

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 5:
                _let_go(other)

        monkeypatch.setattr(work_module, "time", SimpleNamespace(sleep=pause))
        with units.write(WHICH) as work:
            put(work, "a")
    assert len(pauses) == 5, "it waited in small pauses that other greenlets can use"
    assert max(pauses) <= 0.01
    assert names(units) == ["a"]


@ON_SQLITE
def test_waiting_for_another_process_ends_with_unavailable(
    databases: Databases, units: Units, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(work_module, "time", SimpleNamespace(sleep=pauses.append))
    with _writing_elsewhere(databases):
        with pytest.raises(DatabaseUnavailable), units.write(WHICH):
            pytest.fail("two writers at once")
        assert names(units) == [], "reading goes on meanwhile"
        assert 100 < len(pauses) < 1000
        assert 0.5 < sum(pauses) < 10
    with units.write(WHICH) as work:
        put(work, "after")
    assert names(units) == ["after"]


@ON_SQLITE
def test_waiting_for_a_writer_of_this_process_ends_too(
    databases: Databases, units: Units, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many wait in line, nobody waits longer than the bound."""
    monkeypatch.setattr(work_module, "WAIT_SECONDS_MAX", 0.05)
    with units.write(WHICH) as work:
        put(work, "first")
        (outcome,) = together(1, lambda _: _write(units, "second"))
        assert isinstance(outcome, DatabaseUnavailable)
    assert names(units) == ["first"]
    assert _write(units, "third") is None
    assert names(units) == ["first", "third"]


def _write(units: Units, name: str) -> None:
    with units.write(WHICH) as work:
        put(work, name)


# --- whole or damaged ----------------------------------------------------------------------------

DAMAGE = {
    "missing": lambda path: path.unlink(),
    "garbage": lambda path: path.write_bytes(b"no database " * 1000),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
    "its first page overwritten": lambda path: _overwrite(path, 0),
    "an inner page overwritten": lambda path: _overwrite(path, 4096),
}


def _overwrite(path: Path, offset: int) -> None:
    whole = bytearray(path.read_bytes())
    whole[offset : offset + 2048] = b"\xa5" * 2048
    path.write_bytes(whole)


@ON_SQLITE
@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told_in_one_line_naming_the_database(databases: Databases, name: str) -> None:
    from backend.db.engines import DatabaseDamaged  # noqa: PLC0415 - beside its only use

    databases.check()
    databases.close()
    DAMAGE[name](Path(str(databases[Which.LEDGER].engine.url.database)))
    with pytest.raises(DatabaseDamaged, match="database ledger") as damage:
        databases.check()
    assert "\n" not in str(damage.value)


@ON_SQLITE
@pytest.mark.parametrize("name", ["missing", "garbage", "a directory"])
def test_a_database_that_is_gone_does_not_answer(databases: Databases, name: str) -> None:
    """Also while an open connection still sees the deleted file."""
    assert all(databases.answers(which) for which in Which)
    if name != "missing":
        databases.close()
    DAMAGE[name](Path(str(databases[Which.LEDGER].engine.url.database)))
    assert not databases.answers(Which.LEDGER)
    assert databases.answers(Which.BUSINESS)


# --- moments -------------------------------------------------------------------------------------

moments = Table("moments", MetaData(), Column("at", Utc))


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 23, 1, 2, 3, 456789, tzinfo=UTC),
        datetime(2026, 11, 23, 0, 0, tzinfo=timezone(timedelta(hours=8))),
        datetime(1970, 1, 1, tzinfo=UTC),
    ],
)
def test_a_moment_comes_back_as_the_same_moment_in_utc(units: Units, moment: datetime) -> None:
    with units.read(WHICH) as work:
        stored = work.execute(select(literal(moment, Utc))).scalar_one()
    assert stored == moment
    assert stored.utcoffset() == timedelta(0)


def test_a_moment_without_a_zone_is_not_stored(units: Units) -> None:
    naive = datetime(2026, 11, 23)  # noqa: DTZ001 - the point of the test
    with pytest.raises(StatementError, match="zone"), units.read(WHICH) as work:
        work.execute(select(literal(naive, Utc)))
