"""SAMs bound to terminals, sales of foreign SAMs, purchases with a lost outcome."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend import db

revision = "ledger_0007"
down_revision = "ledger_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("purse_purchase", schema=None) as batch_op:
        batch_op.add_column(sa.Column("balance_after_fen", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("purse_load", schema=None) as batch_op:
        batch_op.add_column(sa.Column("decided_by", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("note", sa.String(length=100), nullable=True))
        batch_op.create_index(
            batch_op.f("ix_purse_load_state_load_id"), ["state", "load_id"], unique=False
        )
    _make_sams()
    _make_foreign_sales()
    _make_losses()


def _make_sams() -> None:
    op.create_table(
        "purse_sam",
        sa.Column("sam_number", sa.String(length=12), nullable=False),
        sa.Column("terminal_id", sa.String(length=40), nullable=False),
        sa.Column("bound_by", sa.String(length=64), nullable=False),
        sa.Column("bound_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint("length(sam_number) = 12", name=op.f("ck_purse_sam_sam_number_length")),
        sa.PrimaryKeyConstraint("sam_number", name=op.f("pk_purse_sam")),
        info={"citus": "sam_number", "lock": "own"},
    )
    with op.batch_alter_table("purse_sam", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_purse_sam_terminal_id_sam_number"),
            ["terminal_id", "sam_number"],
            unique=False,
        )
    op.create_table(
        "purse_sam_past",
        sa.Column("sam_number", sa.String(length=12), nullable=False),
        sa.Column("terminal_id", sa.String(length=40), nullable=False),
        sa.Column("ended_at", db.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sam_number", "terminal_id", name=op.f("pk_purse_sam_past")),
        info={"citus": "sam_number"},
    )


def _make_foreign_sales() -> None:
    op.create_table(
        "foreign_sam_sale",
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.Column("terminal_id", sa.String(length=40), nullable=False),
        sa.Column("terminal_counter", sa.BigInteger(), nullable=False),
        sa.Column("sam_number", sa.String(length=12), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", db.Utc(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("decided_by", sa.String(length=64), nullable=True),
        sa.Column("decided_at", db.Utc(timezone=True), nullable=True),
        sa.Column("note", sa.String(length=100), nullable=True),
        sa.CheckConstraint(
            "(state = 'open') = (decided_at IS NULL)", name=op.f("ck_foreign_sam_sale_decided")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'paid', 'dismissed')", name=op.f("ck_foreign_sam_sale_state")
        ),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_foreign_sam_sale")),
        info={"citus": "payment_id"},
    )
    with op.batch_alter_table("foreign_sam_sale", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_foreign_sam_sale_state_payment_id"),
            ["state", "payment_id"],
            unique=False,
        )


def _make_losses() -> None:
    op.create_table(
        "purse_loss",
        sa.Column("loss_id", sa.String(length=40), nullable=False),
        sa.Column("purse_number", sa.String(length=20), nullable=False),
        sa.Column("terminal_id", sa.String(length=40), nullable=False),
        sa.Column("merchant_id", sa.String(length=40), nullable=False),
        sa.Column("shop_name", sa.String(length=60), nullable=False),
        sa.Column("reference", sa.String(length=64), nullable=False),
        sa.Column("purchase_counter", sa.BigInteger(), nullable=False),
        sa.Column("balance_before_fen", sa.BigInteger(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("opened_by", sa.String(length=64), nullable=False),
        sa.Column("opened_at", db.Utc(timezone=True), nullable=False),
        sa.Column("decided_by", sa.String(length=64), nullable=True),
        sa.Column("decided_at", db.Utc(timezone=True), nullable=True),
        sa.Column("note", sa.String(length=100), nullable=True),
        sa.CheckConstraint(
            "(state = 'open') = (decided_at IS NULL)", name=op.f("ck_purse_loss_decided")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'refunded', 'paid', 'dismissed')", name=op.f("ck_purse_loss_state")
        ),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_purse_loss_amount_positive")),
        sa.PrimaryKeyConstraint("loss_id", name=op.f("pk_purse_loss")),
        info={"citus": "loss_id", "lock": "own"},
    )
    with op.batch_alter_table("purse_loss", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_purse_loss_state_loss_id"), ["state", "loss_id"], unique=False
        )


def downgrade() -> None:
    raise NotImplementedError("money is not migrated backwards: restore a backup instead")
