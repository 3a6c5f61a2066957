"""Ids this phone makes: TypeIDs for what it starts, and keys for safe repetition."""

from __future__ import annotations

import secrets

from typeid import TypeID


def new_id(prefix: str) -> str:
    """A TypeID, e.g. `pay_01h…` (sortable by time, unique without asking anyone)."""
    return str(TypeID(prefix=prefix))


def new_idempotency_key() -> str:
    """32 characters of [A-Za-z0-9_-], 192 bits."""
    return secrets.token_urlsafe(24)
