"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend import db

revision = "ledger_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("account_id", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("side", sa.String(length=6), nullable=False),
        sa.Column("floor_fen", sa.BigInteger(), nullable=True),
        sa.Column("ceiling_fen", sa.BigInteger(), nullable=True),
        sa.Column("ceiling_article", sa.String(length=80), nullable=True),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("debits_posted", sa.BigInteger(), nullable=False),
        sa.Column("credits_posted", sa.BigInteger(), nullable=False),
        sa.Column("debits_pending", sa.BigInteger(), nullable=False),
        sa.Column("credits_pending", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "floor_fen IS NULL OR (side = 'credit' AND credits_posted - debits_posted - debits_pending >= floor_fen) OR (side = 'debit' AND debits_posted - credits_posted - credits_pending >= floor_fen)",
            name=op.f("ck_account_floor"),
        ),
        sa.CheckConstraint("side IN ('debit', 'credit')", name=op.f("ck_account_side")),
        sa.CheckConstraint("state IN ('open', 'frozen', 'closed')", name=op.f("ck_account_state")),
        sa.CheckConstraint(
            "debits_pending >= 0 AND credits_pending >= 0", name=op.f("ck_account_pending")
        ),
        sa.CheckConstraint(
            "debits_posted >= 0 AND credits_posted >= 0", name=op.f("ck_account_posted")
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_account")),
    )
    op.create_table(
        "answer",
        sa.Column("scope", sa.String(length=160), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", db.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name=op.f("pk_answer")),
    )
    op.create_table(
        "entry",
        sa.Column("account_id", sa.String(length=80), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("operation_id", sa.String(length=100), nullable=False),
        sa.Column("leg", sa.Integer(), nullable=False),
        sa.Column("side", sa.String(length=6), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("balance_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_entry_amount_positive")),
        sa.CheckConstraint("line > 0", name=op.f("ck_entry_line")),
        sa.PrimaryKeyConstraint("account_id", "line", name=op.f("pk_entry")),
    )
    op.create_table(
        "hold",
        sa.Column("hold_id", sa.String(length=100), nullable=False),
        sa.Column("debit", sa.String(length=80), nullable=False),
        sa.Column("credit", sa.String(length=80), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("expires_at", db.Utc(timezone=True), nullable=True),
        sa.Column("made_at", db.Utc(timezone=True), nullable=False),
        sa.Column("decided_at", db.Utc(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'posted', 'voided')", name=op.f("ck_hold_state")),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_hold_amount_positive")),
        sa.PrimaryKeyConstraint("hold_id", name=op.f("pk_hold")),
    )
    with op.batch_alter_table("hold", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_hold_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "outbox",
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("topic", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_at", db.Utc(timezone=True), nullable=False),
        sa.Column("due_at", db.Utc(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("delivered_at", db.Utc(timezone=True), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_outbox")),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_outbox_due_at"), ["due_at"], unique=False)

    op.create_table(
        "paid_bill",
        sa.Column("shop_id", sa.String(length=40), nullable=False),
        sa.Column("bill_number", sa.String(length=25), nullable=False),
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("shop_id", "bill_number", name=op.f("pk_paid_bill")),
    )
    op.create_table(
        "payment",
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("captured_fen", sa.BigInteger(), nullable=False),
        sa.Column("refunded_fen", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("merchant_id", sa.String(length=40), nullable=False),
        sa.Column("merchant_name", sa.String(length=60), nullable=False),
        sa.Column("shop_id", sa.String(length=40), nullable=False),
        sa.Column("shop_name", sa.String(length=60), nullable=False),
        sa.Column("terminal_id", sa.String(length=40), nullable=True),
        sa.Column("terminal_number", sa.String(length=8), nullable=True),
        sa.Column("wallet_id", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("token_number_masked", sa.String(length=32), nullable=True),
        sa.Column("balance_fen", sa.BigInteger(), nullable=True),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("created_at", db.Utc(timezone=True), nullable=False),
        sa.Column("bill_number", sa.String(length=25), nullable=True),
        sa.Column("register_reference", sa.String(length=64), nullable=True),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_payment_amount_positive")),
        sa.CheckConstraint(
            "captured_fen >= 0 AND captured_fen <= amount_fen", name=op.f("ck_payment_captured")
        ),
        sa.CheckConstraint(
            "refunded_fen >= 0 AND refunded_fen <= captured_fen", name=op.f("ck_payment_refunded")
        ),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_payment")),
    )
    with op.batch_alter_table("payment", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_payment_shop_id_bill_number"), ["shop_id", "bill_number"], unique=False
        )

    op.create_table(
        "posting",
        sa.Column("operation_id", sa.String(length=100), nullable=False),
        sa.Column("leg", sa.Integer(), nullable=False),
        sa.Column("debit", sa.String(length=80), nullable=False),
        sa.Column("credit", sa.String(length=80), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_posting_amount_positive")),
        sa.CheckConstraint("debit <> credit", name=op.f("ck_posting_two_accounts")),
        sa.PrimaryKeyConstraint("operation_id", "leg", name=op.f("pk_posting")),
    )
    op.create_table(
        "proof_use",
        sa.Column("token_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("key_index", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.Column("used_at", db.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_id", "kind", "counter", name=op.f("pk_proof_use")),
    )
    with op.batch_alter_table("proof_use", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_proof_use_token_id_kind_key_index"),
            ["token_id", "kind", "key_index"],
            unique=False,
        )

    op.create_table(
        "refund",
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.Column("refund_id", sa.String(length=40), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("remaining_fen", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=120), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("created_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_refund_amount_positive")),
        sa.CheckConstraint("remaining_fen >= 0", name=op.f("ck_refund_remaining")),
        sa.PrimaryKeyConstraint("payment_id", "refund_id", name=op.f("pk_refund")),
    )
    op.create_table(
        "reversal",
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.Column("terminal_id", sa.String(length=40), nullable=False),
        sa.Column("reversed_at", db.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_reversal")),
    )
    op.create_table(
        "terminal_sale",
        sa.Column("terminal_id", sa.String(length=40), nullable=False),
        sa.Column("terminal_counter", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.CheckConstraint("terminal_counter > 0", name=op.f("ck_terminal_sale_counter_positive")),
        sa.PrimaryKeyConstraint("terminal_id", "terminal_counter", name=op.f("pk_terminal_sale")),
    )
    op.create_table(
        "topup",
        sa.Column("topup_id", sa.String(length=40), nullable=False),
        sa.Column("wallet_id", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("failure_code", sa.String(length=40), nullable=True),
        sa.Column("bank_card_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("bank_card_end", sa.String(length=4), nullable=False),
        sa.Column("bank_reference", sa.String(length=64), nullable=True),
        sa.Column("created_at", db.Utc(timezone=True), nullable=False),
        sa.Column("settled_at", db.Utc(timezone=True), nullable=True),
        sa.Column("ask_again_at", db.Utc(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'processing') = (settled_at IS NULL)", name=op.f("ck_topup_settled")
        ),
        sa.CheckConstraint(
            "state IN ('processing', 'succeeded', 'failed')", name=op.f("ck_topup_state")
        ),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_topup_amount_positive")),
        sa.PrimaryKeyConstraint("topup_id", name=op.f("pk_topup")),
    )
    op.create_table(
        "transfer",
        sa.Column("operation_id", sa.String(length=100), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("linked_to", sa.String(length=100), nullable=True),
        sa.Column("memo", sa.String(length=120), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("posted_at", db.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("operation_id", name=op.f("pk_transfer")),
    )
    op.create_table(
        "wallet",
        sa.Column("wallet_id", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("account_class", sa.String(length=16), nullable=False),
        sa.Column("opened_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint(
            "account_class IN ('registered', 'unregistered')", name=op.f("ck_wallet_account_class")
        ),
        sa.PrimaryKeyConstraint("wallet_id", name=op.f("pk_wallet")),
    )
    op.create_table(
        "wallet_owner",
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("wallet_id", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_wallet_owner")),
    )


def downgrade() -> None:
    raise NotImplementedError("money is not migrated backwards: restore a backup instead")
