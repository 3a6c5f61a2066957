"""Rows of purses and their history (database: business); the model's laws said again."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, SmallInteger, String, Table

from backend.cards.states import PurseState
from backend.db import Utc, business_metadata

STATES = ", ".join(f"'{one.value}'" for one in PurseState)

purse = Table(
    "purse",
    business_metadata,
    Column("purse_number", String(20), primary_key=True),
    Column("issuer_id", String(16), nullable=False),
    Column("suite", SmallInteger, nullable=False),  # the algorithm byte of INITIALIZE
    Column("key_version", SmallInteger, nullable=False),
    Column("product", String(32), nullable=False),
    Column("wallet_id", String(64)),
    Column("state", String(16), nullable=False),
    Column("changes", Integer, nullable=False),  # how many rows of history there are
    Column("registered_at", Utc, nullable=False),
    Column("changed_at", Utc, nullable=False),
    CheckConstraint("length(purse_number) = 20", name="purse_number_length"),
    CheckConstraint("length(issuer_id) = 16", name="issuer_id_length"),
    CheckConstraint("suite IN (0, 4)", name="suite"),
    CheckConstraint("key_version BETWEEN 0 AND 255", name="key_version_range"),
    CheckConstraint(f"state IN ({STATES})", name="state"),
    CheckConstraint("changes > 0", name="changes_positive"),
    Index(None, "changed_at", "purse_number"),
    info={"citus": "purse_number", "lock": "own"},
)

purse_change = Table(
    "purse_change",
    business_metadata,
    Column("purse_number", String(20), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("after", String(16), nullable=False),
    Column("reason", String(100), nullable=False),
    Column("staff_id", String(64), nullable=False),
    Column("at", Utc, nullable=False),
    CheckConstraint("number > 0", name="number_positive"),
    CheckConstraint(f"after IN ({STATES})", name="after"),
    info={"citus": "purse_number"},
)
