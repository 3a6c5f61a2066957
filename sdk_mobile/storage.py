"""Where the phone keeps documents: whole, or not at all. Knows nothing of what is in them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sdk_mobile.errors import StorageDamaged, StorageFailed

LOCK_WAIT_SECONDS = 10.0
LOCK_POLL_SECONDS = 0.005
DOCUMENT_BYTES_MAX = 4 * 1024 * 1024
_MAGIC = b"city-card-document 1 "
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Storage(Protocol):
    """The storage port. A phone may put its own encrypted store behind it.

    `write` is durable when it returns; a crash leaves the old document or the new one.
    `exclusive` keeps every other user of the same store out (threads and processes); it may be
    entered again by its holder.
    """

    def read(self, name: str) -> bytes | None: ...

    def write(self, name: str, content: bytes) -> None: ...

    def exclusive(self) -> AbstractContextManager[None]: ...

    def describe(self, name: str) -> str:
        """What to call the document in a message to a person."""

    def put_aside(self, name: str) -> None:
        """Moves a damaged document out of the way, for support to look at; the last one of a name
        is kept. Raises StorageFailed."""

    def erase(self, name: str) -> None:
        """Forgets a document for good, also the one put aside. Raises StorageFailed."""


class MemoryStorage:
    """For tests and for a try: forgets everything with the process."""

    def __init__(self) -> None:
        self._documents: dict[str, bytes] = {}
        self._lock = threading.RLock()

    def read(self, name: str) -> bytes | None:
        return self._documents.get(name)

    def write(self, name: str, content: bytes) -> None:
        with self._lock:
            self._documents[name] = content

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._lock:
            yield

    def describe(self, name: str) -> str:
        return f"memory:{name}"

    def put_aside(self, name: str) -> None:
        self.erase(name)  # nobody can look at it later

    def erase(self, name: str) -> None:
        with self._lock:
            self._documents.pop(name, None)


class FileStorage:
    """A directory (0700) of files (0600), one a document, each with a digest of its content.

    Written to a second file, synced, then renamed over the first (POSIX rename is atomic), then
    the directory is synced. The second file has one fixed name a document, so that a killed
    process leaves at most one behind and the next write takes it over.
    """

    def __init__(self, directory: Path) -> None:
        """Makes the directory; raises StorageFailed when that is not possible."""
        self._directory = Path(directory)
        self._thread_lock = threading.RLock()
        self._depth = 0
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if stat.S_IMODE(self._directory.stat().st_mode) != 0o700:
                self._directory.chmod(0o700)
            self._lock_file = os.open(
                self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise StorageFailed(str(self._directory), error.strerror or str(error)) from error

    def __repr__(self) -> str:
        return f"FileStorage({str(self._directory)!r})"

    def close(self) -> None:
        """Gives the lock file back; writing afterwards raises StorageFailed. Twice is once."""
        with self._thread_lock:  # a write of another thread ends first
            if self._lock_file >= 0:
                os.close(self._lock_file)
                self._lock_file = -1

    def describe(self, name: str) -> str:
        return str(self._path(name))

    def read(self, name: str) -> bytes | None:
        """The document's content, None when never written. Raises StorageDamaged."""
        path = self._path(name)
        try:
            with path.open("rb") as file:
                raw = file.read(DOCUMENT_BYTES_MAX + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageDamaged(str(path), error.strerror or str(error)) from error
        return _checked(raw, path)

    def write(self, name: str, content: bytes) -> None:
        """Durable when it returns. Raises StorageFailed; then the old document stands."""
        path = self._path(name)
        beside = path.with_suffix(".new")
        if len(content) > DOCUMENT_BYTES_MAX - 256:
            raise StorageFailed(str(path), "document too large")
        digest = hashlib.sha256(content).hexdigest().encode()
        with self.exclusive(), self._failing(path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
                file.write(_MAGIC + digest + b"\n" + content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            self._sync_directory()

    def put_aside(self, name: str) -> None:
        """To `<name>.damaged`, beside it."""
        path = self._path(name)
        with self.exclusive(), self._failing(path), contextlib.suppress(FileNotFoundError):
            path.replace(path.with_suffix(".damaged"))
            self._sync_directory()

    def erase(self, name: str) -> None:
        path = self._path(name)
        with self.exclusive(), self._failing(path):
            for suffix in (".doc", ".new", ".damaged"):
                path.with_suffix(suffix).unlink(missing_ok=True)
            self._sync_directory()

    @contextlib.contextmanager
    def _failing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageFailed(str(path), error.strerror or str(error)) from error

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        if not self._thread_lock.acquire(timeout=LOCK_WAIT_SECONDS):
            raise StorageFailed(str(self._directory), "in use by another thread")
        try:
            if self._depth == 0:
                self._lock_processes_out()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    fcntl.flock(self._lock_file, fcntl.LOCK_UN)
        finally:
            self._thread_lock.release()

    def _lock_processes_out(self) -> None:
        if self._lock_file < 0:
            raise StorageFailed(str(self._directory), "closed")
        give_up_at = time.monotonic() + LOCK_WAIT_SECONDS
        while True:
            try:
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > give_up_at:
                    reason = "in use by another process"
                    raise StorageFailed(str(self._directory), reason) from None
                time.sleep(LOCK_POLL_SECONDS)  # held for one write: milliseconds
            except OSError as error:
                raise StorageFailed(str(self._directory), str(error)) from error
            else:
                return

    def _sync_directory(self) -> None:
        handle = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a document name: {name!r}")
        return self._directory / f"{name}.doc"


def _checked(raw: bytes, path: Path) -> bytes:
    head, newline, content = raw.partition(b"\n")
    if not newline or not head.startswith(_MAGIC) or len(raw) > DOCUMENT_BYTES_MAX:
        raise StorageDamaged(str(path), "not a document of this package")
    told = head.removeprefix(_MAGIC)
    if not hmac.compare_digest(hashlib.sha256(content).hexdigest().encode(), told):
        raise StorageDamaged(str(path), "its digest does not match")
    return content
