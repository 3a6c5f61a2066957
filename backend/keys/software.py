"""The default keystore: a file of keys sealed under a key-encryption key kept elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from backend.kernel import Clock, SystemClock
from backend.keys import files
from backend.keys.model import Contents, KeyState
from backend.keys.port import KeyRef
from backend.keys.secret import Secret
from backend.keys.service import NamedKeys
from backend.keys.store import KEK_BYTES, Store
from backend.keys.vault import Vault

__all__ = ["SoftwareKeys", "complete", "make_store"]


class SoftwareKeys(NamedKeys):
    """Keys in memory, opened from an encrypted file."""

    __slots__ = ()

    @classmethod
    def make(
        cls,
        store: Path,
        kek_file: Path,
        passphrase: Secret | None = None,
        clock: Clock | None = None,
    ) -> SoftwareKeys:
        """Make a new store with a fresh key per KeyRef; FileExistsError if there is one."""
        vault = Vault(make_store(store, kek_file, passphrase))
        complete(vault, clock or SystemClock(), is_new=True)
        return cls(vault)

    @classmethod
    def open(
        cls,
        store: Path,
        kek_file: Path,
        passphrase: Secret | None = None,
        clock: Clock | None = None,
    ) -> SoftwareKeys:
        """Open a store; keys that came into use after it was made are made and added now.

        Raises KeystoreDamaged, naming file or key, when anything is amiss: also for a key that
        the store was given and has lost.
        """
        vault = Vault(Store.reach(store, kek_file, passphrase))
        complete(vault, clock or SystemClock())
        return cls(vault)


def make_store(store: Path, kek_file: Path, passphrase: Secret | None) -> Store:
    """A new key-encryption key for a store that is not there yet; FileExistsError."""
    if store.exists():
        raise FileExistsError(store)
    store.parent.mkdir(parents=True, exist_ok=True)
    files.write_new(kek_file, os.urandom(KEK_BYTES))
    return Store.reach(store, kek_file, passphrase)


def complete(vault: Vault, clock: Clock, *, is_new: bool = False) -> Contents:
    """Make the keys this store was never given; of processes that open it together, one does.

    Nothing is added to a store that is not whole. Raises KeystoreDamaged, KeyUnavailable.
    """
    contents = Contents(()) if is_new else vault.store.read()
    if not is_new and all(contents.of(ref) for ref in KeyRef):
        vault.check_active(contents)
        return contents
    with files.alone(vault.store.path):
        contents = Contents(()) if is_new else vault.store.read()
        for version in contents.versions:
            if version.state is not KeyState.RETIRED:
                vault.open(version)
        for ref in KeyRef:
            if not contents.of(ref):
                made = vault.make(ref, contents.next_number(ref), KeyState.ACTIVE, clock.now())
                contents = contents.with_version(made)
        vault.check_active(contents)
        if is_new:
            vault.store.write_new(contents)
        else:
            vault.store.write(contents)
    return contents
