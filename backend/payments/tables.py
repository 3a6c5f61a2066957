"""Rows of payments, in the ledger database: saved with their postings or not at all."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Index,
    String,
    Table,
)

from backend.db import Utc, ledger_metadata

payment = Table(
    "payment",
    ledger_metadata,
    Column("payment_id", String(40), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("captured_fen", BigInteger, nullable=False),
    Column("refunded_fen", BigInteger, nullable=False),
    Column("method", String(16), nullable=False),
    Column("merchant_id", String(40), nullable=False),
    Column("merchant_name", String(60), nullable=False),
    Column("shop_id", String(40), nullable=False),
    Column("shop_name", String(60), nullable=False),
    Column("terminal_id", String(40)),
    Column("terminal_number", String(8)),
    Column("wallet_id", String(40), nullable=False),
    Column("person_id", String(40), nullable=False),
    Column("token_number_masked", String(32)),
    Column("balance_fen", BigInteger),
    Column("business_date", Date, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("bill_number", String(25)),
    Column("register_reference", String(64)),
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("captured_fen >= 0 AND captured_fen <= amount_fen", name="captured"),
    CheckConstraint("refunded_fen >= 0 AND refunded_fen <= captured_fen", name="refunded"),
    Index(None, "shop_id", "bill_number"),
    info={"citus": "payment_id", "lock": "own"},
)

refund = Table(
    "refund",
    ledger_metadata,
    Column("payment_id", String(40), primary_key=True),
    Column("refund_id", String(40), primary_key=True),
    Column("amount_fen", BigInteger, nullable=False),
    Column("remaining_fen", BigInteger, nullable=False),
    Column("reason", String(120), nullable=False),
    Column("business_date", Date, nullable=False),
    Column("created_at", Utc, nullable=False),
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("remaining_fen >= 0", name="remaining"),
    info={"citus": "payment_id"},
)

# A tap's counter or a code's time step: its row is the proof that it was used, once.
proof_use = Table(
    "proof_use",
    ledger_metadata,
    Column("token_id", String(40), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("counter", BigInteger, primary_key=True),
    Column("key_index", BigInteger, nullable=False),
    Column("payment_id", String(40), nullable=False),
    Column("used_at", Utc, nullable=False),
    info={"citus": "token_id"},
)

# What taps of a token must rise above and stay below; held by every proof of the token.
token_use = Table(
    "token_use",
    ledger_metadata,
    Column("token_id", String(40), primary_key=True),
    Column("atc_highest", BigInteger),  # null: only pay codes so far
    info={"citus": "token_id", "lock": "own"},
)

key_use = Table(
    "key_use",
    ledger_metadata,
    Column("token_id", String(40), primary_key=True),
    Column("key_index", BigInteger, primary_key=True),
    Column("taps", BigInteger, nullable=False),
    CheckConstraint("taps > 0", name="taps_positive"),
    info={"citus": "token_id"},
)

# The identity of a sale at its terminal: an upload repeated for ever never charges twice.
terminal_sale = Table(
    "terminal_sale",
    ledger_metadata,
    Column("terminal_id", String(40), primary_key=True),
    Column("terminal_counter", BigInteger, primary_key=True),
    Column("payment_id", String(40), nullable=False),
    CheckConstraint("terminal_counter > 0", name="counter_positive"),
    info={"citus": "terminal_id", "lock": "own"},
)

# A reversal that may have come before its payment: the late payment finds it and is refused.
reversal = Table(
    "reversal",
    ledger_metadata,
    Column("payment_id", String(40), primary_key=True),
    Column("terminal_id", String(40), nullable=False),
    Column("reversed_at", Utc, nullable=False),
    info={"citus": "payment_id"},
)

# One bill is paid once: the shop's number for it is the key.
paid_bill = Table(
    "paid_bill",
    ledger_metadata,
    Column("shop_id", String(40), primary_key=True),
    Column("bill_number", String(25), primary_key=True),
    Column("payment_id", String(40), nullable=False),
    info={"citus": "shop_id", "lock": "own"},
)
