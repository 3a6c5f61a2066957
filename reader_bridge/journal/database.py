"""One SQLite file: opening it, whole transactions, and what a full disk means. Knows no sale."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from reader_bridge.faults import TerminalFault
from reader_bridge.journal.reserve import Reserve
from reader_bridge.journal.schema import make_current

_BUSY_SECONDS: Final = 5.0
# The log stays well below the reserve, so that on a full disk the reserve is enough to empty it.
# One tap in about fifty pays for a checkpoint, unless `checkpoint` came first.
_CHECKPOINT_PAGES: Final = 512
_LOG_BYTES_KEPT: Final = 2 * 1024 * 1024
_NO_ROOM: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
T = TypeVar("T")
Rows = list[sqlite3.Row]


class Database:
    """WAL, synchronous=FULL: what a transaction wrote survives a power cut once it returned.

    Raises TerminalFault(state_unusable, state_damaged, state_newer) where it opens, and
    state_unusable where another process keeps the lock. Shared by threads, one at a time.
    """

    def __init__(self, path: Path, incarnation: str) -> None:
        self._path, self._lock = path, threading.RLock()
        self.reserve = Reserve(path.with_name(f"{path.name}.reserve"))
        _make_private(path)
        try:
            self._connection = self._open(incarnation)
        except sqlite3.OperationalError as error:
            if not (_is_no_room(error) and self.reserve.release()):
                raise self._unusable(error) from None
            try:
                self._connection = self._open(incarnation)
            except sqlite3.OperationalError as again:
                raise self._unusable(again) from None
        except sqlite3.DatabaseError:
            raise TerminalFault("state_damaged", file=str(path)) from None

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def read(self, statement: str, values: tuple[Any, ...] = ()) -> Rows:
        with self._lock:
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.OperationalError as error:
                raise self._unusable(error) from None

    def write(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """Something new: all or nothing, alone, one sync. The lock is taken before `act` reads.

        Raises TerminalFault(state_unusable): then nothing is written.
        """
        with self._lock:
            try:
                return self._once(act)
            except sqlite3.OperationalError as error:
                raise self._unusable(error) from None

    def write_offline(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """As `write`, for what must be able to end: only while room for results is held.

        Raises TerminalFault(journal_full), TerminalFault(state_unusable).
        """
        with self._lock:
            if not self.reserve.hold():
                raise TerminalFault("journal_full")
            try:
                return self._once(act)
            except sqlite3.OperationalError as error:
                if _is_no_room(error):
                    raise TerminalFault("journal_full") from None
                raise self._unusable(error) from None

    def write_result(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """As `write`, for what has happened already: a full disk costs the reserve, and a log.

        `act` may run twice. Raises TerminalFault(state_unusable).
        """
        with self._lock:
            try:
                return self._once(act)
            except sqlite3.OperationalError as error:
                if not _is_no_room(error):
                    raise self._unusable(error) from None
            self.reserve.release()
            with contextlib.suppress(sqlite3.OperationalError):  # no room for that either
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return self.write(act)

    def checkpoint(self) -> None:
        """Move what the log holds into the file, as far as no reader is in the way.

        On a connection of its own: a tap does not wait for it.
        """
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS)) as aside:
                aside.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.OperationalError as error:
            raise self._unusable(error) from None

    def _once(self, act: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return self._transact(act)
        except sqlite3.OperationalError as error:
            if _is_no_room(error):
                self._bury()
            raise

    def _transact(self, act: Callable[[sqlite3.Connection], T]) -> T:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            outcome = act(self._connection)
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        return outcome

    def _bury(self) -> None:
        """Write over what a failed transaction left in the log.

        When only its sync failed, its frames are whole: a crash now would bring back a sale that
        was refused. The next transaction takes their place, and their checksums break with it.
        """

        def there_and_back(database: sqlite3.Connection) -> None:
            for step in (1, -1):  # SQLite writes no page that an update left as it was
                database.execute("UPDATE book SET last_at = last_at + ?", (step,))

        with contextlib.suppress(sqlite3.OperationalError):  # then not even frames can be written
            self._transact(there_and_back)

    def _open(self, incarnation: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES_KEPT}")
            connection.execute("BEGIN IMMEDIATE")
            make_current(connection, incarnation)
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    def _unusable(self, error: sqlite3.Error) -> TerminalFault:
        return TerminalFault("state_unusable", reason=f"{self._path}: {error}")


def _is_no_room(error: sqlite3.Error) -> bool:
    """A full disk, or a write that failed: also how a limit on file sizes shows itself."""
    return error.sqlite_errorcode & 0xFF in _NO_ROOM


def _make_private(path: Path) -> None:
    """Create the file with mode 0600 before SQLite would create it with a wider one."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # a file whose name is lost holds nothing
        finally:
            os.close(folder)
    except OSError as error:
        raise TerminalFault("state_unusable", reason=error.strerror or str(path)) from None
