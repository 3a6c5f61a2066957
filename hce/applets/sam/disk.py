"""A SAM's tally in one small file (POSIX), replaced whole and synced at each change (0600)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from card_protocol.epurse.sam import SamTally
from card_protocol.errors import MalformedBytes
from hce.errors import CardFileDamaged, CardFileExists, CardFileFailed, CardFileMissing


class TallyDisk:
    """A `TallyStore` for one process. Raises CardFileMissing, CardFileDamaged, CardFileFailed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tally = self._read()

    @classmethod
    def create(cls, path: Path, tally: SamTally) -> TallyDisk:
        """Never in the place of another. Raises CardFileExists."""
        if path.exists():
            raise CardFileExists(path, "a tally is there already")
        _replace_synced(path, tally.encode())
        return cls(path)

    def view(self) -> SamTally:
        return self._tally

    def commit(self, tally: SamTally) -> None:
        numbered = replace(tally, sequence=self._tally.sequence + 1)
        _replace_synced(self.path, numbered.encode())
        self._tally = numbered

    def _read(self) -> SamTally:
        try:
            with self.path.open("rb") as file:
                body = file.read(SamTally.RECORD_BYTES + 1)
        except FileNotFoundError:
            raise CardFileMissing(self.path, "no such tally") from None
        except OSError as error:
            raise _failed(self.path, error) from error
        try:
            return SamTally.decode(body)
        except MalformedBytes as error:
            raise CardFileDamaged(self.path, error.reason) from None


def _replace_synced(path: Path, body: bytes) -> None:
    beside = path.with_name(path.name + ".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _failed(path, error) from error


def _failed(path: Path, error: OSError) -> CardFileFailed:
    return CardFileFailed(path, error.strerror or type(error).__name__)
