"""Rows of identity codes (database: business): who may read them, and what was released.

A release is the use of a code and its audit in one row: it names claims, never their values.
Citus: verifiers are few and read everywhere; releases go by person.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table

from backend.db import Utc, business_metadata

verifier = Table(
    "identity_verifier",
    business_metadata,
    Column("merchant_id", String(64), primary_key=True),
    Column("purposes", Integer, nullable=False),  # bit n: purpose n
    Column("claims", Integer, nullable=False),
    Column("registered_by", String(64), nullable=False),
    Column("registered_at", Utc, nullable=False),
    CheckConstraint("purposes > 0", name="purposes_some"),
    CheckConstraint("claims > 0", name="claims_some"),
    info={"citus": "reference"},
)

release = Table(
    "identity_release",
    business_metadata,
    Column("person_id", String(64), primary_key=True),
    Column("nonce", String(16), primary_key=True),  # hex, of the code: each is used once
    Column("release_id", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),  # the verifier's own
    Column("token_id", String(64), nullable=False),
    Column("merchant_id", String(64), nullable=False),
    Column("client_id", String(64), nullable=False),
    Column("purpose", Integer, nullable=False),
    Column("claims", Integer, nullable=False),
    Column("released_at", Utc, nullable=False),
    CheckConstraint("length(nonce) = 16", name="nonce_length"),
    CheckConstraint("claims > 0", name="claims_some"),
    Index(None, "person_id", "release_id"),
    info={"citus": "person_id"},
)
