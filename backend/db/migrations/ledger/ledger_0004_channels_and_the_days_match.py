"""Channels of top-up, standing orders, the day's match."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend import db

revision = "ledger_0004"
down_revision = "ledger_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "automatic_topup",
        sa.Column("wallet_id", sa.String(length=40), nullable=False),
        sa.Column("order_id", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("threshold_fen", sa.BigInteger(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("month_max_fen", sa.BigInteger(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("month_fen", sa.BigInteger(), nullable=False),
        sa.Column("bank_card_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("bank_card_end", sa.String(length=4), nullable=False),
        sa.Column("declines", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("paused_code", sa.String(length=40), nullable=True),
        sa.Column("made_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state = 'paused') = (paused_code IS NOT NULL)", name=op.f("ck_automatic_topup_paused")
        ),
        sa.CheckConstraint("state IN ('active', 'paused')", name=op.f("ck_automatic_topup_state")),
        sa.CheckConstraint(
            "month_fen >= 0 AND declines >= 0", name=op.f("ck_automatic_topup_not_negative")
        ),
        sa.CheckConstraint(
            "threshold_fen > 0 AND amount_fen > 0", name=op.f("ck_automatic_topup_positive")
        ),
        sa.PrimaryKeyConstraint("wallet_id", name=op.f("pk_automatic_topup")),
    )
    op.create_table(
        "cash_drawer",
        sa.Column("drawer_id", sa.String(length=40), nullable=False),
        sa.Column("counter", sa.String(length=32), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("taken_fen", sa.BigInteger(), nullable=False),
        sa.Column("returned", sa.Integer(), nullable=False),
        sa.Column("returned_fen", sa.BigInteger(), nullable=False),
        sa.Column("counted_fen", sa.BigInteger(), nullable=True),
        sa.Column("counted_by", sa.String(length=64), nullable=True),
        sa.Column("counted_at", db.Utc(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'counted') = (counted_fen IS NOT NULL)", name=op.f("ck_cash_drawer_counted")
        ),
        sa.CheckConstraint("state IN ('open', 'counted')", name=op.f("ck_cash_drawer_state")),
        sa.CheckConstraint(
            "taken_fen >= returned_fen AND returned_fen >= 0", name=op.f("ck_cash_drawer_book")
        ),
        sa.PrimaryKeyConstraint("drawer_id", name=op.f("pk_cash_drawer")),
    )
    op.create_index(op.f("ix_cash_drawer_business_date"), "cash_drawer", ["business_date"])

    op.create_table(
        "cash_topup",
        sa.Column("topup_id", sa.String(length=40), nullable=False),
        sa.Column("drawer_id", sa.String(length=40), nullable=False),
        sa.Column("wallet_id", sa.String(length=40), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("payer", sa.String(length=8), nullable=False),
        sa.Column("debt_fen", sa.BigInteger(), nullable=False),
        sa.Column("balance_fen", sa.BigInteger(), nullable=False),
        sa.Column("taken_by", sa.String(length=64), nullable=False),
        sa.Column("taken_at", db.Utc(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("reversed_by", sa.String(length=64), nullable=True),
        sa.Column("reversed_at", db.Utc(timezone=True), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.CheckConstraint(
            "(state = 'reversed') = (reversed_at IS NOT NULL)", name=op.f("ck_cash_topup_reversed")
        ),
        sa.CheckConstraint("payer IN ('person', 'company')", name=op.f("ck_cash_topup_payer")),
        sa.CheckConstraint("state IN ('posted', 'reversed')", name=op.f("ck_cash_topup_state")),
        sa.CheckConstraint("amount_fen > 0 AND debt_fen >= 0", name=op.f("ck_cash_topup_amounts")),
        sa.PrimaryKeyConstraint("topup_id", name=op.f("pk_cash_topup")),
    )
    op.create_index(op.f("ix_cash_topup_drawer_id"), "cash_topup", ["drawer_id"])

    op.create_table(
        "match_case",
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("bank_fen", sa.BigInteger(), nullable=True),
        sa.Column("ours_fen", sa.BigInteger(), nullable=True),
        sa.Column("ledger_fen", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("case_number", sa.String(length=40), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("explained_by", sa.String(length=64), nullable=True),
        sa.Column("found_at", db.Utc(timezone=True), nullable=False),
        sa.Column("explained_at", db.Utc(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state <> 'explained' OR (case_number IS NOT NULL AND reason IS NOT NULL)",
            name=op.f("ck_match_case_explained"),
        ),
        sa.CheckConstraint(
            "state IN ('open', 'explained', 'gone')", name=op.f("ck_match_case_state")
        ),
        sa.PrimaryKeyConstraint("business_date", "subject", "kind", name=op.f("pk_match_case")),
    )
    op.create_index(
        op.f("ix_match_case_state_business_date"), "match_case", ["state", "business_date"]
    )

    op.create_table(
        "match_day",
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("matched_at", db.Utc(timezone=True), nullable=True),
        sa.Column("closed_by", sa.String(length=64), nullable=True),
        sa.Column("closed_at", db.Utc(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'closed') = (closed_at IS NOT NULL)", name=op.f("ck_match_day_closed")
        ),
        sa.CheckConstraint("state IN ('open', 'closed')", name=op.f("ck_match_day_state")),
        sa.PrimaryKeyConstraint("business_date", name=op.f("pk_match_day")),
    )
    op.create_table(
        "match_total",
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("bank_lines", sa.BigInteger(), nullable=False),
        sa.Column("bank_fen", sa.BigInteger(), nullable=False),
        sa.Column("topups", sa.BigInteger(), nullable=False),
        sa.Column("topups_fen", sa.BigInteger(), nullable=False),
        sa.Column("posted_fen", sa.BigInteger(), nullable=False),
        sa.Column("rest_fen", sa.BigInteger(), nullable=False),
        sa.Column("matched", sa.BigInteger(), nullable=False),
        sa.Column("matched_fen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("business_date", "channel", name=op.f("pk_match_total")),
    )
    op.create_table(
        "topup_batch",
        sa.Column("batch_id", sa.String(length=40), nullable=False),
        sa.Column("employer", sa.String(length=120), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("posted", sa.Integer(), nullable=True),
        sa.Column("posted_fen", sa.BigInteger(), nullable=True),
        sa.Column("refused", sa.Integer(), nullable=True),
        sa.Column("refused_fen", sa.BigInteger(), nullable=True),
        sa.Column("uploaded_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", db.Utc(timezone=True), nullable=False),
        sa.Column("decided_by", sa.String(length=64), nullable=True),
        sa.Column("decided_at", db.Utc(timezone=True), nullable=True),
        sa.Column("done_at", db.Utc(timezone=True), nullable=True),
        sa.Column("done_on", sa.Date(), nullable=True),
        sa.CheckConstraint(
            "(state = 'done') = (done_on IS NOT NULL) AND (state <> 'done' OR posted_fen + refused_fen = total_fen)",
            name=op.f("ck_topup_batch_done"),
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'submitted', 'approved', 'rejected', 'done')",
            name=op.f("ck_topup_batch_state"),
        ),
        sa.CheckConstraint(
            "decided_by IS NULL OR decided_by <> uploaded_by", name=op.f("ck_topup_batch_four_eyes")
        ),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_topup_batch")),
    )
    op.create_index(op.f("ix_topup_batch_done_on"), "topup_batch", ["done_on"])

    op.create_table(
        "topup_line",
        sa.Column("batch_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("wallet_id", sa.String(length=40), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=True),
        sa.Column("settled_at", db.Utc(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'refused') = (code IS NOT NULL)", name=op.f("ck_topup_line_refused")
        ),
        sa.CheckConstraint(
            "(state = 'waiting') = (settled_at IS NULL)", name=op.f("ck_topup_line_settled")
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'posted', 'refused')", name=op.f("ck_topup_line_state")
        ),
        sa.CheckConstraint("number > 0 AND amount_fen > 0", name=op.f("ck_topup_line_positive")),
        sa.PrimaryKeyConstraint("batch_id", "number", name=op.f("pk_topup_line")),
    )
    op.add_column("topup", sa.Column("booked_on", sa.Date(), nullable=True))
    op.add_column("topup", sa.Column("order_id", sa.String(length=40), nullable=True))
    op.create_index(op.f("ix_topup_booked_on"), "topup", ["booked_on"])

    _fill_booked_on()


def _fill_booked_on() -> None:
    """Until now the statement's day was the one on which a top-up succeeded."""
    # Asia/Shanghai has no summer time; whole seconds, since SQLite rounds to the next day.
    day = "date(substr(settled_at, 1, 19), '+8 hours')"
    if op.get_bind().dialect.name == "postgresql":
        day = "CAST(settled_at AT TIME ZONE 'Asia/Shanghai' AS date)"
    op.execute(f"UPDATE topup SET booked_on = {day} WHERE state = 'succeeded'")  # noqa: S608


def downgrade() -> None:
    raise NotImplementedError("money is not migrated backwards: restore a backup instead")
