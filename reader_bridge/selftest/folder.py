"""The state folder: its rights, its room, how long it takes until a write is on the disk."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Final

from reader_bridge.client_key import IDENTITY_FILE, JOURNAL_FILE, KEY_FILE
from reader_bridge.local.token import TOKEN_FILE
from reader_bridge.selftest.lines import Line, fail, ok

FREE_BYTES_MIN: Final = 64 * 1024 * 1024  # the journal's reserve, its log, and a deny list anew
SYNC_SECONDS_MAX: Final = 0.1  # median; a sale waits for one of them before the green light
SYNCS: Final = 5
_PROBE_BYTES: Final = 4096
_PRIVATE: Final = (KEY_FILE, IDENTITY_FILE, JOURNAL_FILE, TOKEN_FILE)

Elapsed = Callable[[], float]


def check_folder(folder: Path) -> Line:
    """Only its owner may look into it, and we are its owner."""
    name = "folder"
    if not folder.is_dir():
        return fail(name, "folder_missing", f"没有目录 {folder}", f"no folder {folder}")
    mode = folder.stat().st_mode & 0o777
    if mode & 0o077:
        return fail(
            name, "folder_exposed", f"{folder} 权限 {mode:o}", f"{folder} has mode {mode:o}"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        return fail(name, "folder_not_writable", f"{folder} 不可写", f"{folder} cannot be written")
    for file in (folder / one for one in _PRIVATE):
        if not file.exists():
            continue
        mode = file.stat().st_mode & 0o777
        if mode & 0o077:
            return fail(name, "file_exposed", f"{file} 权限 {mode:o}", f"{file} has mode {mode:o}")
    return ok(name, f"{folder},仅属主可读", f"{folder}, its owner's only")


def check_disk(folder: Path, elapsed: Elapsed) -> Line:
    """Room for offline sales, and a disk that says truly and soon that it has written."""
    name = "disk"
    try:
        free_bytes = shutil.disk_usage(folder).free
        sync_seconds = _sync_seconds(folder, elapsed)
    except OSError as error:
        words = error.strerror or "error"
        return fail(name, "folder_not_writable", words, words)
    free_mib, sync_ms = free_bytes // (1024 * 1024), sync_seconds * 1000
    zh = f"剩余 {free_mib} MiB,落盘 {sync_ms:.1f} 毫秒"
    en = f"{free_mib} MiB free, {sync_ms:.1f} ms until a write is on it"
    if free_bytes < FREE_BYTES_MIN:
        return fail(name, "disk_low", zh, en)
    if sync_seconds > SYNC_SECONDS_MAX:
        return fail(name, "disk_slow", zh, en)
    return ok(name, zh, en)


def _sync_seconds(folder: Path, elapsed: Elapsed) -> float:
    """The median of SYNCS small writes, each synced. Raises OSError."""
    path = folder / f".self-test.{os.getpid()}"
    taken = []
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        for _ in range(SYNCS):
            started = elapsed()
            os.write(file, bytes(_PROBE_BYTES))
            os.fsync(file)
            taken.append(elapsed() - started)
    finally:
        os.close(file)
        path.unlink()
    return statistics.median(taken)
