"""Rows of offline sales, in the ledger database: saved with their postings or not at all.

A sale is guarded by the keys of `payment` and `terminal_sale`, which every upload holds.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from backend.db import Utc, ledger_metadata

offline_sale = Table(
    "offline_sale",
    ledger_metadata,
    Column("terminal_id", String(40), primary_key=True),
    Column("terminal_counter", BigInteger, primary_key=True),
    Column("payment_id", String(40), nullable=False),
    Column("incarnation", String(16), nullable=False),
    Column("chain", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("accepted_at", Utc, nullable=False),  # the terminal's clock
    Column("received_at", Utc, nullable=False),
    Column("state", String(12), nullable=False),
    Column("code", String(40)),
    Column("detail", JSON),  # language -> words
    Column("balance_fen", BigInteger),
    Column("case_id", String(40)),
    Column("content", JSON, nullable=False),  # the item as it came: proof included
    CheckConstraint("amount_fen >= 0", name="amount"),
    CheckConstraint("state IN ('captured', 'refused')", name="state"),
    CheckConstraint("(state = 'refused') = (code IS NOT NULL)", name="refused_has_code"),
    info={"citus": "terminal_id"},
)

# What moved under a sale's id, and who gave it: an id that moved money is nobody else's.
offline_payment = Table(
    "offline_payment",
    ledger_metadata,
    Column("payment_id", String(40), primary_key=True),
    Column("terminal_id", String(40), nullable=False),
    Column("terminal_number", String(8), nullable=False),
    Column("operation_id", String(100), nullable=False),  # of the posting
    Column("wallet_fen", BigInteger, nullable=False),
    Column("debt_fen", BigInteger, nullable=False),
    Column("loss_fen", BigInteger, nullable=False),  # what the issuer bears
    CheckConstraint("wallet_fen >= 0 AND debt_fen >= 0 AND loss_fen >= 0", name="parts"),
    Index(None, "operation_id"),
    info={"citus": "payment_id"},
)

# An item that could not be read, for a person to look at.
offline_unread = Table(
    "offline_unread",
    ledger_metadata,
    Column("terminal_id", String(40), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("wrong_fields", String(200), nullable=False),
    Column("content", Text, nullable=False),
    Column("seen_at", Utc, nullable=False),
    info={"citus": "terminal_id", "lock": "own"},
)

# One counter, two sales: what the second said. The first stands.
terminal_clone = Table(
    "terminal_clone",
    ledger_metadata,
    Column("terminal_id", String(40), primary_key=True),
    Column("terminal_counter", BigInteger, primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("first_payment_id", String(40), nullable=False),
    Column("payment_id", String(40), nullable=False),
    Column("incarnation", String(16), nullable=False),
    Column("chain", String(64), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("content", JSON, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Index(None, "terminal_id", "seen_at"),
    info={"citus": "terminal_id"},
)

# Each opening of a terminal's journal has a number of its own: an old one that comes back is
# another disk, or a request that was long under way.
terminal_journal = Table(
    "terminal_journal",
    ledger_metadata,
    Column("terminal_id", String(40), primary_key=True),
    Column("incarnation", String(16), nullable=False),
    Column("uploaded_at", Utc, nullable=False),
    info={"citus": "terminal_id", "lock": "own"},
)

terminal_incarnation = Table(
    "terminal_incarnation",
    ledger_metadata,
    Column("terminal_id", String(40), primary_key=True),
    Column("incarnation", String(16), primary_key=True),
    Column("first_seen_at", Utc, nullable=False),
    Column("returned_at", Utc),  # it came back after a later one
    Column("returns", Integer, nullable=False),
    CheckConstraint("(returned_at IS NULL) = (returns = 0)", name="returned"),
    info={"citus": "terminal_id"},
)

# Sales refused because their SAM is another terminal's; guarded by the key of `payment`.
foreign_sam_sale = Table(
    "foreign_sam_sale",
    ledger_metadata,
    Column("payment_id", String(40), primary_key=True),
    Column("terminal_id", String(40), nullable=False),
    Column("terminal_counter", BigInteger, nullable=False),
    Column("sam_number", String(12), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("state", String(10), nullable=False),
    Column("decided_by", String(64)),
    Column("decided_at", Utc),
    Column("note", String(100)),
    CheckConstraint("state IN ('open', 'paid', 'dismissed')", name="state"),
    CheckConstraint("(state = 'open') = (decided_at IS NULL)", name="decided"),
    Index(None, "state", "payment_id"),
    info={"citus": "payment_id"},
)
