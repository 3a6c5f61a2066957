"""Room on the disk kept for results: one file, given up when everything else is full."""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RESERVE_BYTES: Final = 4 * 1024 * 1024  # twice what the database lets its log grow to
_BLOCK: Final = bytes(64 * 1024)
_NOT_SUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


@dataclass(frozen=True, slots=True)
class Reserve:
    """A file of `size_bytes` that holds nothing. While it is there, a result can be written."""

    path: Path
    size_bytes: int = RESERVE_BYTES

    def hold(self) -> bool:
        """Make sure that the room is taken; False when the disk does not have it."""
        if self._is_held():
            return True
        # One name for the draft: what a killed process left is used again, not left lying.
        draft = self.path.with_name(f"{self.path.name}.draft")
        try:
            self._fill(draft)
            draft.replace(self.path)  # half a reserve never carries the name of a whole one
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
        return self._is_held()

    def _is_held(self) -> bool:
        try:
            return self.path.stat().st_size >= self.size_bytes
        except OSError:
            return False

    def release(self) -> bool:
        """Give the room back; False when there was none to give."""
        try:
            self.path.unlink()
        except OSError:
            return False
        return True

    def _fill(self, path: Path) -> None:
        """Raises OSError: no room, or a limit on the size of a file."""
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)
        try:
            try:
                os.posix_fallocate(descriptor, 0, self.size_bytes)
            except OSError as error:
                if error.errno not in _NOT_SUPPORTED:
                    raise
                for _ in range(0, self.size_bytes, len(_BLOCK)):
                    os.write(descriptor, _BLOCK)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
