"""Where each terminal stands: line, station and direction, beside what it is for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "business_0007"
down_revision = "business_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("terminal_profile", schema=None) as batch_op:
        for name in ("line", "station"):
            batch_op.add_column(
                sa.Column(name, sa.String(length=4), nullable=False, server_default="0000")
            )
        batch_op.add_column(sa.Column("direction", sa.String(length=3), nullable=True))
        batch_op.create_check_constraint(
            op.f("ck_terminal_profile_line_length"), "length(line) = 4"
        )
        batch_op.create_check_constraint(
            op.f("ck_terminal_profile_station_length"), "length(station) = 4"
        )
        batch_op.create_check_constraint(
            op.f("ck_terminal_profile_direction"), "direction IN ('in', 'out')"
        )


def downgrade() -> None:
    raise NotImplementedError("money is not migrated backwards: restore a backup instead")
