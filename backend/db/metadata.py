"""The tables of each database, and the two tables every database has: answers and the outbox."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)


class Which(Enum):
    """The three databases: each may move to a server of its own."""

    IDENTITY = "identity"  # 基础信息资源库
    BUSINESS = "business"  # 业务信息资源库
    LEDGER = "ledger"  # 账务数据库


NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}

identity_metadata = MetaData(naming_convention=NAMING)
business_metadata = MetaData(naming_convention=NAMING)
ledger_metadata = MetaData(naming_convention=NAMING)

METADATA = {
    Which.IDENTITY: identity_metadata,
    Which.BUSINESS: business_metadata,
    Which.LEDGER: ledger_metadata,
}


class Utc(TypeDecorator[datetime]):
    """A moment with its zone, UTC in storage; a naive datetime is a bug and raises."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _common(metadata: MetaData) -> None:
    Table(
        "answer",
        metadata,
        Column("scope", String(160), primary_key=True),
        Column("key", String(64), primary_key=True),
        Column("content", JSON, nullable=False),  # field -> keyed digest: names what differs
        Column("status", Integer, nullable=False),
        Column("body", Text, nullable=False),
        Column("created_at", Utc, nullable=False),
        info={"citus": "scope"},
    )
    Table(
        "outbox",
        metadata,
        Column("event_id", String(64), primary_key=True),
        Column("topic", String(64), nullable=False),
        Column("payload", JSON, nullable=False),
        Column("created_at", Utc, nullable=False),
        Column("due_at", Utc),  # null: delivered or parked
        Column("attempts", Integer, nullable=False, default=0),
        Column("delivered_at", Utc),
        Column("failure", Text),  # the last one; set and due_at null: parked
        Index(None, "due_at"),
        info={"citus": "event_id"},
    )


for _metadata in METADATA.values():
    _common(_metadata)
