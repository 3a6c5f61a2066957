"""Rows of the journal. Append only; the checks say the model's laws again."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    String,
    Table,
)

from backend.db import Utc, ledger_metadata

account = Table(
    "account",
    ledger_metadata,
    Column("account_id", String(80), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("side", String(6), nullable=False),
    Column("floor_fen", BigInteger),
    Column("ceiling_fen", BigInteger),
    Column("ceiling_article", String(80)),
    Column("state", String(8), nullable=False),
    Column("debits_posted", BigInteger, nullable=False),
    Column("credits_posted", BigInteger, nullable=False),
    Column("debits_pending", BigInteger, nullable=False),
    Column("credits_pending", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
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
)

transfer = Table(
    "transfer",
    ledger_metadata,
    Column("operation_id", String(100), primary_key=True),
    Column("code", String(32), nullable=False),
    Column("linked_to", String(100)),
    Column("memo", String(120), nullable=False),
    Column("business_date", Date, nullable=False),
    Column("posted_at", Utc, nullable=False),
)

posting = Table(
    "posting",
    ledger_metadata,
    Column("operation_id", String(100), primary_key=True),
    Column("leg", Integer, primary_key=True),
    Column("debit", String(80), nullable=False),
    Column("credit", String(80), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("debit <> credit", name="two_accounts"),
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
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("line > 0", name="line"),
)

hold = Table(
    "hold",
    ledger_metadata,
    Column("hold_id", String(100), primary_key=True),
    Column("debit", String(80), nullable=False),
    Column("credit", String(80), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("state", String(8), nullable=False),
    Column("expires_at", Utc),
    Column("made_at", Utc, nullable=False),
    Column("decided_at", Utc),
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("state IN ('pending', 'posted', 'voided')", name="state"),
    Index(None, "expires_at"),
)

APPEND_ONLY = (transfer, posting, entry)
"""No row of these is ever changed or deleted; the migration sets triggers that say so."""
