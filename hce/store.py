"""Where a card's state is kept: in memory, or durably in one file (POSIX); knows no command."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import Certificate
from hce.card_file import FILE_BYTES_MAX, CardRecord
from hce.disk import failed, make_folder, sync_directory
from hce.errors import CardFileDamaged, CardFileExists, CardFileFailed, CardFileMissing
from hce.ports import CardView, LimitedUseKey
from hce.signer import SoftwareSigner
from hce.state import CardState

LOCK_WAIT_SECONDS = 10.0
LOCK_POLL_SECONDS = 0.002

Change = Callable[[CardState], CardState]


class MemoryCardStore:
    """For tests and trials: forgets with the process."""

    def __init__(self, state: CardState) -> None:
        self._state = state
        self._lock = threading.Lock()

    def view(self) -> CardView:
        return self._state.view()

    def take_counter(self) -> tuple[int, LimitedUseKey]:
        return _granted(self.change(CardState.counted))

    def change(self, decide: Change) -> CardState:
        """One step; `decide` may refuse by raising, then nothing changes."""
        with self._lock:
            self._state = decide(self._state)
            return self._state


class FileCardStore:
    """One card in one file, for its owner's eyes only (0600).

    A change is written to `<name>.new`, synced, renamed over the file (POSIX: whole or not at
    all), and the directory synced: a process killed at any byte leaves the old card or the new.
    `<name>.lock` keeps other processes out while one changes; it holds nothing and stays.
    Every method raises CardFileMissing, CardFileDamaged or CardFileFailed, naming the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._beside = self.path.with_name(self.path.name + ".new")
        self._lock_path = self.path.with_name(self.path.name + ".lock")
        self._thread_lock = threading.Lock()
        self._last: tuple[bytes, CardRecord] | None = None  # so that the same bytes are read once

    def __repr__(self) -> str:
        return f"FileCardStore({str(self.path)!r})"

    @classmethod
    def create(cls, path: Path, record: CardRecord) -> FileCardStore:
        """A new file with this card; its folder is made. Raises CardFileExists."""
        store = cls(path)
        make_folder(store.path.parent)
        with store._exclusive():
            if os.path.lexists(store.path):
                raise CardFileExists(store.path, "a card is there already")
            store._write(record)
        return store

    def record(self) -> CardRecord:
        return self._read()

    def view(self) -> CardView:
        return self._read().state.view()

    def take_counter(self) -> tuple[int, LimitedUseKey]:
        return _granted(self.change(CardState.counted))

    def put_key(self, key: LimitedUseKey) -> None:
        """A newly delivered key takes over. Raises KeyNotNewer."""
        self.change(lambda state: state.with_key(key))

    def put_certificate(self, certificate: Certificate) -> None:
        """A renewed certificate. Raises ValueError when it is for another token."""
        self.change(lambda state: state.with_certificate(certificate))

    def suspend(self) -> None:
        self.change(lambda state: state.with_suspended(True))

    def release(self) -> None:
        self.change(lambda state: state.with_suspended(False))

    def signer(self) -> SoftwareSigner:
        """Raises CardFileFailed when a keystore holds the key and not this file."""
        der = self._read().signing_key
        if der is None:
            raise CardFileFailed(self.path, "carries no signing key: it is in a keystore")
        return SoftwareSigner.from_der(der)

    def change(self, decide: Change) -> CardState:
        """One step, durable when it returns; `decide` may refuse by raising: nothing changes."""
        with self._exclusive():
            record = self._read()
            state = decide(record.state)
            if state != record.state:
                self._write(replace(record, state=state))
            return state

    def _read(self) -> CardRecord:
        try:
            with self.path.open("rb") as file:
                body = file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            raise CardFileMissing(self.path, "no such card file") from None
        except OSError as error:
            raise failed(self.path, error) from error
        last = self._last
        if last is not None and last[0] == body:
            return last[1]
        try:
            record = CardRecord.decode(body)
        except MalformedBytes as error:
            raise CardFileDamaged(self.path, f"damaged card file ({error.reason})") from None
        self._last = (body, record)
        return record

    def _write(self, record: CardRecord) -> None:
        body = record.encode()
        try:
            _write_synced(self._beside, body)
            os.replace(self._beside, self.path)
            sync_directory(self.path.parent)
        except OSError as error:
            raise failed(self.path, error) from error
        self._last = (body, record)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        if not self._thread_lock.acquire(timeout=LOCK_WAIT_SECONDS):
            raise CardFileFailed(self.path, "in use by another thread")
        try:
            handle = self._open_lock()
            try:
                self._lock_processes_out(handle)
                yield
            finally:
                os.close(handle)  # gives the lock back, as the end of the process would
        finally:
            self._thread_lock.release()

    def _open_lock(self) -> int:
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(self._lock_path, flags, 0o600)
        except FileNotFoundError:
            raise CardFileMissing(self.path, "no such folder") from None
        except OSError as error:
            raise failed(self.path, error) from error

    def _lock_processes_out(self, handle: int) -> None:
        give_up_at = time.monotonic() + LOCK_WAIT_SECONDS
        while True:
            try:
                return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > give_up_at:
                    raise CardFileFailed(self.path, "in use by another process") from None
                time.sleep(LOCK_POLL_SECONDS)  # flock knows no time-out; held for one write
            except OSError as error:
                raise failed(self.path, error) from error


def _granted(state: CardState) -> tuple[int, LimitedUseKey]:
    assert state.key is not None  # `counted` refuses without one
    return state.atc, state.key


def _write_synced(path: Path, body: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(path, flags, 0o600)
    try:
        left = memoryview(body)
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)
