"""Files of this machine (POSIX): bounded reads of plain files, folders and names made durable."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hce.errors import CardFileFailed, CardFileMissing

PERMISSIONS_OF_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class PlainFile:
    """The beginning of a file that was there."""

    body: bytes
    size: int
    is_owners_alone: bool


def read_plain(path: Path, bytes_max: int) -> PlainFile:
    """At most so many bytes. Raises CardFileMissing, CardFileFailed; waits for no pipe."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode):
                raise CardFileFailed(path, "not a plain file")
            is_owners_alone = not about.st_mode & PERMISSIONS_OF_OTHERS
            return PlainFile(os.pread(handle, bytes_max, 0), about.st_size, is_owners_alone)
        finally:
            os.close(handle)
    except (FileNotFoundError, NotADirectoryError):
        raise CardFileMissing(path, "no such file") from None
    except OSError as error:
        raise failed(path, error) from error


def make_folder(folder: Path) -> None:
    """The folder and those above it, durably: each new name is synced where it stands.

    Raises CardFileFailed, naming the folder.
    """
    try:
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for one in missing:
            sync_directory(one.parent)
    except OSError as error:
        raise failed(folder, error) from error


def sync_directory(path: Path) -> None:
    """The names in it are durable when this returns."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def failed(path: Path, error: OSError) -> CardFileFailed:
    """In the operating system's words, without a path of its own."""
    return CardFileFailed(path, error.strerror or type(error).__name__)
