"""A purse's two slots in one file of this machine (POSIX), for its owner's eyes only (0600)."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final

from card_protocol.errors import MalformedBytes
from hce.applets.epurse.state import PurseState
from hce.disk import failed, make_folder, sync_directory
from hce.errors import CardFileDamaged, CardFileExists, CardFileFailed, CardFileMissing
from hce.purse_store import STORE_BYTES, SlotPurseStore, initial_image

CLOSED: Final = -1  # no file's number


class DiskFile:
    """A `ByteFile`; locked against other processes until `close`.

    Raises CardFileMissing, CardFileDamaged (of another size) or CardFileFailed, naming the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._handle = os.open(self.path, flags)
        except FileNotFoundError:
            raise CardFileMissing(self.path, "no such purse file") from None
        except OSError as error:
            raise failed(self.path, error) from error
        try:
            self._take()
        except BaseException:
            os.close(self._handle)
            raise

    def read(self) -> bytes:
        try:
            return os.pread(self._handle, STORE_BYTES, 0)
        except OSError as error:
            raise failed(self.path, error) from error

    def write(self, offset: int, body: bytes) -> None:
        try:
            written = os.pwrite(self._handle, body, offset)
        except OSError as error:
            raise failed(self.path, error) from error
        if written != len(body):
            raise CardFileFailed(self.path, "written in part")

    def sync(self) -> None:
        try:
            os.fdatasync(self._handle)
        except OSError as error:
            raise failed(self.path, error) from error

    def close(self) -> None:
        """Twice is once. A card that goes on meets an error, never the next file of this number."""
        handle, self._handle = self._handle, CLOSED
        if handle != CLOSED:
            os.close(handle)

    def _take(self) -> None:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CardFileFailed(self.path, "in use by another process") from None
        if os.fstat(self._handle).st_size != STORE_BYTES:
            raise CardFileDamaged(self.path, "a purse file has one size")


class PurseFileStore:
    """A purse in a file, as `PurseStore`; a context manager that gives the file back.

    Raises CardFileMissing, CardFileDamaged or CardFileFailed, naming the file.
    """

    def __init__(self, path: Path, sealing_key: bytes) -> None:
        """`sealing_key`: 32 bytes, kept elsewhere than the file."""
        self._file = DiskFile(path)
        try:
            self._slots = SlotPurseStore(self._file, sealing_key)
        except MalformedBytes as error:
            self._file.close()
            raise CardFileDamaged(path, error.reason) from None
        except BaseException:
            self._file.close()
            raise

    @classmethod
    def create(cls, path: Path, state: PurseState, sealing_key: bytes) -> PurseFileStore:
        """A new file with this purse, never in the place of another; its folder is made.

        Raises CardFileExists.
        """
        path = Path(path)
        beside = path.with_name(f"{path.name}.{os.getpid()}.new")
        make_folder(path.parent)
        try:
            _write_new(beside, initial_image(state, sealing_key))
            try:
                os.link(beside, path)
            finally:
                beside.unlink()
            sync_directory(path.parent)
        except FileExistsError:
            raise CardFileExists(path, "a purse is there already") from None
        except OSError as error:
            raise failed(path, error) from error
        return cls(path, sealing_key)

    def __repr__(self) -> str:
        return f"PurseFileStore({str(self._file.path)!r})"

    def __enter__(self) -> PurseFileStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def view(self) -> PurseState:
        return self._slots.view()

    def commit(self, state: PurseState) -> None:
        self._slots.commit(state)

    def close(self) -> None:
        self._file.close()


def _write_new(path: Path, body: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()  # left by a process of this number that was killed here
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
