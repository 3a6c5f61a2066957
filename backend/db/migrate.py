"""Brings a database to the newest revision; each of the three has its own line of revisions."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from backend.db.engines import Databases
from backend.db.metadata import METADATA, Which

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(databases: Databases) -> None:
    """Run what is missing, each revision in a transaction. Does nothing when all is there."""
    for which in Which:
        config = alembic_config(which)
        newest = ScriptDirectory.from_config(config).get_current_head()
        with databases[which].engine.connect() as connection:
            if MigrationContext.configure(connection).get_current_revision() == newest:
                continue
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()


def alembic_config(which: Which) -> Config:
    """Alembic's settings for one database; revisions live in `migrations/<database>/`."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("version_locations", str(MIGRATIONS / which.value))
    config.set_main_option("path_separator", "os")
    config.attributes["metadata"] = METADATA[which]
    return config
