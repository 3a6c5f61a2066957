"""Rows of purses' books, loads and cases, in the ledger database, beside their postings.

Whoever decides about a purse holds its `purse_book`; uses of counters and TACs are guarded by it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Table,
)

from backend.db import Utc, ledger_metadata

purse_book = Table(
    "purse_book",
    ledger_metadata,
    Column("purse_number", String(20), primary_key=True),
    Column("chip_fen", BigInteger, nullable=False),  # as last seen
    Column("chip_seen_at", Utc, nullable=False),
    Column("purchase_counter", BigInteger),  # the highest one uploaded
    Column("load_counter", BigInteger),  # as the chip last told it
    Column("open_load_id", String(40)),  # paid, and nobody knows yet whether it is on the chip
    info={"citus": "purse_number", "lock": "own"},
)

purse_purchase = Table(
    "purse_purchase",
    ledger_metadata,
    Column("purse_number", String(20), primary_key=True),
    Column("purchase_counter", BigInteger, primary_key=True),
    Column("payment_id", String(40), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("made_at", Utc, nullable=False),
    CheckConstraint("amount_fen >= 0", name="amount"),
    info={"citus": "purse_number"},
)

# What a TAC covers of its identity: it pays once, whatever counter it is uploaded under.
purse_proof_use = Table(
    "purse_proof_use",
    ledger_metadata,
    Column("purse_number", String(20), primary_key=True),
    Column("sam_number", String(12), primary_key=True),
    Column("sam_serial", String(8), primary_key=True),
    Column("payment_id", String(40), nullable=False),
    info={"citus": "purse_number"},
)

purse_load = Table(
    "purse_load",
    ledger_metadata,
    Column("load_id", String(40), primary_key=True),
    Column("purse_number", String(20), nullable=False),
    Column("issuer_id", String(16), nullable=False),
    Column("suite", SmallInteger, nullable=False),
    Column("key_version", SmallInteger, nullable=False),
    Column("terminal_id", String(40), nullable=False),
    Column("sam_number", String(12), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("source", String(8), nullable=False),
    Column("source_id", String(80), nullable=False),  # the account that paid
    Column("old_balance_fen", BigInteger, nullable=False),
    Column("load_counter", BigInteger, nullable=False),
    Column("random", LargeBinary(4), nullable=False),
    Column("mac2", LargeBinary(4), nullable=False),
    Column("transaction_time", String(14), nullable=False),
    Column("state", String(10), nullable=False),
    Column("told_by", String(16)),  # what decided it
    Column("is_contradicted", Boolean, nullable=False),  # the chip says otherwise since
    Column("begun_at", Utc, nullable=False),
    Column("decided_at", Utc),
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("source IN ('wallet', 'cash')", name="source"),
    CheckConstraint("state IN ('begun', 'written', 'returned')", name="state"),
    CheckConstraint("(state = 'begun') = (decided_at IS NULL)", name="decided"),
    Index(None, "purse_number", "begun_at"),
    info={"citus": "load_id"},
)

purse_case = Table(
    "purse_case",
    ledger_metadata,
    Column("case_id", String(40), primary_key=True),
    Column("payment_id", String(40), nullable=False),
    Column("purse_number", String(20), nullable=False),
    Column("merchant_id", String(40), nullable=False),
    Column("shop_name", String(60), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("reason", String(40), nullable=False),
    Column("state", String(10), nullable=False),
    Column("opened_at", Utc, nullable=False),
    Column("decided_by", String(64)),
    Column("decided_at", Utc),
    Column("note", String(100)),
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("state IN ('open', 'paid', 'dismissed')", name="state"),
    CheckConstraint("(state = 'open') = (decided_at IS NULL)", name="decided"),
    Index(None, "state", "case_id"),
    info={"citus": "case_id", "lock": "own"},
)
