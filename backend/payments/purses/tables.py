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
    Column("balance_after_fen", BigInteger),  # as its terminal told; of older rows nobody knows
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
    Column("decided_by", String(64)),  # of a load that a person has ended, as the note
    Column("note", String(100)),
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("source IN ('wallet', 'cash')", name="source"),
    CheckConstraint("state IN ('begun', 'written', 'returned')", name="state"),
    CheckConstraint("(state = 'begun') = (decided_at IS NULL)", name="decided"),
    Index(None, "purse_number", "begun_at"),
    Index(None, "state", "load_id"),
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

purse_sam = Table(
    "purse_sam",
    ledger_metadata,
    Column("sam_number", String(12), primary_key=True),
    Column("terminal_id", String(40), nullable=False),
    Column("bound_by", String(64), nullable=False),  # a member of staff, or `upload`
    Column("bound_at", Utc, nullable=False),
    CheckConstraint("length(sam_number) = 12", name="sam_number_length"),
    Index(None, "terminal_id", "sam_number"),
    info={"citus": "sam_number", "lock": "own"},
)

# Where a SAM was before: what it said until then is still that terminal's to upload.
purse_sam_past = Table(
    "purse_sam_past",
    ledger_metadata,
    Column("sam_number", String(12), primary_key=True),
    Column("terminal_id", String(40), primary_key=True),
    Column("ended_at", Utc, nullable=False),
    info={"citus": "sam_number"},
)

# A purchase that its terminal could not tell the outcome of, until a person ends it.
purse_loss = Table(
    "purse_loss",
    ledger_metadata,
    Column("loss_id", String(40), primary_key=True),
    Column("purse_number", String(20), nullable=False),
    Column("terminal_id", String(40), nullable=False),
    Column("merchant_id", String(40), nullable=False),
    Column("shop_name", String(60), nullable=False),
    Column("reference", String(64), nullable=False),  # the terminal's own, of the sale
    Column("purchase_counter", BigInteger, nullable=False),  # of the chip, before the sale
    Column("balance_before_fen", BigInteger, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("state", String(10), nullable=False),
    Column("opened_by", String(64), nullable=False),
    Column("opened_at", Utc, nullable=False),
    Column("decided_by", String(64)),
    Column("decided_at", Utc),
    Column("note", String(100)),
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("state IN ('open', 'refunded', 'paid', 'dismissed')", name="state"),
    CheckConstraint("(state = 'open') = (decided_at IS NULL)", name="decided"),
    Index(None, "state", "loss_id"),
    info={"citus": "loss_id", "lock": "own"},
)
