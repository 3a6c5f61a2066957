"""What tests of the key service share: a moment, where files lie, and keys in the clear."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from backend.keys import KeyRef, NamedKeys

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
Files = tuple[Path, Path]


def plain_keys(keys: NamedKeys) -> dict[KeyRef, bytes]:
    """The newest version of each key that lies in the file."""
    store = keys.vault.store
    versions = store.read().versions
    return {one.ref: store.unseal(one.name, one.sealed) for one in versions if one.sealed}
