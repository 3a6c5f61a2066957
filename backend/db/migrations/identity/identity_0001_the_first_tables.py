"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend import db

revision = "identity_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
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
        "base_person",
        sa.Column("id_number_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("id_number_sealed", sa.LargeBinary(length=128), nullable=False),
        sa.Column("name_sealed", sa.LargeBinary(length=512), nullable=False),
        sa.Column("is_local", sa.Boolean(), nullable=False),
        sa.Column("content_mac", sa.LargeBinary(length=32), nullable=False),
        sa.Column("loaded_at", db.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id_number_index", name=op.f("pk_base_person")),
    )
    op.create_table(
        "login_challenge",
        sa.Column("phone_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("challenge_id", sa.String(length=40), nullable=False),
        sa.Column("phone_sealed", sa.LargeBinary(length=128), nullable=False),
        sa.Column("code_mac", sa.LargeBinary(length=32), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("tries_left", sa.Integer(), nullable=False),
        sa.Column("delivery", sa.String(length=16), nullable=False),
        sa.Column("asked_at", db.Utc(timezone=True), nullable=False),
        sa.Column("expires_at", db.Utc(timezone=True), nullable=False),
        sa.Column("used_at", db.Utc(timezone=True), nullable=True),
        sa.Column("session_id", sa.String(length=40), nullable=True),
        sa.Column("proof_mac", sa.LargeBinary(length=32), nullable=True),
        sa.CheckConstraint(
            "(state = 'locked') = (tries_left = 0)",
            name=op.f("ck_login_challenge_locked_has_no_tries"),
        ),
        sa.CheckConstraint(
            "(state = 'used') = (session_id IS NOT NULL)",
            name=op.f("ck_login_challenge_used_opened_a_session"),
        ),
        sa.CheckConstraint(
            "delivery IN ('waiting', 'sent', 'failed')",
            name=op.f("ck_login_challenge_delivery_known"),
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'used', 'locked')", name=op.f("ck_login_challenge_state_known")
        ),
        sa.CheckConstraint(
            "tries_left BETWEEN 0 AND 5", name=op.f("ck_login_challenge_tries_bounded")
        ),
        sa.PrimaryKeyConstraint("phone_index", "challenge_id", name=op.f("pk_login_challenge")),
    )
    with op.batch_alter_table("login_challenge", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_login_challenge_challenge_id"), ["challenge_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_login_challenge_phone_index_asked_at"),
            ["phone_index", "asked_at"],
            unique=False,
        )

    op.create_table(
        "login_phone",
        sa.Column("phone_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("touched_at", db.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("phone_index", name=op.f("pk_login_phone")),
    )
    op.create_table(
        "login_session",
        sa.Column("session_id", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("device_key", sa.LargeBinary(length=65), nullable=False),
        sa.Column("device_thumbprint", sa.String(length=43), nullable=False),
        sa.Column("device_name_sealed", sa.LargeBinary(length=512), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("refresh_mac", sa.LargeBinary(length=32), nullable=False),
        sa.Column("spent_mac", sa.LargeBinary(length=32), nullable=True),
        sa.Column("spent_jti_mac", sa.LargeBinary(length=32), nullable=True),
        sa.Column("rotated_at", db.Utc(timezone=True), nullable=False),
        sa.Column("expires_at", db.Utc(timezone=True), nullable=False),
        sa.Column("created_at", db.Utc(timezone=True), nullable=False),
        sa.Column("ended_at", db.Utc(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'ended') = (ended_at IS NOT NULL)",
            name=op.f("ck_login_session_ended_has_a_moment"),
        ),
        sa.CheckConstraint("state IN ('open', 'ended')", name=op.f("ck_login_session_state_known")),
        sa.CheckConstraint(
            "(generation = 0) = (spent_mac IS NULL)",
            name=op.f("ck_login_session_rotated_has_a_spent_token"),
        ),
        sa.CheckConstraint(
            "generation >= 0", name=op.f("ck_login_session_generation_not_negative")
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_login_session")),
    )
    with op.batch_alter_table("login_session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_login_session_person_id"), ["person_id"], unique=False)

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
        "person",
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("phone_sealed", sa.LargeBinary(length=128), nullable=False),
        sa.Column("id_number_index", sa.LargeBinary(length=32), nullable=True),
        sa.Column("id_number_sealed", sa.LargeBinary(length=128), nullable=True),
        sa.Column("name_sealed", sa.LargeBinary(length=512), nullable=True),
        sa.Column("matched_at", db.Utc(timezone=True), nullable=True),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.Column("misses_since", db.Utc(timezone=True), nullable=True),
        sa.Column("created_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state = 'registered') = (id_number_index IS NOT NULL) AND (state = 'registered') = (id_number_sealed IS NOT NULL) AND (state = 'registered') = (name_sealed IS NOT NULL) AND (state = 'registered') = (matched_at IS NOT NULL)",
            name=op.f("ck_person_registered_is_matched"),
        ),
        sa.CheckConstraint(
            "state IN ('unregistered', 'registered')", name=op.f("ck_person_state_known")
        ),
        sa.CheckConstraint("misses >= 0", name=op.f("ck_person_misses_not_negative")),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_person")),
    )
    op.create_table(
        "person_id_number",
        sa.Column("id_number_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id_number_index", name=op.f("pk_person_id_number")),
    )
    op.create_table(
        "person_phone",
        sa.Column("phone_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("phone_index", name=op.f("pk_person_phone")),
    )


def downgrade() -> None:
    raise NotImplementedError("money is not migrated backwards: restore a backup instead")
