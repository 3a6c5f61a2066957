"""Which token numbers no terminal may take: what the deny list asks this domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, select

from backend.db import Work
from backend.virtual_card import tables
from backend.virtual_card.states import TokenState
from card_protocol.certificate import Certificate

TOKEN_CHANGED = "token_changed"  # noqa: S105 - a topic
"""Topic; payload: token_id. Told whenever a token may enter or leave the deny list."""

DENIED = frozenset({TokenState.SUSPENDED, TokenState.DELETED})
"""Suspended is also what a copied token is (`Reason.COUNTERS_CONFLICT`)."""


@dataclass(frozen=True, slots=True)
class TokenStanding:
    """One token number; once its certificate ends no terminal takes it anyway."""

    source_id: str  # the token's id
    number: str  # 19 digits
    is_denied: bool
    ends_at: datetime


class TokenStandings:
    """Read inside the asker's transaction on the business database."""

    def find(self, work: Work, token_id: str) -> TokenStanding | None:
        rows = tables.token
        row = work.one(select(rows).where(rows.c.token_id == token_id))
        return None if row is None else _standing_of(row)

    def page(self, work: Work, after: str, limit: int) -> Sequence[TokenStanding]:
        """Tokens of any state by id, from the one after `after`; fewer than `limit`: the end."""
        rows = tables.token
        query = select(rows).where(rows.c.token_id > after).order_by(rows.c.token_id).limit(limit)
        return [_standing_of(row) for row in work.execute(query)]


def _standing_of(row: Row[Any]) -> TokenStanding:
    until = Certificate.decode(row.certificate).not_after
    is_denied = TokenState(row.state) in DENIED
    ends_at = datetime.fromtimestamp(until, UTC)
    return TokenStanding(row.token_id, row.token_number, is_denied, ends_at)
