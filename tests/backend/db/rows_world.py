"""What tests of `Rows` share: tables with every type we use, and a count of SQL statements."""

from __future__ import annotations

from datetime import date
from typing import Any

from db_world import WHICH
from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    select,
)

from backend.db import Units, Utc

metadata = MetaData()

# A composite key with a date, guarded by locks; columns that may be null.
thing = Table(
    "thing",
    metadata,
    Column("owner", String(40), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("left_fen", BigInteger),
    Column("right_fen", BigInteger),
    CheckConstraint("left_fen >= 0", name="left"),
    info={"lock": "own"},
)

# One row of each type.
sample = Table(
    "sample",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("moment", Utc),
    Column("day", Date),
    Column("document", JSON),
    Column("raw", LargeBinary),
    Column("words", Text),
    Column("number", BigInteger),
)

# A whole number for a key.
numbered = Table(
    "numbered",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("value", Integer, nullable=False),
)

DAYS = (date(2026, 11, 23), date(2026, 11, 24))


def stored(units: Units, table: Table) -> dict[tuple[Any, ...], dict[str, Any]]:
    """What the database holds, read by plain SQL, by key."""
    with units.read(WHICH) as work:
        rows = [dict(row) for row in work.execute(select(table)).mappings()]
    return {tuple(row[one.name] for one in table.primary_key): row for row in rows}
