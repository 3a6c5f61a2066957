"""Offline sales with their oddities; the books, loads and cases of purses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend import db

revision = "ledger_0006"
down_revision = "ledger_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "offline_payment",
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.Column("terminal_id", sa.String(length=40), nullable=False),
        sa.Column("terminal_number", sa.String(length=8), nullable=False),
        sa.Column("operation_id", sa.String(length=100), nullable=False),
        sa.Column("wallet_fen", sa.BigInteger(), nullable=False),
        sa.Column("debt_fen", sa.BigInteger(), nullable=False),
        sa.Column("loss_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "wallet_fen >= 0 AND debt_fen >= 0 AND loss_fen >= 0",
            name=op.f("ck_offline_payment_parts"),
        ),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_offline_payment")),
        info={"citus": "payment_id"},
    )
    with op.batch_alter_table("offline_payment", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_offline_payment_operation_id"), ["operation_id"], unique=False
        )

    op.create_table(
        "offline_sale",
        sa.Column("terminal_id", sa.String(length=40), nullable=False),
        sa.Column("terminal_counter", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.Column("incarnation", sa.String(length=16), nullable=False),
        sa.Column("chain", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("accepted_at", db.Utc(timezone=True), nullable=False),
        sa.Column("received_at", db.Utc(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=True),
        sa.Column("balance_fen", sa.BigInteger(), nullable=True),
        sa.Column("case_id", sa.String(length=40), nullable=True),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.CheckConstraint(
            "(state = 'refused') = (code IS NOT NULL)",
            name=op.f("ck_offline_sale_refused_has_code"),
        ),
        sa.CheckConstraint("state IN ('captured', 'refused')", name=op.f("ck_offline_sale_state")),
        sa.CheckConstraint("amount_fen >= 0", name=op.f("ck_offline_sale_amount")),
        sa.PrimaryKeyConstraint("terminal_id", "terminal_counter", name=op.f("pk_offline_sale")),
        info={"citus": "terminal_id"},
    )
    op.create_table(
        "offline_unread",
        sa.Column("terminal_id", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("wrong_fields", sa.String(length=200), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("seen_at", db.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("terminal_id", "digest", name=op.f("pk_offline_unread")),
        info={"citus": "terminal_id", "lock": "own"},
    )
    op.create_table(
        "purse_book",
        sa.Column("purse_number", sa.String(length=20), nullable=False),
        sa.Column("chip_fen", sa.BigInteger(), nullable=False),
        sa.Column("chip_seen_at", db.Utc(timezone=True), nullable=False),
        sa.Column("purchase_counter", sa.BigInteger(), nullable=True),
        sa.Column("load_counter", sa.BigInteger(), nullable=True),
        sa.Column("open_load_id", sa.String(length=40), nullable=True),
        sa.PrimaryKeyConstraint("purse_number", name=op.f("pk_purse_book")),
        info={"citus": "purse_number", "lock": "own"},
    )
    op.create_table(
        "purse_case",
        sa.Column("case_id", sa.String(length=40), nullable=False),
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.Column("purse_number", sa.String(length=20), nullable=False),
        sa.Column("merchant_id", sa.String(length=40), nullable=False),
        sa.Column("shop_name", sa.String(length=60), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("opened_at", db.Utc(timezone=True), nullable=False),
        sa.Column("decided_by", sa.String(length=64), nullable=True),
        sa.Column("decided_at", db.Utc(timezone=True), nullable=True),
        sa.Column("note", sa.String(length=100), nullable=True),
        sa.CheckConstraint(
            "(state = 'open') = (decided_at IS NULL)", name=op.f("ck_purse_case_decided")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'paid', 'dismissed')", name=op.f("ck_purse_case_state")
        ),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_purse_case_amount_positive")),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_purse_case")),
        info={"citus": "case_id", "lock": "own"},
    )
    with op.batch_alter_table("purse_case", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_purse_case_state_case_id"), ["state", "case_id"], unique=False
        )

    op.create_table(
        "purse_load",
        sa.Column("load_id", sa.String(length=40), nullable=False),
        sa.Column("purse_number", sa.String(length=20), nullable=False),
        sa.Column("issuer_id", sa.String(length=16), nullable=False),
        sa.Column("suite", sa.SmallInteger(), nullable=False),
        sa.Column("key_version", sa.SmallInteger(), nullable=False),
        sa.Column("terminal_id", sa.String(length=40), nullable=False),
        sa.Column("sam_number", sa.String(length=12), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=8), nullable=False),
        sa.Column("source_id", sa.String(length=80), nullable=False),
        sa.Column("old_balance_fen", sa.BigInteger(), nullable=False),
        sa.Column("load_counter", sa.BigInteger(), nullable=False),
        sa.Column("random", sa.LargeBinary(length=4), nullable=False),
        sa.Column("mac2", sa.LargeBinary(length=4), nullable=False),
        sa.Column("transaction_time", sa.String(length=14), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("told_by", sa.String(length=16), nullable=True),
        sa.Column("is_contradicted", sa.Boolean(), nullable=False),
        sa.Column("begun_at", db.Utc(timezone=True), nullable=False),
        sa.Column("decided_at", db.Utc(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'begun') = (decided_at IS NULL)", name=op.f("ck_purse_load_decided")
        ),
        sa.CheckConstraint("source IN ('wallet', 'cash')", name=op.f("ck_purse_load_source")),
        sa.CheckConstraint(
            "state IN ('begun', 'written', 'returned')", name=op.f("ck_purse_load_state")
        ),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_purse_load_amount_positive")),
        sa.PrimaryKeyConstraint("load_id", name=op.f("pk_purse_load")),
        info={"citus": "load_id"},
    )
    with op.batch_alter_table("purse_load", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_purse_load_purse_number_begun_at"),
            ["purse_number", "begun_at"],
            unique=False,
        )

    op.create_table(
        "purse_proof_use",
        sa.Column("purse_number", sa.String(length=20), nullable=False),
        sa.Column("sam_number", sa.String(length=12), nullable=False),
        sa.Column("sam_serial", sa.String(length=8), nullable=False),
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint(
            "purse_number", "sam_number", "sam_serial", name=op.f("pk_purse_proof_use")
        ),
        info={"citus": "purse_number"},
    )
    op.create_table(
        "purse_purchase",
        sa.Column("purse_number", sa.String(length=20), nullable=False),
        sa.Column("purchase_counter", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("made_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint("amount_fen >= 0", name=op.f("ck_purse_purchase_amount")),
        sa.PrimaryKeyConstraint("purse_number", "purchase_counter", name=op.f("pk_purse_purchase")),
        info={"citus": "purse_number"},
    )
    op.create_table(
        "terminal_clone",
        sa.Column("terminal_id", sa.String(length=40), nullable=False),
        sa.Column("terminal_counter", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("first_payment_id", sa.String(length=40), nullable=False),
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.Column("incarnation", sa.String(length=16), nullable=False),
        sa.Column("chain", sa.String(length=64), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("seen_at", db.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "terminal_id", "terminal_counter", "digest", name=op.f("pk_terminal_clone")
        ),
        info={"citus": "terminal_id"},
    )
    with op.batch_alter_table("terminal_clone", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_terminal_clone_terminal_id_seen_at"),
            ["terminal_id", "seen_at"],
            unique=False,
        )

    op.create_table(
        "terminal_incarnation",
        sa.Column("terminal_id", sa.String(length=40), nullable=False),
        sa.Column("incarnation", sa.String(length=16), nullable=False),
        sa.Column("first_seen_at", db.Utc(timezone=True), nullable=False),
        sa.Column("returned_at", db.Utc(timezone=True), nullable=True),
        sa.Column("returns", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "(returned_at IS NULL) = (returns = 0)", name=op.f("ck_terminal_incarnation_returned")
        ),
        sa.PrimaryKeyConstraint("terminal_id", "incarnation", name=op.f("pk_terminal_incarnation")),
        info={"citus": "terminal_id"},
    )
    op.create_table(
        "terminal_journal",
        sa.Column("terminal_id", sa.String(length=40), nullable=False),
        sa.Column("incarnation", sa.String(length=16), nullable=False),
        sa.Column("uploaded_at", db.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("terminal_id", name=op.f("pk_terminal_journal")),
        info={"citus": "terminal_id", "lock": "own"},
    )


def downgrade() -> None:
    raise NotImplementedError("money is not migrated backwards: restore a backup instead")
