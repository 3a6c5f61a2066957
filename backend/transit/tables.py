"""Rows of the deny list (database: business): one a number, and the list's one head."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
)

from backend.db import Utc, business_metadata

deny_head = Table(  # whoever changes the list holds this row: versions are committed in order
    "deny_head",
    business_metadata,
    Column("name", String(16), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),  # before it, released numbers are forgotten
    Column("tokens_total", Integer, nullable=False),
    Column("purses_total", Integer, nullable=False),
    CheckConstraint("floor BETWEEN 0 AND version", name="floor_range"),
    CheckConstraint("tokens_total >= 0 AND purses_total >= 0", name="totals_range"),
    info={"citus": "reference"},
)

deny_entry = Table(
    "deny_entry",
    business_metadata,
    Column("number", String(20), primary_key=True),
    Column("kind", SmallInteger, primary_key=True),  # card_protocol's DenyKind
    Column("is_denied", Boolean, nullable=False),  # false: released, told as such for a while
    Column("version", BigInteger, nullable=False),  # of the list, when this changed
    Column("changed_at", Utc, nullable=False),
    Column("ends_at", Utc),  # of the certificate
    CheckConstraint("kind IN (1, 2)", name="kind"),
    CheckConstraint("version >= 1", name="version_positive"),
    Index(None, "version"),
    info={"citus": "number"},
)
