"""Whether a folder is on a disk: a bench whose syncs cost nothing measures nothing."""

from __future__ import annotations

from pathlib import Path

from tools.benches.errors import BenchFailed

MOUNTS = Path("/proc/mounts")


def require_on_disk(folder: Path, advice: str) -> None:
    """Raises BenchFailed for a folder in memory, with what to do about it."""
    if is_in_memory(folder):
        raise BenchFailed(f"{folder} is in memory: commits there cost nothing; {advice}")


def is_in_memory(folder: Path, mounts: Path = MOUNTS) -> bool:
    """Whether the folder's file system is a tmpfs, as /proc/mounts says (Linux)."""
    if not mounts.exists():
        return False
    kinds = {
        Path(words[1]): words[2] for words in map(str.split, mounts.read_text("utf-8").splitlines())
    }
    for one in (folder.resolve(), *folder.resolve().parents):
        if one in kinds:
            return kinds[one] in ("tmpfs", "ramfs")
    return False
