"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend import db

revision = "business_0001"
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
        "client_assertion",
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("jti", sa.String(length=128), nullable=False),
        sa.Column("expires_at", db.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "jti", name=op.f("pk_client_assertion")),
        info={"citus": "client_id"},
    )
    op.create_table(
        "device",
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=True),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("signing_key", sa.LargeBinary(length=33), nullable=False),
        sa.Column("sealing_key", sa.LargeBinary(length=33), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("enrolled_at", db.Utc(timezone=True), nullable=False),
        sa.Column("ended_at", db.Utc(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'active') = (slot IS NOT NULL) AND (state = 'ended') = (ended_at IS NOT NULL)",
            name=op.f("ck_device_active_has_slot"),
        ),
        sa.CheckConstraint("state IN ('active', 'ended')", name=op.f("ck_device_state")),
        sa.CheckConstraint("slot BETWEEN 1 AND 5", name=op.f("ck_device_slot_range")),
        sa.PrimaryKeyConstraint("person_id", "device_id", name=op.f("pk_device")),
        sa.UniqueConstraint("person_id", "slot", name=op.f("uq_device_person_id_slot")),
        info={"citus": "person_id"},
    )
    op.create_table(
        "merchant",
        sa.Column("merchant_id", sa.String(length=64), nullable=False),
        sa.Column("merchant_number", sa.String(length=15), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("name_en", sa.String(length=25), nullable=False),
        sa.Column("mcc", sa.String(length=4), nullable=False),
        sa.Column("city", sa.String(length=30), nullable=False),
        sa.Column("created_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint("length(mcc) = 4", name=op.f("ck_merchant_mcc_length")),
        sa.CheckConstraint(
            "length(merchant_number) = 15", name=op.f("ck_merchant_merchant_number_length")
        ),
        sa.PrimaryKeyConstraint("merchant_id", name=op.f("pk_merchant")),
        sa.UniqueConstraint("merchant_number", name=op.f("uq_merchant_merchant_number")),
        info={"citus": "reference"},
    )
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
        "staff_account",
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("staff_id", sa.String(length=40), nullable=False),
        sa.Column("password_hash", sa.String(length=256), nullable=False),
        sa.Column("totp_sealed", sa.LargeBinary(length=256), nullable=False),
        sa.Column("totp_last_step", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", db.Utc(timezone=True), nullable=True),
        sa.Column("created_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(failures = 5) = (locked_until IS NOT NULL)",
            name=op.f("ck_staff_account_locked_by_failures"),
        ),
        sa.CheckConstraint(
            "failures BETWEEN 0 AND 5", name=op.f("ck_staff_account_failures_bounded")
        ),
        sa.PrimaryKeyConstraint("username", name=op.f("pk_staff_account")),
    )
    op.create_table(
        "staff_role",
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.CheckConstraint(
            "role IN ('operator', 'agent', 'auditor')", name=op.f("ck_staff_role_role_known")
        ),
        sa.PrimaryKeyConstraint("username", "role", name=op.f("pk_staff_role")),
    )
    op.create_table(
        "staff_session",
        sa.Column("token_mac", sa.LargeBinary(length=32), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("created_at", db.Utc(timezone=True), nullable=False),
        sa.Column("seen_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint(
            "seen_at >= created_at", name=op.f("ck_staff_session_seen_after_created")
        ),
        sa.PrimaryKeyConstraint("token_mac", name=op.f("pk_staff_session")),
    )
    with op.batch_alter_table("staff_session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_staff_session_username"), ["username"], unique=False)

    op.create_table(
        "token",
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("wallet_id", sa.String(length=64), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("device_public_key", sa.LargeBinary(length=33), nullable=False),
        sa.Column("token_number", sa.String(length=19), nullable=False),
        sa.Column("short_number", sa.String(length=8), nullable=False),
        sa.Column("product", sa.String(length=16), nullable=False),
        sa.Column("label", sa.String(length=60), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("certificate", sa.LargeBinary(length=250), nullable=False),
        sa.Column("key_index", sa.Integer(), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("created_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('active', 'suspended', 'deleted')", name=op.f("ck_token_state")
        ),
        sa.CheckConstraint("key_index >= 1", name=op.f("ck_token_key_index_positive")),
        sa.CheckConstraint("length(short_number) = 8", name=op.f("ck_token_short_number_length")),
        sa.CheckConstraint("length(token_number) = 19", name=op.f("ck_token_token_number_length")),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_token")),
        info={"citus": "token_id"},
    )
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_token_person_id_token_id"), ["person_id", "token_id"], unique=False
        )

    op.create_table(
        "token_history",
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("before", sa.String(length=16), nullable=True),
        sa.Column("after", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(before IS NULL) = (number = 1)", name=op.f("ck_token_history_first_has_no_before")
        ),
        sa.PrimaryKeyConstraint("token_id", "number", name=op.f("pk_token_history")),
        info={"citus": "token_id"},
    )
    op.create_table(
        "token_key_batch",
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.Column("key_index", sa.Integer(), nullable=False),
        sa.Column("key_version", sa.SmallInteger(), nullable=False),
        sa.Column("uses_max", sa.Integer(), nullable=False),
        sa.Column("not_before", db.Utc(timezone=True), nullable=False),
        sa.Column("not_after", db.Utc(timezone=True), nullable=False),
        sa.Column("atc_reported", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "atc_reported BETWEEN 0 AND 65535", name=op.f("ck_token_key_batch_atc_range")
        ),
        sa.CheckConstraint("key_index >= 1", name=op.f("ck_token_key_batch_key_index_positive")),
        sa.CheckConstraint(
            "not_before <= not_after", name=op.f("ck_token_key_batch_times_in_order")
        ),
        sa.CheckConstraint("uses_max >= 1", name=op.f("ck_token_key_batch_uses_max_positive")),
        sa.PrimaryKeyConstraint("token_id", "key_index", name=op.f("pk_token_key_batch")),
        info={"citus": "token_id"},
    )
    op.create_table(
        "token_number",
        sa.Column("token_number", sa.String(length=19), nullable=False),
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("token_number", name=op.f("pk_token_number")),
        info={"citus": "token_number"},
    )
    op.create_table(
        "token_place",
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("product", sa.String(length=16), nullable=False),
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "device_id", "product", name=op.f("pk_token_place")),
        info={"citus": "person_id"},
    )
    op.create_table(
        "token_short_number",
        sa.Column("short_number", sa.String(length=8), nullable=False),
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("short_number", name=op.f("pk_token_short_number")),
        info={"citus": "short_number"},
    )
    op.create_table(
        "shop",
        sa.Column("shop_id", sa.String(length=64), nullable=False),
        sa.Column("merchant_id", sa.String(length=64), nullable=False),
        sa.Column("shop_number", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("created_at", db.Utc(timezone=True), nullable=False),
        sa.CheckConstraint("length(shop_number) = 8", name=op.f("ck_shop_shop_number_length")),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.merchant_id"],
        ),
        sa.PrimaryKeyConstraint("shop_id", name=op.f("pk_shop")),
        sa.UniqueConstraint("shop_number", name=op.f("uq_shop_shop_number")),
        info={"citus": "reference"},
    )
    with op.batch_alter_table("shop", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_shop_merchant_id"), ["merchant_id"], unique=False)

    op.create_table(
        "merchant_client",
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("merchant_id", sa.String(length=64), nullable=False),
        sa.Column("shop_id", sa.String(length=64), nullable=True),
        sa.Column("terminal_number", sa.String(length=8), nullable=True),
        sa.Column("label", sa.String(length=60), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("code_serial", sa.Integer(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(length=33), nullable=True),
        sa.Column("created_at", db.Utc(timezone=True), nullable=False),
        sa.Column("activated_at", db.Utc(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(kind = 'terminal') = (shop_id IS NOT NULL) AND (shop_id IS NULL) = (terminal_number IS NULL)",
            name=op.f("ck_merchant_client_terminal_has_shop_and_number"),
        ),
        sa.CheckConstraint(
            "kind IN ('terminal', 'merchant')", name=op.f("ck_merchant_client_kind")
        ),
        sa.CheckConstraint(
            "state IN ('ordered', 'active', 'suspended', 'closed')",
            name=op.f("ck_merchant_client_state"),
        ),
        sa.CheckConstraint(
            "state IN ('ordered', 'closed') OR public_key IS NOT NULL",
            name=op.f("ck_merchant_client_active_has_key"),
        ),
        sa.CheckConstraint(
            "(public_key IS NULL) = (activated_at IS NULL)",
            name=op.f("ck_merchant_client_key_has_moment"),
        ),
        sa.CheckConstraint(
            "length(terminal_number) = 8", name=op.f("ck_merchant_client_terminal_number_length")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.merchant_id"],
        ),
        sa.ForeignKeyConstraint(
            ["shop_id"],
            ["shop.shop_id"],
        ),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_merchant_client")),
        sa.UniqueConstraint("terminal_number", name=op.f("uq_merchant_client_terminal_number")),
        info={"citus": "reference"},
    )
    with op.batch_alter_table("merchant_client", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_merchant_client_shop_id"), ["shop_id"], unique=False)

    op.create_table(
        "activation_code",
        sa.Column("code_mac", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("issued_at", db.Utc(timezone=True), nullable=False),
        sa.Column("expires_at", db.Utc(timezone=True), nullable=False),
        sa.Column("used_at", db.Utc(timezone=True), nullable=True),
        sa.Column("used_by", sa.String(length=43), nullable=True),
        sa.Column("device_label", sa.String(length=60), nullable=True),
        sa.CheckConstraint(
            "(used_at IS NULL) = (used_by IS NULL)",
            name=op.f("ck_activation_code_used_by_somebody"),
        ),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["merchant_client.client_id"],
        ),
        sa.PrimaryKeyConstraint("code_mac", name=op.f("pk_activation_code")),
        sa.UniqueConstraint(
            "client_id", "serial", name=op.f("uq_activation_code_client_id_serial")
        ),
        info={"citus": "reference"},
    )


def downgrade() -> None:
    raise NotImplementedError("money is not migrated backwards: restore a backup instead")
