"""Drafts and bodies for the journal's tests."""

from __future__ import annotations

import json

from reader_bridge.journal import Draft, EntryKind

AT = 1_790_000_000
CARD = "token:8800123456789012348"


def draft(
    number: int,
    kind: EntryKind = EntryKind.SALE,
    reference: str | None = None,
    amount_fen: int = 1250,
) -> Draft:
    return Draft(
        kind=kind,
        entry_id=f"pay_{number}",
        reference=reference or f"R{number}",
        payment_id=f"pay_{number}",
        amount_fen=amount_fen,
        method="tap",
        application="CITY CARD",
    )


def body_of(counter: int) -> bytes:
    return json.dumps({"terminal_counter": counter}).encode()
