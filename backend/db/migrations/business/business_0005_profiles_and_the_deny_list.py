"""What each terminal is told, and the deny list; tokens already out of use are on it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend import db

revision = "business_0005"
down_revision = "business_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "terminal_profile",
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("profile_code", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("changed_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(version > 0) = (digest IS NOT NULL)",
            name=op.f("ck_terminal_profile_version_has_digest"),
        ),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["merchant_client.client_id"],
        ),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_terminal_profile")),
        info={"citus": "reference"},
    )
    op.create_table(
        "deny_head",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=False),
        sa.Column("tokens_total", sa.Integer(), nullable=False),
        sa.Column("purses_total", sa.Integer(), nullable=False),
        sa.CheckConstraint("floor BETWEEN 0 AND version", name=op.f("ck_deny_head_floor_range")),
        sa.CheckConstraint(
            "tokens_total >= 0 AND purses_total >= 0", name=op.f("ck_deny_head_totals_range")
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_deny_head")),
        info={"citus": "reference"},
    )
    op.create_table(
        "deny_entry",
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("is_denied", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", db.Utc(timezone=True), nullable=False),
        sa.Column("ends_at", db.Utc(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN (1, 2)", name=op.f("ck_deny_entry_kind")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_deny_entry_version_positive")),
        sa.PrimaryKeyConstraint("number", "kind", name=op.f("pk_deny_entry")),
        info={"citus": "number"},
    )
    op.create_index(op.f("ix_deny_entry_version"), "deny_entry", ["version"])
    _fill()


def _fill() -> None:
    op.execute(
        "INSERT INTO deny_entry (number, kind, is_denied, version, changed_at)"
        " SELECT token_number, 1, true, row_number() OVER (ORDER BY token_id), CURRENT_TIMESTAMP"
        " FROM token WHERE state IN ('suspended', 'deleted')"
    )
    op.execute(
        "INSERT INTO deny_head (name, version, floor, tokens_total, purses_total)"
        " SELECT 'city', count(*), 0, count(*), 0 FROM deny_entry"
    )


def downgrade() -> None:
    raise NotImplementedError("money is not migrated backwards: restore a backup instead")
