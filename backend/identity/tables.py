"""Rows of the identity database (基础信息资源库). Personal data are sealed or blind indexes."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
)

from backend.db import Utc, identity_metadata
from backend.identity.model import CODE_TRIES_MAX
from backend.identity.states import ChallengeState, PersonState, SessionState


def _one_of(column: str, *values: str) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


base_person = Table(
    "base_person",
    identity_metadata,
    Column("id_number_index", LargeBinary(32), primary_key=True),
    Column("id_number_sealed", LargeBinary(128), nullable=False),
    Column("name_sealed", LargeBinary(512), nullable=False),
    Column("is_local", Boolean, nullable=False),
    Column("content_mac", LargeBinary(32), nullable=False),  # same content: the row stays
    Column("loaded_at", Utc, nullable=False),
    info={"citus": "id_number_index"},
)

person = Table(
    "person",
    identity_metadata,
    Column("person_id", String(40), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("phone_sealed", LargeBinary(128), nullable=False),
    Column("id_number_index", LargeBinary(32)),
    Column("id_number_sealed", LargeBinary(128)),
    Column("name_sealed", LargeBinary(512)),
    Column("matched_at", Utc),
    Column("misses", Integer, nullable=False),  # failed matches since misses_since
    Column("misses_since", Utc),
    Column("created_at", Utc, nullable=False),
    _one_of("state", *(state.value for state in PersonState)),
    CheckConstraint(
        "(state = 'registered') = (id_number_index IS NOT NULL)"
        " AND (state = 'registered') = (id_number_sealed IS NOT NULL)"
        " AND (state = 'registered') = (name_sealed IS NOT NULL)"
        " AND (state = 'registered') = (matched_at IS NOT NULL)",
        name="registered_is_matched",
    ),
    CheckConstraint("misses >= 0", name="misses_not_negative"),
    info={"citus": "person_id"},
)

# Uniqueness by phone and by number stands in tables of its own: distributed by what is unique.
person_phone = Table(
    "person_phone",
    identity_metadata,
    Column("phone_index", LargeBinary(32), primary_key=True),
    Column("person_id", String(40), nullable=False),
    info={"citus": "phone_index"},
)

person_id_number = Table(
    "person_id_number",
    identity_metadata,
    Column("id_number_index", LargeBinary(32), primary_key=True),
    Column("person_id", String(40), nullable=False),
    info={"citus": "id_number_index"},
)

# One row for each phone that ever asked: writers about one phone queue on it.
login_phone = Table(
    "login_phone",
    identity_metadata,
    Column("phone_index", LargeBinary(32), primary_key=True),
    Column("touched_at", Utc, nullable=False),
    info={"citus": "phone_index"},
)

login_challenge = Table(
    "login_challenge",
    identity_metadata,
    Column("phone_index", LargeBinary(32), primary_key=True),
    Column("challenge_id", String(40), primary_key=True),
    Column("phone_sealed", LargeBinary(128), nullable=False),
    Column("code_mac", LargeBinary(32), nullable=False),
    Column("language", String(2), nullable=False),
    Column("state", String(16), nullable=False),
    Column("tries_left", Integer, nullable=False),
    Column("delivery", String(16), nullable=False),
    Column("asked_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("used_at", Utc),
    Column("session_id", String(40)),
    Column("proof_mac", LargeBinary(32)),  # of the request that used it: its repeat is known
    _one_of("state", *(state.value for state in ChallengeState)),
    _one_of("delivery", "waiting", "sent", "failed"),
    CheckConstraint(f"tries_left BETWEEN 0 AND {CODE_TRIES_MAX}", name="tries_bounded"),
    CheckConstraint("(state = 'locked') = (tries_left = 0)", name="locked_has_no_tries"),
    CheckConstraint("(state = 'used') = (session_id IS NOT NULL)", name="used_opened_a_session"),
    Index(None, "challenge_id"),
    Index(None, "phone_index", "asked_at"),
    info={"citus": "phone_index"},
)

login_session = Table(
    "login_session",
    identity_metadata,
    Column("session_id", String(40), primary_key=True),
    Column("person_id", String(40), nullable=False),
    Column("state", String(16), nullable=False),
    Column("device_key", LargeBinary(65), nullable=False),  # SEC 1 point, uncompressed
    Column("device_thumbprint", String(43), nullable=False),
    Column("device_name_sealed", LargeBinary(512), nullable=False),
    Column("generation", Integer, nullable=False),  # rotations of the refresh token so far
    Column("refresh_mac", LargeBinary(32), nullable=False),
    Column("spent_mac", LargeBinary(32)),  # the refresh token before, and the jti that spent it
    Column("spent_jti_mac", LargeBinary(32)),
    Column("rotated_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("ended_at", Utc),
    _one_of("state", *(state.value for state in SessionState)),
    CheckConstraint("(state = 'ended') = (ended_at IS NOT NULL)", name="ended_has_a_moment"),
    CheckConstraint("generation >= 0", name="generation_not_negative"),
    CheckConstraint("(generation = 0) = (spent_mac IS NULL)", name="rotated_has_a_spent_token"),
    Index(None, "person_id"),
    info={"citus": "session_id"},
)
