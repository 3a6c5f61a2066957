"""Who may read identity codes, and what was released by them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend import db

revision = "business_0003"
down_revision = "business_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identity_verifier",
        sa.Column("merchant_id", sa.String(length=64), nullable=False),
        sa.Column("purposes", sa.Integer(), nullable=False),
        sa.Column("claims", sa.Integer(), nullable=False),
        sa.Column("registered_by", sa.String(length=64), nullable=False),
        sa.Column("registered_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint("purposes > 0", name=op.f("ck_identity_verifier_purposes_some")),
        sa.CheckConstraint("claims > 0", name=op.f("ck_identity_verifier_claims_some")),
        sa.PrimaryKeyConstraint("merchant_id", name=op.f("pk_identity_verifier")),
        info={"citus": "reference"},
    )
    op.create_table(
        "identity_release",
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("nonce", sa.String(length=16), nullable=False),
        sa.Column("release_id", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.Column("merchant_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.Integer(), nullable=False),
        sa.Column("claims", sa.Integer(), nullable=False),
        sa.Column("released_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint("length(nonce) = 16", name=op.f("ck_identity_release_nonce_length")),
        sa.CheckConstraint("claims > 0", name=op.f("ck_identity_release_claims_some")),
        sa.PrimaryKeyConstraint("person_id", "nonce", name=op.f("pk_identity_release")),
        info={"citus": "person_id"},
    )
    op.create_index(
        op.f("ix_identity_release_person_id_release_id"),
        "identity_release",
        ["person_id", "release_id"],
    )


def downgrade() -> None:
    raise NotImplementedError("money is not migrated backwards: restore a backup instead")
