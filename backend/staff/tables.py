"""Rows of staff accounts and sessions (business database)."""

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
)

from backend.db import Utc, business_metadata
from backend.staff.model import FAILURES_MAX, PERMISSIONS

_ROLES = ", ".join(f"'{role}'" for role in PERMISSIONS)

staff_account = Table(
    "staff_account",
    business_metadata,
    Column("username", String(64), primary_key=True),
    Column("staff_id", String(40), nullable=False),
    Column("password_hash", String(256), nullable=False),  # argon2id, with its parameters
    Column("totp_sealed", LargeBinary(256), nullable=False),
    Column("totp_last_step", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("locked_until", Utc),
    Column("created_at", Utc, nullable=False),
    CheckConstraint(f"failures BETWEEN 0 AND {FAILURES_MAX}", name="failures_bounded"),
    CheckConstraint(
        f"(failures = {FAILURES_MAX}) = (locked_until IS NOT NULL)", name="locked_by_failures"
    ),
    info={"citus": "reference"},
)

staff_role = Table(
    "staff_role",
    business_metadata,
    Column("username", String(64), primary_key=True),
    Column("role", String(16), primary_key=True),
    CheckConstraint(f"role IN ({_ROLES})", name="role_known"),
    info={"citus": "reference"},
)

staff_session = Table(
    "staff_session",
    business_metadata,
    Column("token_mac", LargeBinary(32), primary_key=True),
    Column("username", String(64), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),
    CheckConstraint("seen_at >= created_at", name="seen_after_created"),
    Index(None, "username"),
    info={"citus": "reference"},
)
