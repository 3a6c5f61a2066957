"""Rows of the journal. Append only; the checks say the model's laws again.

How rows are guarded (`info`: lock, rank) is explained in `backend.db.rows.Rows`: an account is
held last of all, its usage with it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
)

from backend.db import Utc, ledger_metadata

account = Table(
    "account",
    ledger_metadata,
    Column("account_id", String(80), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("account_class", String(16)),  # whose limits hold; null: none of them
    Column("side", String(6), nullable=False),
    Column("floor_fen", BigInteger),
    Column("state", String(8), nullable=False),
    Column("debits_posted", BigInteger, nullable=False),
    Column("credits_posted", BigInteger, nullable=False),
    Column("debits_pending", BigInteger, nullable=False),
    Column("credits_pending", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("holds_expire_at", Utc),  # no hold on this account's money expires before
    CheckConstraint("side IN ('debit', 'credit')", name="side"),
    CheckConstraint("state IN ('open', 'frozen', 'closed')", name="state"),
    CheckConstraint("debits_posted >= 0 AND credits_posted >= 0", name="posted"),
    CheckConstraint("debits_pending >= 0 AND credits_pending >= 0", name="pending"),
    CheckConstraint(
        "floor_fen IS NULL"
        " OR (side = 'credit' AND credits_posted - debits_posted - debits_pending >= floor_fen)"
        " OR (side = 'debit' AND debits_posted - credits_posted - credits_pending >= floor_fen)",
        name="floor",
    ),
    info={"citus": "account_id", "lock": "own", "rank": 2},
    # Room on each page for the next version of its rows: the index then stays as it is.
    postgresql_with={"fillfactor": 70},
)

posting = Table(
    "posting",
    ledger_metadata,
    Column("operation_id", String(100), primary_key=True),
    Column("leg", Integer, primary_key=True),
    Column("debit", String(80), nullable=False),
    Column("credit", String(80), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("code", String(32), nullable=False),
    Column("linked_to", String(100)),
    Column("memo", String(120), nullable=False),
    Column("business_date", Date, nullable=False),
    Column("posted_at", Utc, nullable=False),
    Column("segment", BigInteger, nullable=False),
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("debit <> credit", name="two_accounts"),
    Index(None, "segment"),
    info={"citus": "operation_id", "lock": "own"},
)

entry = Table(
    "entry",
    ledger_metadata,
    Column("account_id", String(80), primary_key=True),
    Column("line", BigInteger, primary_key=True),
    Column("operation_id", String(100), nullable=False),
    Column("leg", Integer, nullable=False),
    Column("side", String(6), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("balance_fen", BigInteger, nullable=False),
    # As in the posting, said again so that an account is summed up where its lines lie.
    Column("code", String(32), nullable=False),
    Column("posted_at", Utc, nullable=False),
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("line > 0", name="line"),
    Index(None, "account_id", "posted_at"),
    info={"citus": "account_id"},
)

hold = Table(
    "hold",
    ledger_metadata,
    Column("hold_id", String(100), primary_key=True),
    Column("debit", String(80), nullable=False),
    Column("credit", String(80), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("state", String(8), nullable=False),
    Column("counts", String(160), nullable=False),  # counters it was counted in, comma between
    Column("expires_at", Utc),
    Column("made_at", Utc, nullable=False),
    Column("decided_at", Utc),
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("state IN ('pending', 'posted', 'voided', 'expired')", name="state"),
    Index(None, "debit", "state", "expires_at"),
    info={"citus": "hold_id", "lock": "own"},
)

# What an account has used of a limit: spent today, topped up in cash this year, …
usage = Table(
    "usage",
    ledger_metadata,
    Column("account_id", String(80), primary_key=True),
    Column("counter", String(32), primary_key=True),
    Column("period", String(8), primary_key=True),  # on 1 January a day and a year begin
    Column("starts_on", Date, primary_key=True),
    Column("amount_fen", BigInteger, nullable=False),
    Column("times", BigInteger, nullable=False),
    CheckConstraint("period IN ('day', 'year', 'ever')", name="period"),
    CheckConstraint("amount_fen >= 0 AND times >= 0", name="not_negative"),
    info={"citus": "account_id", "rank": 2},
    postgresql_with={"fillfactor": 70},
)

# The segment that postings are written into now: one row. The sealer turns the number.
open_segment = Table(
    "open_segment",
    ledger_metadata,
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    CheckConstraint('"only" = 1', name="only"),
    info={"citus": "reference", "lock": "shared"},
)

# A sealed segment: nothing in it can change without the seal telling.
segment = Table(
    "segment",
    ledger_metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("postings", BigInteger, nullable=False),
    Column("leaves", LargeBinary, nullable=False),  # 16 bytes a posting, in canonical order
    Column("previous_hash", LargeBinary, nullable=False),
    Column("segment_hash", LargeBinary, nullable=False),
    Column("key_id", String(64), nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("sealed_at", Utc, nullable=False),
    CheckConstraint("postings >= 0", name="postings"),
    info={"citus": "reference"},
)

APPEND_ONLY = (posting, entry, segment)
"""No row of these is ever changed or deleted; the migration sets triggers that say so."""
