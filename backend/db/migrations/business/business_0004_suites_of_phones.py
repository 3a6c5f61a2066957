"""A phone may have an SM2 key beside its P-256 one; a token's suite is one of two."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "business_0004"
down_revision = "business_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("device", sa.Column("sm2_key", sa.LargeBinary(length=33), nullable=True))
    with op.batch_alter_table("device") as batch:
        batch.create_check_constraint(
            op.f("ck_device_sm2_key_length"), sa.text("length(sm2_key) = 33")
        )
    with op.batch_alter_table("token") as batch:
        batch.create_check_constraint(op.f("ck_token_suite"), sa.text("suite IN (1, 2)"))


def downgrade() -> None:
    raise NotImplementedError("money is not migrated backwards: restore a backup instead")
