"""A posting says all there is to say; limits are counted; segments are sealed.

Postings take in what stood in `transfer`; entries know their moment; accounts name the class
whose limits hold; what a token's taps must rise above is a row instead of a sum.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend import db

revision = "ledger_0003"
down_revision = "ledger_0002"
branch_labels = None
depends_on = None

APPEND_ONLY = ("posting", "entry", "segment")

STAGE = (
    "CREATE TABLE staged_posting AS SELECT p.operation_id, p.leg, p.debit, p.credit, p.amount_fen,"
    " t.code, t.linked_to, t.memo, t.business_date, t.posted_at"
    " FROM posting p JOIN transfer t ON t.operation_id = p.operation_id",
    "CREATE TABLE staged_entry AS SELECT e.*, t.code, t.posted_at"
    " FROM entry e JOIN transfer t ON t.operation_id = e.operation_id",
    "CREATE TABLE staged_hold AS SELECT * FROM hold",
)
FILL = (
    "INSERT INTO posting SELECT s.*, 1 FROM staged_posting s",
    "INSERT INTO entry SELECT * FROM staged_entry",
    "INSERT INTO hold SELECT hold_id, debit, credit, amount_fen, state, '', expires_at, made_at,"
    " decided_at FROM staged_hold",
    "UPDATE account SET account_class = 'registered' WHERE kind = 'wallet'",
    "UPDATE account SET holds_expire_at = (SELECT min(h.expires_at) FROM hold h"
    " WHERE h.debit = account.account_id AND h.state = 'pending')",
    "INSERT INTO token_use SELECT token_id, max(CASE WHEN kind = 'tap' THEN counter END)"
    " FROM proof_use GROUP BY token_id",
    "INSERT INTO key_use SELECT token_id, key_index, count(*)"
    " FROM proof_use WHERE kind = 'tap' GROUP BY token_id, key_index",
)


def upgrade() -> None:
    for statement in STAGE:
        op.execute(statement)
    for table in ("transfer", "posting", "entry", "hold"):
        op.drop_table(table)
    _make_tables()
    op.add_column("account", sa.Column("account_class", sa.String(length=16), nullable=True))
    op.add_column("account", sa.Column("holds_expire_at", db.Utc(timezone=True), nullable=True))
    op.drop_column("account", "ceiling_fen")
    op.drop_column("account", "ceiling_article")
    op.drop_index(op.f("ix_proof_use_token_id_kind_key_index"), table_name="proof_use")
    for statement in FILL:
        op.execute(statement)
    for table in ("staged_posting", "staged_entry", "staged_hold"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE account SET (fillfactor = 70)")
    _guard()


def _make_tables() -> None:
    op.create_table(
        "posting",
        sa.Column("operation_id", sa.String(length=100), nullable=False),
        sa.Column("leg", sa.Integer(), nullable=False),
        sa.Column("debit", sa.String(length=80), nullable=False),
        sa.Column("credit", sa.String(length=80), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("linked_to", sa.String(length=100), nullable=True),
        sa.Column("memo", sa.String(length=120), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("posted_at", db.Utc(timezone=True), nullable=False),
        sa.Column("segment", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_posting_amount_positive")),
        sa.CheckConstraint("debit <> credit", name=op.f("ck_posting_two_accounts")),
        sa.PrimaryKeyConstraint("operation_id", "leg", name=op.f("pk_posting")),
    )
    op.create_index(op.f("ix_posting_segment"), "posting", ["segment"])
    op.create_table(
        "entry",
        sa.Column("account_id", sa.String(length=80), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("operation_id", sa.String(length=100), nullable=False),
        sa.Column("leg", sa.Integer(), nullable=False),
        sa.Column("side", sa.String(length=6), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("balance_fen", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("posted_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_entry_amount_positive")),
        sa.CheckConstraint("line > 0", name=op.f("ck_entry_line")),
        sa.PrimaryKeyConstraint("account_id", "line", name=op.f("pk_entry")),
    )
    op.create_index(op.f("ix_entry_account_id_posted_at"), "entry", ["account_id", "posted_at"])
    op.create_table(
        "hold",
        sa.Column("hold_id", sa.String(length=100), nullable=False),
        sa.Column("debit", sa.String(length=80), nullable=False),
        sa.Column("credit", sa.String(length=80), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("counts", sa.String(length=160), nullable=False),
        sa.Column("expires_at", db.Utc(timezone=True), nullable=True),
        sa.Column("made_at", db.Utc(timezone=True), nullable=False),
        sa.Column("decided_at", db.Utc(timezone=True), nullable=True),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_hold_amount_positive")),
        sa.CheckConstraint(
            "state IN ('pending', 'posted', 'voided', 'expired')", name=op.f("ck_hold_state")
        ),
        sa.PrimaryKeyConstraint("hold_id", name=op.f("pk_hold")),
    )
    op.create_index(
        op.f("ix_hold_debit_state_expires_at"), "hold", ["debit", "state", "expires_at"]
    )
    op.create_table(
        "usage",
        sa.Column("account_id", sa.String(length=80), nullable=False),
        sa.Column("counter", sa.String(length=32), nullable=False),
        sa.Column("period", sa.String(length=8), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_fen >= 0 AND times >= 0", name=op.f("ck_usage_not_negative")),
        sa.CheckConstraint("period IN ('day', 'year', 'ever')", name=op.f("ck_usage_period")),
        sa.PrimaryKeyConstraint(
            "account_id", "counter", "period", "starts_on", name=op.f("pk_usage")
        ),
        postgresql_with={"fillfactor": 70},
    )
    op.create_table(
        "open_segment",
        sa.Column("only", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.CheckConstraint('"only" = 1', name=op.f("ck_open_segment_only")),
        sa.PrimaryKeyConstraint("only", name=op.f("pk_open_segment")),
    )
    op.create_table(
        "segment",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("postings", sa.BigInteger(), nullable=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("segment_hash", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint("postings >= 0", name=op.f("ck_segment_postings")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_segment")),
    )
    op.create_table(
        "token_use",
        sa.Column("token_id", sa.String(length=40), nullable=False),
        sa.Column("atc_highest", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_token_use")),
    )
    op.create_table(
        "key_use",
        sa.Column("token_id", sa.String(length=40), nullable=False),
        sa.Column("key_index", sa.BigInteger(), nullable=False),
        sa.Column("taps", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("taps > 0", name=op.f("ck_key_use_taps_positive")),
        sa.PrimaryKeyConstraint("token_id", "key_index", name=op.f("pk_key_use")),
    )


def _guard() -> None:
    """The database itself refuses to change or delete what was posted or sealed."""
    if op.get_bind().dialect.name == "postgresql":
        for table in APPEND_ONLY:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
            )
        return
    for table in APPEND_ONLY:
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append only'); END"
            )


def downgrade() -> None:
    raise NotImplementedError("money is not migrated backwards: restore a backup instead")
