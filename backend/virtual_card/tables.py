"""Rows of devices, tokens and key batches (database: business); the model's laws said again.

Citus: devices and places go by person, tokens with their batches and history by token, each kind
of number by itself. So every key below holds its table's distribution column.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
)

from backend.db import Utc, business_metadata

device = Table(
    "device",
    business_metadata,
    Column("person_id", String(64), primary_key=True),
    Column("device_id", String(64), primary_key=True),
    Column("slot", SmallInteger),  # 1..5 while active: a sixth device finds no place
    Column("name", String(60), nullable=False),
    Column("signing_key", LargeBinary(33), nullable=False),
    Column("sealing_key", LargeBinary(33), nullable=False),
    Column("state", String(16), nullable=False),
    Column("enrolled_at", Utc, nullable=False),
    Column("ended_at", Utc),
    UniqueConstraint("person_id", "slot"),
    CheckConstraint("slot BETWEEN 1 AND 5", name="slot_range"),
    CheckConstraint("state IN ('active', 'ended')", name="state"),
    CheckConstraint(
        "(state = 'active') = (slot IS NOT NULL) AND (state = 'ended') = (ended_at IS NOT NULL)",
        name="active_has_slot",
    ),
    info={"citus": "person_id"},
)

token = Table(
    "token",
    business_metadata,
    Column("token_id", String(64), primary_key=True),
    Column("person_id", String(64), nullable=False),
    Column("wallet_id", String(64), nullable=False),
    Column("device_id", String(64), nullable=False),
    Column("device_public_key", LargeBinary(33), nullable=False),  # as the certificate says
    Column("token_number", String(19), nullable=False),
    Column("short_number", String(8), nullable=False),
    Column("product", String(16), nullable=False),
    Column("label", String(60), nullable=False),
    Column("state", String(16), nullable=False),
    Column("certificate", LargeBinary(250), nullable=False),
    Column("key_index", Integer, nullable=False),  # of the newest batch
    Column("changes", Integer, nullable=False),  # how many rows of history there are
    Column("created_at", Utc, nullable=False),
    CheckConstraint("state IN ('active', 'suspended', 'deleted')", name="state"),
    CheckConstraint("length(token_number) = 19", name="token_number_length"),
    CheckConstraint("length(short_number) = 8", name="short_number_length"),
    CheckConstraint("key_index >= 1", name="key_index_positive"),
    Index(None, "person_id", "token_id"),
    info={"citus": "token_id"},
)

token_history = Table(
    "token_history",
    business_metadata,
    Column("token_id", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("before", String(16)),  # null: the first row
    Column("after", String(16), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("at", Utc, nullable=False),
    CheckConstraint("(before IS NULL) = (number = 1)", name="first_has_no_before"),
    info={"citus": "token_id"},
)

key_batch = Table(
    "token_key_batch",
    business_metadata,
    Column("token_id", String(64), primary_key=True),
    Column("key_index", Integer, primary_key=True),
    Column("key_version", SmallInteger, nullable=False),
    Column("uses_max", Integer, nullable=False),
    Column("not_before", Utc, nullable=False),
    Column("not_after", Utc, nullable=False),
    Column("atc_reported", Integer, nullable=False),  # what the phone said when it asked
    CheckConstraint("key_index >= 1", name="key_index_positive"),
    CheckConstraint("uses_max >= 1", name="uses_max_positive"),
    CheckConstraint("not_before <= not_after", name="times_in_order"),
    CheckConstraint("atc_reported BETWEEN 0 AND 65535", name="atc_range"),
    info={"citus": "token_id"},
)

place = Table(  # one token that is not deleted per device and product
    "token_place",
    business_metadata,
    Column("person_id", String(64), primary_key=True),
    Column("device_id", String(64), primary_key=True),
    Column("product", String(16), primary_key=True),
    Column("token_id", String(64), nullable=False),
    info={"citus": "person_id"},
)

number = Table(  # taken for ever, also by deleted tokens
    "token_number",
    business_metadata,
    Column("token_number", String(19), primary_key=True),
    Column("token_id", String(64), nullable=False),
    info={"citus": "token_number"},
)

short_number = Table(  # taken for ever, also by deleted tokens
    "token_short_number",
    business_metadata,
    Column("short_number", String(8), primary_key=True),
    Column("token_id", String(64), nullable=False),
    info={"citus": "short_number"},
)
