"""The deny list as a file that is read in place: whole or not at all, damage found when opened.

The file is this machine's own: numbers in its byte order, so that a look-up reads them where they
are. What is in memory is what the system has read of the file, and can drop. Knows no network.
"""

from __future__ import annotations

import hashlib
import hmac
import mmap
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from card_protocol.deny_list import ENTRIES_MAX, DenyKind, DenyList, DenyPart, require_counts
from card_protocol.errors import MalformedBytes
from reader_bridge.faults import TerminalFault

LIST_FILE: Final = "deny_list.bin"
SEAL_FILE: Final = "deny_list.seal"
DIGEST_BYTES: Final = 32
ENTRY_BYTES: Final = 8
_MAGIC: Final = b"CCDENY1" + (b"l" if sys.byteorder == "little" else b"b")
_HEAD: Final = struct.Struct("=8sQQII32x")
assert _HEAD.size == 64


class DenyListStore:
    """Two files: the list, and the last signed part, which says until when it was vouched for."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LIST_FILE
        self._seal = folder / SEAL_FILE
        self._beside = folder / (LIST_FILE + ".new")

    def load(self, keys: dict[bytes, bytes]) -> DenyList | None:
        """The list, or None before the first. `keys` check the seal: name -> SEC1 point.

        Raises TerminalFault(deny_list_damaged, state_unusable).
        """
        try:
            with self.path.open("rb") as file:
                found = self._opened(file.fileno())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TerminalFault("state_unusable", reason=f"{self.path}: {error}") from None
        as_of = max(found.as_of, self._sealed_at(found.version, keys))
        return DenyList(found.version, as_of, found.tokens, found.purses)

    def write(self, before: DenyList, part: DenyPart) -> DenyList:
        """The list after `part`, beside the one in use: `take_over` puts it in its place.

        Raises TerminalFault(state_unusable), `CodeRefused` count wrong.
        """
        try:
            return self._written(before, part)
        except OSError as error:
            raise TerminalFault("state_unusable", reason=f"{self._beside}: {error}") from None

    def take_over(self) -> None:
        """What `write` made last is the list from now on, also after a loss of power."""
        try:
            with self._beside.open("rb") as file:
                os.fsync(file.fileno())
            self._beside.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            raise TerminalFault("state_unusable", reason=f"{self.path}: {error}") from None

    def seal(self, part: DenyPart) -> None:
        """Keep a signed part that changes nothing: the list is good until then.

        Not synced: losing it only makes the list look older.
        """
        fresh = self._seal.with_name(SEAL_FILE + ".new")
        try:
            fresh.write_bytes(part.encode())
            fresh.replace(self._seal)
        except OSError as error:
            raise TerminalFault("state_unusable", reason=f"{self._seal}: {error}") from None

    def _written(self, before: DenyList, part: DenyPart) -> DenyList:
        # Unlinked first: what is being read stays as it is until nobody reads it any more.
        self._beside.unlink(missing_ok=True)
        descriptor = os.open(self._beside, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            file.write(bytes(_HEAD.size))
            counts = []
            for kind in DenyKind:
                start = file.tell()
                file.writelines(before.merged(part, kind))
                counts.append((file.tell() - start) // ENTRY_BYTES)
            require_counts(part, counts[0], counts[1])
            end = file.tell()
            file.seek(0)
            file.write(_HEAD.pack(_MAGIC, part.upto, part.issued_at, *counts))
            file.flush()
            with mmap.mmap(file.fileno(), end, access=mmap.ACCESS_READ) as whole:
                digest = hashlib.sha256(whole).digest()
            file.seek(end)
            file.write(digest)
            file.flush()
            return self._opened(file.fileno())

    def _opened(self, descriptor: int) -> DenyList:
        """The list in an open file. Raises TerminalFault(deny_list_damaged)."""
        size = os.fstat(descriptor).st_size
        if size < _HEAD.size + DIGEST_BYTES:
            raise self._damaged()
        view = memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ))
        magic, version, as_of, tokens, purses = _HEAD.unpack_from(view)
        end = _HEAD.size + (tokens + purses) * ENTRY_BYTES
        is_sized = max(tokens, purses) <= ENTRIES_MAX and end + DIGEST_BYTES == size
        if magic != _MAGIC or not is_sized:
            raise self._damaged()
        if not hmac.compare_digest(hashlib.sha256(view[:end]).digest(), bytes(view[end:])):
            raise self._damaged()
        numbers = view[_HEAD.size : end].cast("Q")
        return DenyList(version, as_of, numbers[:tokens], numbers[tokens:])

    def _sealed_at(self, version: int, keys: dict[bytes, bytes]) -> int:
        """When the list of this version was last vouched for, as far as the seal can prove it."""
        return max(self._moments(version, keys), default=0)

    def _moments(self, version: int, keys: dict[bytes, bytes]) -> Iterator[int]:
        try:
            part = DenyPart.decode(self._seal.read_bytes())
        except (FileNotFoundError, MalformedBytes):
            return
        is_ours = part.is_last and part.upto == version and part.is_signed(keys)
        if is_ours:
            yield part.issued_at

    def _damaged(self) -> TerminalFault:
        return TerminalFault("deny_list_damaged", file=str(self.path))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
