"""Rows of top-ups by each channel; a card number is encrypted, its last four digits are shown."""

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

# --- from a bank card -----------------------------------------------------------------------------

topup = Table(
    "topup",
    ledger_metadata,
    Column("topup_id", String(40), primary_key=True),
    Column("wallet_id", String(40), nullable=False),
    Column("person_id", String(40), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("state", String(12), nullable=False),
    Column("failure_code", String(40)),
    Column("bank_card_sealed", LargeBinary, nullable=False),
    Column("bank_card_end", String(4), nullable=False),
    Column("bank_reference", String(64)),
    Column("created_at", Utc, nullable=False),
    Column("settled_at", Utc),
    Column("ask_again_at", Utc),
    Column("booked_on", Date),  # the statement's day, as the bank told it; only when it succeeded
    Column("order_id", String(40)),  # the standing order that asked; null: the citizen did
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("state IN ('processing', 'succeeded', 'failed')", name="state"),
    CheckConstraint("(state = 'processing') = (settled_at IS NULL)", name="settled"),
    Index(None, "booked_on"),
    info={"citus": "topup_id", "lock": "own"},
)

# A standing order of a wallet, at most one. Guarded by the wallet's account: every payment reads
# it, and so does whoever settles a top-up; both hold the account.
automatic_topup = Table(
    "automatic_topup",
    ledger_metadata,
    Column("wallet_id", String(40), primary_key=True),
    Column("order_id", String(40), nullable=False),
    Column("person_id", String(40), nullable=False),
    Column("threshold_fen", BigInteger, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("month_max_fen", BigInteger, nullable=False),
    Column("month", Date, nullable=False),  # its first day
    Column("month_fen", BigInteger, nullable=False),  # asked for in it and not declined
    Column("bank_card_sealed", LargeBinary, nullable=False),
    Column("bank_card_end", String(4), nullable=False),
    Column("declines", Integer, nullable=False),  # in a row
    Column("state", String(8), nullable=False),
    Column("paused_code", String(40)),
    Column("made_at", Utc, nullable=False),
    CheckConstraint("state IN ('active', 'paused')", name="state"),
    CheckConstraint("(state = 'paused') = (paused_code IS NOT NULL)", name="paused"),
    CheckConstraint("threshold_fen > 0 AND amount_fen > 0", name="positive"),
    CheckConstraint("month_fen >= 0 AND declines >= 0", name="not_negative"),
    info={"citus": "wallet_id", "rank": 2},
)

# --- cash at a counter ----------------------------------------------------------------------------

# What a counter takes in a day. Its id is derived from both, so there is one.
cash_drawer = Table(
    "cash_drawer",
    ledger_metadata,
    Column("drawer_id", String(40), primary_key=True),
    Column("counter", String(32), nullable=False),
    Column("business_date", Date, nullable=False),
    Column("state", String(8), nullable=False),
    Column("taken", Integer, nullable=False),
    Column("taken_fen", BigInteger, nullable=False),
    Column("returned", Integer, nullable=False),
    Column("returned_fen", BigInteger, nullable=False),
    Column("counted_fen", BigInteger),
    Column("counted_by", String(64)),
    Column("counted_at", Utc),
    CheckConstraint("state IN ('open', 'counted')", name="state"),
    CheckConstraint("(state = 'counted') = (counted_fen IS NOT NULL)", name="counted"),
    CheckConstraint("taken_fen >= returned_fen AND returned_fen >= 0", name="book"),
    Index(None, "business_date"),
    info={"citus": "drawer_id", "lock": "own"},
)

cash_topup = Table(
    "cash_topup",
    ledger_metadata,
    Column("topup_id", String(40), primary_key=True),
    Column("drawer_id", String(40), nullable=False),
    Column("wallet_id", String(40), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("payer", String(8), nullable=False),
    Column("debt_fen", BigInteger, nullable=False),
    Column("balance_fen", BigInteger, nullable=False),  # on the receipt
    Column("taken_by", String(64), nullable=False),
    Column("taken_at", Utc, nullable=False),
    Column("state", String(8), nullable=False),
    Column("reversed_by", String(64)),
    Column("reversed_at", Utc),
    Column("reason", String(200)),
    CheckConstraint("amount_fen > 0 AND debt_fen >= 0", name="amounts"),
    CheckConstraint("payer IN ('person', 'company')", name="payer"),
    CheckConstraint("state IN ('posted', 'reversed')", name="state"),
    CheckConstraint("(state = 'reversed') = (reversed_at IS NOT NULL)", name="reversed"),
    Index(None, "drawer_id"),
    info={"citus": "topup_id", "lock": "own"},
)

# --- an employer's or department's batch ----------------------------------------------------------

topup_batch = Table(
    "topup_batch",
    ledger_metadata,
    Column("batch_id", String(40), primary_key=True),
    Column("employer", String(120), nullable=False),
    Column("state", String(10), nullable=False),
    Column("lines", Integer, nullable=False),  # announced
    Column("total_fen", BigInteger, nullable=False),  # announced
    Column("posted", Integer),  # these four when it is done
    Column("posted_fen", BigInteger),
    Column("refused", Integer),
    Column("refused_fen", BigInteger),
    Column("uploaded_by", String(64), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("decided_by", String(64)),
    Column("decided_at", Utc),
    Column("done_at", Utc),
    Column("done_on", Date),
    CheckConstraint(
        "state IN ('draft', 'submitted', 'approved', 'rejected', 'done')", name="state"
    ),
    CheckConstraint("decided_by IS NULL OR decided_by <> uploaded_by", name="four_eyes"),
    CheckConstraint(
        "(state = 'done') = (done_on IS NOT NULL)"
        " AND (state <> 'done' OR posted_fen + refused_fen = total_fen)",
        name="done",
    ),
    Index(None, "done_on"),
    info={"citus": "batch_id", "lock": "own"},
)

# Guarded by its batch, whose key is held.
topup_line = Table(
    "topup_line",
    ledger_metadata,
    Column("batch_id", String(40), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("wallet_id", String(40), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("reference", String(64), nullable=False),
    Column("state", String(8), nullable=False),
    Column("code", String(40)),  # why it was refused
    Column("settled_at", Utc),
    CheckConstraint("number > 0 AND amount_fen > 0", name="positive"),
    CheckConstraint("state IN ('waiting', 'posted', 'refused')", name="state"),
    CheckConstraint("(state = 'refused') = (code IS NOT NULL)", name="refused"),
    CheckConstraint("(state = 'waiting') = (settled_at IS NULL)", name="settled"),
    info={"citus": "batch_id"},
)
