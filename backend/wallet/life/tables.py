"""Rows of a wallet's later life; the money itself is in the ledger's accounts and holds."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    text,
)

from backend.db import Utc, ledger_metadata
from backend.wallet.ledger.tables import account

# A wallet that was ever frozen or closed, and each change of it. Held with its account: the
# same rank, no lock of their own.
wallet_life = Table(
    "wallet_life",
    ledger_metadata,
    Column("wallet_id", String(40), primary_key=True),
    Column("state", String(8), nullable=False),
    Column("changes", Integer, nullable=False),
    CheckConstraint("state IN ('open', 'frozen', 'closing', 'closed')", name="state"),
    CheckConstraint("changes > 0", name="changes"),
    info={"citus": "wallet_id", "rank": 2},
)

wallet_change = Table(
    "wallet_change",
    ledger_metadata,
    Column("wallet_id", String(40), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("event", String(16), nullable=False),
    Column("state", String(8), nullable=False),
    Column("reason", String(100), nullable=False),
    Column("changed_by", String(40), nullable=False),
    Column("changed_at", Utc, nullable=False),
    CheckConstraint("number > 0", name="number"),
    info={"citus": "wallet_id", "rank": 2},
)

# Money on its way to somebody's bank account; its hold in the ledger has the same id.
redemption = Table(
    "redemption",
    ledger_metadata,
    Column("redemption_id", String(40), primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("wallet_id", String(40), nullable=False),
    Column("case_id", String(40)),
    Column("person_id", String(40), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("state", String(10), nullable=False),
    Column("failure_code", String(40)),
    Column("bank_card_sealed", LargeBinary, nullable=False),
    Column("bank_card_end", String(4), nullable=False),
    Column("bank_reference", String(64)),
    Column("created_at", Utc, nullable=False),
    Column("settled_at", Utc),
    Column("ask_again_at", Utc),
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("kind IN ('redemption', 'closing', 'case')", name="kind"),
    CheckConstraint("(kind = 'case') = (case_id IS NOT NULL)", name="case"),
    CheckConstraint("state IN ('processing', 'succeeded', 'failed')", name="state"),
    CheckConstraint("(state = 'processing') = (settled_at IS NULL)", name="settled"),
    info={"citus": "redemption_id", "lock": "own"},
)

suspense_case = Table(
    "suspense_case",
    ledger_metadata,
    Column("case_id", String(40), primary_key=True),
    Column("wallet_id", String(40), nullable=False),
    Column("person_id", String(40), nullable=False),
    Column("operation_id", String(100), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("reason", String(100), nullable=False),
    Column("state", String(8), nullable=False),
    Column("opened_at", Utc, nullable=False),
    Column("decided_by", String(40)),
    Column("decided_at", Utc),
    Column("paid_by", String(40)),
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("state IN ('open', 'paying', 'paid')", name="state"),
    Index(None, "state", "case_id"),
    info={"citus": "case_id", "lock": "own"},
)

write_off = Table(
    "write_off",
    ledger_metadata,
    Column("write_off_id", String(40), primary_key=True),
    Column("wallet_id", String(40), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("reason", String(100), nullable=False),
    Column("staff_id", String(40), nullable=False),
    Column("made_at", Utc, nullable=False),
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    info={"citus": "write_off_id", "lock": "own"},
)

correction_request = Table(
    "correction_request",
    ledger_metadata,
    Column("correction_id", String(40), primary_key=True),
    Column("operation_id", String(100), nullable=False),
    Column("posting_code", String(32), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("reason", String(100), nullable=False),
    Column("state", String(8), nullable=False),
    Column("asked_by", String(40), nullable=False),
    Column("asked_at", Utc, nullable=False),
    Column("decided_by", String(40)),
    Column("decided_at", Utc),
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("state IN ('asked', 'approved', 'rejected')", name="state"),
    CheckConstraint("(state = 'asked') = (decided_by IS NULL)", name="decided"),
    CheckConstraint("decided_by <> asked_by", name="four_eyes"),
    Index(None, "state", "correction_id"),
    info={"citus": "correction_id", "lock": "own"},
)

# Riders who owe are found without a walk through all accounts. Neither column ever changes.
Index(
    "ix_account_ride_debt",
    account.c.account_id,
    sqlite_where=text("kind = 'ride_debt'"),
    postgresql_where=text("kind = 'ride_debt'"),
)
