"""Pictures of a camera that another program writes into one file; knows no code and no camera.

The other program writes each picture beside the file and renames it, as `ffmpeg -update 1
-atomic_writing 1` does: a picture is whole or not there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from reader_bridge.codes import PICTURE_BYTES_MAX

LOOK_SECONDS: Final = 0.05
OLD_SECONDS: Final = 10.0  # a camera that gives no picture for so long is reported

Clock = Callable[[], float]
Sleep = Callable[[float], None]


class PictureFile:
    """Gives each new picture of a file once: `take` is what a CameraScanner asks."""

    def __init__(
        self, path: Path, *, elapsed: Clock = time.monotonic, sleep: Sleep = time.sleep
    ) -> None:
        self._path, self._elapsed, self._sleep = path, elapsed, sleep
        self._seen: tuple[int, int, int] | None = None
        self._seen_at = elapsed()

    def take(self, timeout_seconds: float) -> bytes | None:
        """A picture not given before, within the time, or None. The one that lies there at the
        first question is old: it counts as given.

        Raises OSError: no such file, or nothing new for OLD_SECONDS.
        """
        deadline = self._elapsed() + timeout_seconds
        while True:
            facts = os.stat(self._path)
            mark = facts.st_ino, facts.st_mtime_ns, facts.st_size
            if mark != self._seen:
                is_first = self._seen is None
                self._seen, self._seen_at = mark, self._elapsed()
                if is_first:
                    continue
                with self._path.open("rb") as file:
                    return file.read(PICTURE_BYTES_MAX + 1)
            if self._elapsed() - self._seen_at > OLD_SECONDS:
                raise OSError(f"{self._path}: no new picture for {OLD_SECONDS:g} s")
            left_seconds = deadline - self._elapsed()
            if left_seconds <= 0:
                return None
            self._sleep(min(LOOK_SECONDS, left_seconds))
