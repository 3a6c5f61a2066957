"""The registry of e-purses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend import db

revision = "business_0006"
down_revision = "business_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "purse",
        sa.Column("purse_number", sa.String(length=20), nullable=False),
        sa.Column("issuer_id", sa.String(length=16), nullable=False),
        sa.Column("suite", sa.SmallInteger(), nullable=False),
        sa.Column("key_version", sa.SmallInteger(), nullable=False),
        sa.Column("product", sa.String(length=32), nullable=False),
        sa.Column("wallet_id", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("registered_at", db.Utc(timezone=True), nullable=False),
        sa.Column("changed_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('made', 'active', 'suspended', 'closed')", name=op.f("ck_purse_state")
        ),
        sa.CheckConstraint("changes > 0", name=op.f("ck_purse_changes_positive")),
        sa.CheckConstraint(
            "key_version BETWEEN 0 AND 255", name=op.f("ck_purse_key_version_range")
        ),
        sa.CheckConstraint("length(issuer_id) = 16", name=op.f("ck_purse_issuer_id_length")),
        sa.CheckConstraint("length(purse_number) = 20", name=op.f("ck_purse_purse_number_length")),
        sa.CheckConstraint("suite IN (0, 4)", name=op.f("ck_purse_suite")),
        sa.PrimaryKeyConstraint("purse_number", name=op.f("pk_purse")),
        info={"citus": "purse_number", "lock": "own"},
    )
    with op.batch_alter_table("purse", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_purse_changed_at_purse_number"),
            ["changed_at", "purse_number"],
            unique=False,
        )

    op.create_table(
        "purse_change",
        sa.Column("purse_number", sa.String(length=20), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("after", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=100), nullable=False),
        sa.Column("staff_id", sa.String(length=64), nullable=False),
        sa.Column("at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint(
            "after IN ('made', 'active', 'suspended', 'closed')", name=op.f("ck_purse_change_after")
        ),
        sa.CheckConstraint("number > 0", name=op.f("ck_purse_change_number_positive")),
        sa.PrimaryKeyConstraint("purse_number", "number", name=op.f("pk_purse_change")),
        info={"citus": "purse_number"},
    )


def downgrade() -> None:
    raise NotImplementedError("money is not migrated backwards: restore a backup instead")
