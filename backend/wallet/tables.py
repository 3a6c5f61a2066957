"""Rows of wallets: who owns which; the money is in the ledger's accounts."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, String, Table

from backend.db import Utc, ledger_metadata

wallet = Table(
    "wallet",
    ledger_metadata,
    Column("wallet_id", String(40), primary_key=True),
    Column("person_id", String(40), nullable=False),
    Column("account_class", String(16), nullable=False),
    Column("opened_at", Utc, nullable=False),
    CheckConstraint("account_class IN ('registered', 'unregistered')", name="account_class"),
    info={"citus": "wallet_id"},
)

# One wallet a person, kept by a table of its own: its key is the person, so that the rule
# still holds when wallets are distributed by wallet id.
wallet_owner = Table(
    "wallet_owner",
    ledger_metadata,
    Column("person_id", String(40), primary_key=True),
    Column("wallet_id", String(40), nullable=False),
    info={"citus": "person_id", "lock": "own"},
)
