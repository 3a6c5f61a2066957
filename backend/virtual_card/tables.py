"""Rows of devices, tokens and key batches (database: business); the model's laws said again.

Citus: devices, places and what is decided about a person go by person, tokens with their batches,
history and taps by token, each kind of number by itself. So every key below holds its table's
distribution column.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
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
    Column("attested", String(16), nullable=False),  # how its keys are protected, as proven
    Column("os_integrity", String(16), nullable=False),
    Column("model", String(60)),  # as attested
    Column("sm2_key", LargeBinary(33)),  # of the SM suite's cards; once set it stays
    UniqueConstraint("person_id", "slot"),
    CheckConstraint("slot BETWEEN 1 AND 5", name="slot_range"),
    CheckConstraint("state IN ('active', 'ended')", name="state"),
    CheckConstraint(
        "(state = 'active') = (slot IS NOT NULL) AND (state = 'ended') = (ended_at IS NOT NULL)",
        name="active_has_slot",
    ),
    CheckConstraint("attested IN ('none', 'software', 'hardware')", name="attested"),
    CheckConstraint("os_integrity IN ('unknown', 'verified', 'broken')", name="os_integrity"),
    CheckConstraint("length(sm2_key) = 33", name="sm2_key_length"),
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
    Column("suite", SmallInteger, nullable=False),  # card_protocol's Suite
    Column("card_kind", String(16), nullable=False),  # which kind of card it stands for
    Column("card_id", String(64)),  # the plastic card it stands for, where there is one
    Column("suspended_for", String(32)),  # the reason, while suspended
    CheckConstraint("state IN ('pending', 'active', 'suspended', 'deleted')", name="state"),
    CheckConstraint(
        "(state = 'suspended') = (suspended_for IS NOT NULL)", name="suspended_has_reason"
    ),
    CheckConstraint("card_kind IN ('main', 'secondary', 'mobile')", name="card_kind"),
    CheckConstraint("suite IN (1, 2)", name="suite"),
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
    Column("by_kind", String(16), nullable=False),
    Column("by_id", String(64)),
    Column("event_id", String(64)),  # the card event that asked for it
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

holder = Table(  # one row a person: whoever decides about a person's cards holds it
    "card_holder",
    business_metadata,
    Column("person_id", String(64), primary_key=True),
    Column("touched_at", Utc, nullable=False),
    info={"citus": "person_id"},
)

decision = Table(  # each answer to a wish for a card, with what it was decided on
    "token_decision",
    business_metadata,
    Column("person_id", String(64), primary_key=True),
    Column("decision_id", String(64), primary_key=True),
    Column("token_id", String(64), nullable=False),
    Column("device_id", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reasons", JSON, nullable=False),  # codes of the rules that spoke
    Column("facts", JSON, nullable=False),
    Column("at", Utc, nullable=False),
    CheckConstraint("outcome IN ('approve', 'step_up', 'decline')", name="outcome"),
    Index(None, "person_id", "at"),
    Index(None, "token_id"),
    info={"citus": "person_id"},
)

step_up = Table(
    "card_step_up",
    business_metadata,
    Column("person_id", String(64), primary_key=True),
    Column("step_up_id", String(64), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("subject", String(64), nullable=False),  # the device or token it is asked for
    Column("state", String(16), nullable=False),
    Column("code_mac", LargeBinary(32), nullable=False),
    Column("tries_left", SmallInteger, nullable=False),
    Column("asked_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("passed_at", Utc),
    CheckConstraint("state IN ('waiting', 'locked', 'passed', 'used')", name="state"),
    CheckConstraint("tries_left BETWEEN 0 AND 5", name="tries_bounded"),
    CheckConstraint("(state = 'locked') = (tries_left = 0)", name="locked_has_no_tries"),
    CheckConstraint(
        "(state IN ('passed', 'used')) = (passed_at IS NOT NULL)", name="passed_has_a_moment"
    ),
    Index(None, "person_id", "asked_at"),
    info={"citus": "person_id"},
)

event = Table(  # what happened to a person, a phone or a card, and what followed
    "card_event",
    business_metadata,
    Column("person_id", String(64), primary_key=True),
    Column("event_id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("content", JSON, nullable=False),
    Column("effects", JSON, nullable=False),
    Column("by_kind", String(16), nullable=False),
    Column("by_id", String(64)),
    Column("at", Utc, nullable=False),
    info={"citus": "person_id"},
)

move = Table(  # a token on its way to another device
    "token_move",
    business_metadata,
    Column("person_id", String(64), primary_key=True),
    Column("token_id", String(64), primary_key=True),
    Column("device_id", String(64), nullable=False),  # the new one
    Column("new_token_id", String(64)),  # null: announced, not asked for yet
    Column("state", String(16), nullable=False),
    Column("begun_at", Utc, nullable=False),
    Column("due_at", Utc, nullable=False),
    CheckConstraint("state IN ('open', 'done', 'overdue', 'lapsed')", name="state"),
    CheckConstraint(
        "state IN ('open', 'lapsed') OR new_token_id IS NOT NULL", name="has_successor"
    ),
    Index(None, "person_id", "new_token_id"),
    info={"citus": "person_id"},
)

tap = Table(  # the newest genuine taps that arrived, whatever became of the payment
    "token_tap",
    business_metadata,
    Column("token_id", String(64), primary_key=True),
    Column("slot", SmallInteger, primary_key=True),  # the newest 512 by counter
    Column("atc", Integer, nullable=False),
    Column("key_index", Integer, nullable=False),
    Column("cryptogram", LargeBinary(8), nullable=False),
    Column("tapped_at", Utc),  # the terminal's clock; null: it said no possible time
    Column("seen_at", Utc, nullable=False),
    CheckConstraint("atc BETWEEN 1 AND 65535", name="atc_range"),
    CheckConstraint("slot = atc % 512", name="slot_of_counter"),
    info={"citus": "token_id"},
)

watch = Table(  # what taps of a token must agree with; whoever reads it holds the token's taps
    "token_watch",
    business_metadata,
    Column("token_id", String(64), primary_key=True),
    Column("atc_highest", Integer, nullable=False),
    Column("live_atc", Integer),  # the highest of those that arrived at once, and when it did
    Column("live_at", Utc),
    CheckConstraint("(live_atc IS NULL) = (live_at IS NULL)", name="live_has_a_moment"),
    info={"citus": "token_id", "lock": "own"},
)
