"""What lies under var/ belongs together: keys and databases are made at once, or nothing is."""

from __future__ import annotations

from backend.config import Config
from backend.db import Databases, Which
from backend.kernel import Clock
from backend.keys import NamedKeys
from backend.keys.opening import open_keys
from backend.keys.process import keep_memory_private


class VarDamaged(Exception):
    """Part of what must lie together under var/ is missing: refuse to start, touch nothing."""


def is_bare(config: Config) -> bool:
    """Whether nothing was made here yet. Raises VarDamaged when only a part is left.

    Keys and SQLite databases were made together: all of them are there, or none is.
    """
    urls = config.database_urls.values()
    databases = [config.path_of(url) for url in urls if url.startswith("sqlite")]
    missing = [path for path in (*config.key_files, *databases) if not path.exists()]
    if missing and len(missing) < 2 + len(databases):
        raise VarDamaged(
            f"{', '.join(str(path) for path in missing)} missing beside what is left in "
            f"{config.var}: restore it from a backup, or remove the whole folder to begin anew"
        )
    return bool(missing)


def open_keystore(config: Config, databases: Databases, clock: Clock, *, make: bool) -> NamedKeys:
    keep_memory_private()
    store, _ = config.key_files
    if make and (filled := [which.value for which in Which if databases.has_rows(which)]):
        raise VarDamaged(
            f"{store} is missing, but database {', '.join(filled)} has been used: what is "
            "sealed there opens with its own keys only; restore them from a backup"
        )
    return open_keys(config.key_files, config.keys, clock, make=make)
