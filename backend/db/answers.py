"""The answers table: what was said to an operation the first time, kept with its effects."""

from __future__ import annotations

from sqlalchemy import Table

from backend.db.metadata import METADATA, Which
from backend.db.operations import Answer, IdempotencyConflict, Operation
from backend.db.rows import Rows, lock_number


def table_of(which: Which) -> Table:
    return METADATA[which].tables["answer"]


def lock(operation: Operation) -> int:
    """Who holds it decides about this id; nobody waits for it: the caller is told to ask again."""
    return lock_number(f"answer:{operation.scope}:{operation.key}")


def want(rows: Rows, operation: Operation) -> None:
    rows.want(table_of(rows.which), operation.scope, operation.key)


def find(rows: Rows, operation: Operation) -> Answer | None:
    """The first answer. Raises IdempotencyConflict when it was for another content."""
    row = rows.find(table_of(rows.which), operation.scope, operation.key)
    if row is None:
        return None
    if differing := operation.differs_from(row["content"]):
        raise IdempotencyConflict(fields=", ".join(differing))
    return Answer(row["status"], row["body"])


def keep(rows: Rows, operation: Operation) -> None:
    """Write down what was said."""
    assert operation.said is not None
    row = {
        "scope": operation.scope,
        "key": operation.key,
        "content": dict(operation.content),
        "status": operation.said.status,
        "body": operation.said.body,
        "created_at": rows.now,
    }
    rows.add(table_of(rows.which), row)
