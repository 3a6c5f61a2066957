"""Rows of a day's result: the three sides, by channel. Guarded by the row of the day."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, String, Table

from backend.db import ledger_metadata

FIGURES = (
    "bank_lines",
    "bank_fen",
    "topups",
    "topups_fen",
    "posted_fen",
    "rest_fen",
    "matched",
    "matched_fen",
)

match_total = Table(
    "match_total",
    ledger_metadata,
    Column("business_date", Date, primary_key=True),
    Column("channel", String(16), primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in FIGURES),
    info={"citus": "business_date", "rank": 2},
)
