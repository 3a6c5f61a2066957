"""Rows of top-ups; the card number is encrypted, its last four digits are shown."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, LargeBinary, String, Table

from backend.db import Utc, ledger_metadata

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
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    CheckConstraint("state IN ('processing', 'succeeded', 'failed')", name="state"),
    CheckConstraint("(state = 'processing') = (settled_at IS NULL)", name="settled"),
)
