"""Which purses no terminal may take: what the deny list asks this domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from backend.cards import tables
from backend.cards.states import STOPPED, PurseState
from backend.db import Work

PURSE_CHANGED = "purse_changed"
"""Topic; payload: purse_number. Told whenever a purse may enter or leave the deny list."""


@dataclass(frozen=True, slots=True)
class PurseStanding:
    """One purse; `ends_at` is None: the registry does not know what file 15 of the chip says."""

    source_id: str  # its number
    is_denied: bool
    ends_at: None = None

    @property
    def number(self) -> str:
        return self.source_id


class PurseStandings:
    """Read inside the asker's transaction on the business database."""

    def find(self, work: Work, purse_number: str) -> PurseStanding | None:
        columns = tables.purse.c
        query = select(columns.purse_number, columns.state)
        row = work.one(query.where(columns.purse_number == purse_number))
        return None if row is None else _standing_of(row)

    def page(self, work: Work, after: str, limit: int) -> Sequence[PurseStanding]:
        """Purses of any state by number, from the one after `after`; less than `limit`: the end."""
        columns = tables.purse.c
        query = select(columns.purse_number, columns.state)
        query = query.where(columns.purse_number > after).order_by(columns.purse_number)
        return [_standing_of(row) for row in work.execute(query.limit(limit))]


def _standing_of(row: Row[Any]) -> PurseStanding:
    return PurseStanding(row.purse_number, PurseState(row.state) in STOPPED)
