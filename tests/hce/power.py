"""A disk that loses power: every byte written, every sync and every rename is a place to cut.

It sits between a store and the operating system and keeps account of what POSIX promises after a
power cut: a file's bytes last once it is synced, a name once its directory is synced. What was
not synced yet may last or not, so one cut leaves several possible disks.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

Disk = frozenset[tuple[str, bytes]]  # names with their bytes
Work = Callable[[], object]


class PowerCut(BaseException):
    """Not an Exception: nothing in the program under test may catch it."""


@dataclass
class _File:
    written: bytes
    synced: bytes


@dataclass
class CuttingDisk:
    """One folder; `cut_at` is the number of the step that does not happen any more."""

    folder: Path
    cut_at: int = -1
    steps: int = 0
    _named: dict[str, _File] = field(default_factory=dict)
    _synced_names: dict[str, _File] = field(default_factory=dict)
    _open: dict[int, _File] = field(default_factory=dict)
    _folders: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for path in self.folder.iterdir():
            body = path.read_bytes()
            self._named[path.name] = _File(body, body)
        self._synced_names = dict(self._named)

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        """While inside, the folder's writes go through here."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("open", "write", "fsync", "replace", "close"):
                patch.setattr(os, name, getattr(self, f"_do_{name}")(getattr(os, name)))
            patch.setattr(os, "fdopen", self._do_fdopen(os.fdopen))
            yield

    def disks(self) -> set[Disk]:
        """Every disk that a power cut at this moment may leave behind."""
        return {
            frozenset((name, file.written if is_lucky else file.synced) for name, file in names)
            for names in (self._named.items(), self._synced_names.items())
            for is_lucky in (True, False)
        }

    def _step(self) -> None:
        if self.steps == self.cut_at:
            raise PowerCut
        self.steps += 1

    def _do_open(self, real: Any) -> Any:
        def opened(path: Any, flags: int, *arguments: Any, **names: Any) -> int:
            place = Path(path)
            if place == self.folder:
                handle = real(path, flags, *arguments, **names)
                self._folders.add(handle)
            elif place.parent == self.folder and flags & os.O_TRUNC:
                self._step()
                handle = real(path, flags, *arguments, **names)
                file = self._named.setdefault(place.name, _File(b"", b""))
                file.written = b""
                self._open[handle] = file
            else:
                handle = real(path, flags, *arguments, **names)
            return int(handle)

        return opened

    def _do_write(self, real: Any) -> Any:
        def write(handle: int, body: Any) -> int:
            if handle not in self._open:
                return int(real(handle, body))
            left = self.cut_at - self.steps  # each byte is a step
            is_cut = 0 <= left < len(body)
            fitting = bytes(body)[:left] if is_cut else bytes(body)
            self.steps += real(handle, fitting)
            self._open[handle].written += fitting
            if is_cut:
                raise PowerCut
            return len(body)

        return write

    def _do_fdopen(self, real: Any) -> Any:
        def fdopen(handle: int, *arguments: Any, **names: Any) -> Any:
            if handle not in self._open:
                return real(handle, *arguments, **names)
            return io.BufferedWriter(_Raw(handle))

        return fdopen

    def _do_fsync(self, real: Any) -> Any:
        def fsync(handle: int) -> None:
            if handle in self._open:
                self._step()
                self._open[handle].synced = self._open[handle].written
            elif handle in self._folders:
                self._step()
                self._synced_names = dict(self._named)
            else:
                real(handle)  # what is ours is not synced in earnest: thousands of runs

        return fsync

    def _do_replace(self, real: Any) -> Any:
        def replace(source: Any, target: Any) -> None:
            if Path(source).parent == self.folder:
                self._step()
                self._named[Path(target).name] = self._named.pop(Path(source).name)
            real(source, target)

        return replace

    def _do_close(self, real: Any) -> Any:
        def close(handle: int) -> None:
            self._open.pop(handle, None)
            self._folders.discard(handle)
            real(handle)

        return close


class _Raw(io.RawIOBase):
    """A file object whose bytes go through `os.write`, and so through the disk above."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._handle

    def write(self, body: Any) -> int:
        return os.write(self._handle, body)

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._handle)


def every_cut(folder: Path, work: Work) -> Iterator[set[Disk]]:
    """Does `work` again and again, each time cut one step later; the possible disks of each.

    The folder is put back before each run. The last set is that of a cut after `work` returned.
    """
    before = _read(folder)
    cut_at = 0
    while True:
        _put(folder, before)
        disk = CuttingDisk(folder, cut_at)
        with disk.mounted():
            try:
                work()
            except PowerCut:
                yield disk.disks()
                cut_at += 1
                continue
        assert disk.steps == cut_at > 0  # the last run was whole
        yield disk.disks()
        return


def boot(folder: Path, disk: Disk) -> None:
    """The folder as the next start finds it."""
    _put(folder, dict(disk))


def _read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _put(folder: Path, files: dict[str, bytes]) -> None:
    for path in folder.iterdir():
        path.unlink()
    for name, body in files.items():
        (folder / name).write_bytes(body)
