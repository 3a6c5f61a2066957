"""Small file systems that fill up, and files that may not grow: writes that really fail."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.chaos.errors import ChaosFailed

BLOCK_BYTES = 4096
FILLER = "filler"
FILE_BYTES_MAX = 10 * BLOCK_BYTES
"""SQLite needs 32 KiB of shared memory to read; every database and log of ours is longer."""


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A tmpfs of its own: what is full here harms nobody else."""

    folder: Path

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Takes all the room but `leave_bytes`; called again it takes what became free."""
        with (self.folder / FILLER).open("ab", buffering=0) as file:
            while (room := self.free_bytes() - leave_bytes) >= BLOCK_BYTES:
                with contextlib.suppress(OSError):  # the last block went to somebody else
                    file.write(bytes(min(room, 1 << 20)))

    def make_room(self) -> None:
        (self.folder / FILLER).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        seen = os.statvfs(self.folder)
        return seen.f_bavail * seen.f_frsize


def why_no_mounts() -> str | None:
    """Why this machine cannot mount a tmpfs; None when it can."""
    if os.geteuid() != 0:
        return "needs root, to mount a small tmpfs"
    try:
        with small_disk(1 << 20):
            return None
    except ChaosFailed as failure:
        return str(failure)


@contextmanager
def small_disk(size_bytes: int) -> Iterator[SmallDisk]:
    """Mounted, and unmounted at the end. Raises ChaosFailed where that is not allowed."""
    folder = Path(tempfile.mkdtemp(prefix="city-disk-"))
    folder.chmod(0o755)
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0755", "city-disk", str(folder))
        try:
            yield SmallDisk(folder)
        finally:
            _run("umount", str(folder))
    finally:
        folder.rmdir()


@dataclass(frozen=True, slots=True)
class ShortFiles:
    """RLIMIT_FSIZE of a running process: where no file system may be mounted.

    A write beyond the limit fails with EFBIG (Python ignores SIGXFSZ), which SQLite reports as
    a failed write: the same way out of a commit as a full disk.
    """

    pid: int

    def fill(self) -> None:
        """From here on no file of the process may grow beyond a few blocks."""
        self._limit(FILE_BYTES_MAX)

    def make_room(self) -> None:
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, soft: int) -> None:
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (soft, hard))


def _run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        raise ChaosFailed(f"needs {command[0]}")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        raise ChaosFailed(f"{command[0]} is not allowed here: {done.stderr.strip()}")
