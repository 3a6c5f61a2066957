"""The tally of a SAM in software on the disk: two records that take turns, synced before use.

A cut at any byte leaves the older record whole. One process at a time; a tally is made once and
never begins anew by itself, for a serial given out twice is a purchase signed twice.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from card_protocol.epurse.sam import SamTally
from card_protocol.errors import MalformedBytes
from reader_bridge.faults import SamFault

SLOT_BYTES: Final = 512  # a sector, so that one torn write touches one record
SLOTS: Final = 2


class TallyFile:
    """A context manager. Raises SamFault(sam_missing, sam_state_damaged, sam_state_unusable)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise SamFault("sam_missing", reason=str(path)) from None
        except OSError as error:
            raise self._unusable(error) from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._tally: SamTally | None = self._newest()
        except BlockingIOError:
            os.close(self._handle)
            raise SamFault(
                "sam_state_unusable", reason=f"{path}: in use by another process"
            ) from None
        except BaseException:
            os.close(self._handle)
            raise

    @classmethod
    def create(cls, path: Path, tally: SamTally) -> TallyFile:
        """A new tally, never in the place of another."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
                file.write(tally.encode().ljust(SLOT_BYTES * SLOTS, b"\0"))
                file.flush()
                os.fsync(file.fileno())
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise SamFault("sam_state_unusable", reason=f"{path}: {error.strerror}") from None
        return cls(path)

    def __enter__(self) -> TallyFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def view(self) -> SamTally:
        """As it was last put. After a failed write the file is believed, not the memory."""
        if self._tally is None:
            self._tally = self._newest()
        return self._tally

    def put(self, tally: SamTally) -> None:
        """Durable when it returns."""
        sequence = self.view().sequence + 1
        record = replace(tally, sequence=sequence)
        self._tally = None
        try:
            written = os.pwrite(self._handle, record.encode(), sequence % SLOTS * SLOT_BYTES)
            os.fdatasync(self._handle)
        except OSError as error:
            raise self._unusable(error) from None
        if written != SamTally.RECORD_BYTES:
            raise SamFault("sam_state_unusable", reason=f"{self.path}: written in part")
        self._tally = record

    def close(self) -> None:
        """May be called again."""
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
            os.close(handle)

    def _newest(self) -> SamTally:
        try:
            image = os.pread(self._handle, SLOT_BYTES * SLOTS, 0)
        except OSError as error:
            raise self._unusable(error) from None
        found = []
        for slot in range(SLOTS):
            at = slot * SLOT_BYTES
            try:
                found.append(SamTally.decode(image[at : at + SamTally.RECORD_BYTES]))
            except MalformedBytes:
                continue  # torn, or not written yet: the other one counts
        if not found:
            raise SamFault("sam_state_damaged", file=str(self.path))
        return max(found, key=lambda tally: tally.sequence)

    def _unusable(self, error: OSError) -> SamFault:
        return SamFault("sam_state_unusable", reason=f"{self.path}: {error.strerror}")
