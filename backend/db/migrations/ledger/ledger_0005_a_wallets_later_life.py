"""A wallet's later life: states, redemptions, cases, write-offs, corrections."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend import db

revision = "ledger_0005"
down_revision = "ledger_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "correction_request",
        sa.Column("correction_id", sa.String(length=40), nullable=False),
        sa.Column("operation_id", sa.String(length=100), nullable=False),
        sa.Column("posting_code", sa.String(length=32), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=100), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("asked_by", sa.String(length=40), nullable=False),
        sa.Column("asked_at", db.Utc(timezone=True), nullable=False),
        sa.Column("decided_by", sa.String(length=40), nullable=True),
        sa.Column("decided_at", db.Utc(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'asked') = (decided_by IS NULL)", name=op.f("ck_correction_request_decided")
        ),
        sa.CheckConstraint(
            "state IN ('asked', 'approved', 'rejected')", name=op.f("ck_correction_request_state")
        ),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_correction_request_amount_positive")),
        sa.CheckConstraint("decided_by <> asked_by", name=op.f("ck_correction_request_four_eyes")),
        sa.PrimaryKeyConstraint("correction_id", name=op.f("pk_correction_request")),
    )
    op.create_index(
        op.f("ix_correction_request_state_correction_id"),
        "correction_request",
        ["state", "correction_id"],
    )

    op.create_table(
        "redemption",
        sa.Column("redemption_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("wallet_id", sa.String(length=40), nullable=False),
        sa.Column("case_id", sa.String(length=40), nullable=True),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("failure_code", sa.String(length=40), nullable=True),
        sa.Column("bank_card_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("bank_card_end", sa.String(length=4), nullable=False),
        sa.Column("bank_reference", sa.String(length=64), nullable=True),
        sa.Column("created_at", db.Utc(timezone=True), nullable=False),
        sa.Column("settled_at", db.Utc(timezone=True), nullable=True),
        sa.Column("ask_again_at", db.Utc(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(kind = 'case') = (case_id IS NOT NULL)", name=op.f("ck_redemption_case")
        ),
        sa.CheckConstraint(
            "(state = 'processing') = (settled_at IS NULL)", name=op.f("ck_redemption_settled")
        ),
        sa.CheckConstraint(
            "kind IN ('redemption', 'closing', 'case')", name=op.f("ck_redemption_kind")
        ),
        sa.CheckConstraint(
            "state IN ('processing', 'succeeded', 'failed')", name=op.f("ck_redemption_state")
        ),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_redemption_amount_positive")),
        sa.PrimaryKeyConstraint("redemption_id", name=op.f("pk_redemption")),
    )
    op.create_table(
        "suspense_case",
        sa.Column("case_id", sa.String(length=40), nullable=False),
        sa.Column("wallet_id", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("operation_id", sa.String(length=100), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=100), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("opened_at", db.Utc(timezone=True), nullable=False),
        sa.Column("decided_by", sa.String(length=40), nullable=True),
        sa.Column("decided_at", db.Utc(timezone=True), nullable=True),
        sa.Column("paid_by", sa.String(length=40), nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'paying', 'paid')", name=op.f("ck_suspense_case_state")
        ),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_suspense_case_amount_positive")),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_suspense_case")),
    )
    op.create_index(op.f("ix_suspense_case_state_case_id"), "suspense_case", ["state", "case_id"])

    op.create_table(
        "wallet_change",
        sa.Column("wallet_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.String(length=100), nullable=False),
        sa.Column("changed_by", sa.String(length=40), nullable=False),
        sa.Column("changed_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("ck_wallet_change_number")),
        sa.PrimaryKeyConstraint("wallet_id", "number", name=op.f("pk_wallet_change")),
    )
    op.create_table(
        "wallet_life",
        sa.Column("wallet_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'frozen', 'closing', 'closed')", name=op.f("ck_wallet_life_state")
        ),
        sa.CheckConstraint("changes > 0", name=op.f("ck_wallet_life_changes")),
        sa.PrimaryKeyConstraint("wallet_id", name=op.f("pk_wallet_life")),
    )
    op.create_table(
        "write_off",
        sa.Column("write_off_id", sa.String(length=40), nullable=False),
        sa.Column("wallet_id", sa.String(length=40), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=100), nullable=False),
        sa.Column("staff_id", sa.String(length=40), nullable=False),
        sa.Column("made_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_write_off_amount_positive")),
        sa.PrimaryKeyConstraint("write_off_id", name=op.f("pk_write_off")),
    )
    op.create_index(
        "ix_account_ride_debt",
        "account",
        ["account_id"],
        sqlite_where=sa.text("kind = 'ride_debt'"),
        postgresql_where=sa.text("kind = 'ride_debt'"),
    )


def downgrade() -> None:
    raise NotImplementedError("money is not migrated backwards: restore a backup instead")
