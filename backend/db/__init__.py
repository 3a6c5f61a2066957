"""Three databases (三库): one unit of work each, answers kept by id, the outbox between them."""

from backend.db.engines import Databases, DatabaseUnavailable, open_databases
from backend.db.group import Decide, Decision
from backend.db.metadata import (
    METADATA,
    Utc,
    Which,
    business_metadata,
    identity_metadata,
    ledger_metadata,
)
from backend.db.operations import AnsweredBefore, IdempotencyConflict, Operation
from backend.db.outbox import Event, OutboxWorker
from backend.db.rows import Rows
from backend.db.work import Units, Work

__all__ = [
    "METADATA",
    "AnsweredBefore",
    "DatabaseUnavailable",
    "Databases",
    "Decide",
    "Decision",
    "Event",
    "IdempotencyConflict",
    "Operation",
    "OutboxWorker",
    "Rows",
    "Units",
    "Utc",
    "Which",
    "Work",
    "business_metadata",
    "identity_metadata",
    "ledger_metadata",
    "open_databases",
]
