"""Alembic's entry: runs one database's revisions on the connection `migrate` hands in."""

from __future__ import annotations

from alembic import context

config = context.config
context.configure(
    connection=config.attributes["connection"],
    target_metadata=config.attributes["metadata"],
    render_as_batch=True,
    user_module_prefix="db.",
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
