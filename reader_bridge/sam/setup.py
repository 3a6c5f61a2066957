"""A SAM in software is made once: masters read from a file, sealed, and a tally beside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from card_protocol.epurse.sam import SamKey, SamTally
from card_protocol.errors import MalformedBytes
from reader_bridge.faults import SamFault
from reader_bridge.sam.sealed import COST_LOG2, FILE_BYTES_MAX, SamKeys, read_private, seal
from reader_bridge.sam.software import MISMATCHES_ALLOWED, SoftwareSam
from reader_bridge.sam.tally import TallyFile

KEY_FILE: Final = "sam.keys"
TALLY_FILE: Final = "sam.tally"
_LINE_PARTS: Final = 4


def read_masters(path: Path) -> tuple[SamKey, ...]:
    """From a text file of mode 0600, one master a line: version, algorithm (00 3DES, 04 SM4),
    levels (1 or 2) and 32 hex digits; `#` begins a remark.

    Raises SamFault(sam_missing, sam_keys_exposed, sam_state_damaged); never quotes a line.
    """
    damaged = SamFault("sam_state_damaged", file=str(path))
    masters = []
    try:
        for line in read_private(path, FILE_BYTES_MAX).decode("ascii").splitlines():
            parts = line.partition("#")[0].split()
            if not parts:
                continue
            if len(parts) != _LINE_PARTS or parts[2] not in {"1", "2"}:
                raise damaged
            version, algorithm = int(parts[0]), int(parts[1], 16)
            masters.append(SamKey(version, algorithm, int(parts[2]), bytes.fromhex(parts[3])))
    except (ValueError, MalformedBytes):
        raise damaged from None
    return tuple(masters)


def create(folder: Path, keys: SamKeys, passphrase: bytes, *, cost_log2: int = COST_LOG2) -> None:
    """Key file and tally in a folder that has neither. Raises SamFault(sam_state_unusable)."""
    for name in (KEY_FILE, TALLY_FILE):
        if (folder / name).exists():
            raise SamFault("sam_state_unusable", reason=f"{folder / name} is there already")
    body, path = seal(keys, passphrase, cost_log2=cost_log2), folder / KEY_FILE
    TallyFile.create(folder / TALLY_FILE, SamTally(keys.terminal)).close()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SamFault("sam_state_unusable", reason=f"{path}: {error.strerror}") from None


def open_sam(
    folder: Path, passphrase: bytes, *, mismatches_allowed: int = MISMATCHES_ALLOWED
) -> SoftwareSam:
    """The SAM of a folder. Raises SamFault."""
    return SoftwareSam.open(
        folder / KEY_FILE,
        folder / TALLY_FILE,
        passphrase,
        mismatches_allowed=mismatches_allowed,
    )
