"""`python -m tools.revision MESSAGE`: writes the revisions that bring the tables up to the code.

Compares each database's tables with its migrations, in an empty SQLite file; writes a file only
where they differ. Read what it wrote before committing it.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import backend
from backend.db import METADATA, Which, open_databases
from backend.db.migrate import MIGRATIONS, alembic_config, upgrade


def import_tables() -> None:
    """Import every `tables` module of the backend, so that the metadata is whole."""
    for module in pkgutil.walk_packages(backend.__path__, "backend."):
        if module.name.endswith(".tables"):
            importlib.import_module(module.name)


def main(message: str) -> int:
    """Write what is missing; 0 when done."""
    import_tables()
    with tempfile.TemporaryDirectory() as folder:
        urls = {which: f"sqlite:///{Path(folder) / which.value}.db" for which in Which}
        databases = open_databases(urls)
        upgrade(databases)
        for which in Which:
            config = alembic_config(which)
            with databases[which].engine.connect() as connection:
                context = MigrationContext.configure(connection)
                if not compare_metadata(context, METADATA[which]):
                    continue
                config.attributes["connection"] = connection
                number = len(list((MIGRATIONS / which.value).glob("*.py"))) + 1
                command.revision(
                    config,
                    message,
                    autogenerate=True,
                    rev_id=f"{which.value}_{number:04d}",
                    version_path=str(MIGRATIONS / which.value),
                )
        databases.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:]) or "change"))
