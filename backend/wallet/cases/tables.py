"""Rows of cases. They are guarded by the row of their day (`match_day`), whose key is held."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, Index, String, Table

from backend.db import Utc, ledger_metadata
from backend.wallet.cases.model import CaseState

SUBJECT_MAX = 100

match_case = Table(
    "match_case",
    ledger_metadata,
    Column("business_date", Date, primary_key=True),
    Column("subject", String(SUBJECT_MAX), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("bank_fen", BigInteger),
    Column("ours_fen", BigInteger),
    Column("ledger_fen", BigInteger),
    Column("state", String(12), nullable=False),
    Column("case_number", String(40)),
    Column("reason", String(200)),
    Column("explained_by", String(64)),
    Column("found_at", Utc, nullable=False),
    Column("explained_at", Utc),
    CheckConstraint(f"state IN ({', '.join(repr(one.value) for one in CaseState)})", name="state"),
    CheckConstraint(
        "state <> 'explained' OR (case_number IS NOT NULL AND reason IS NOT NULL)", name="explained"
    ),
    Index(None, "state", "business_date"),
    info={"citus": "business_date", "rank": 2},
)

match_day = Table(
    "match_day",
    ledger_metadata,
    Column("business_date", Date, primary_key=True),
    Column("state", String(8), nullable=False),
    Column("matched_at", Utc),  # null: a case came before the first match
    Column("closed_by", String(64)),
    Column("closed_at", Utc),
    CheckConstraint("state IN ('open', 'closed')", name="state"),
    CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed"),
    info={"citus": "business_date", "lock": "own"},
)
