"""A new line of the journal: its counter, its place in the chain, and what forbids it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from reader_bridge.faults import CardFault, TerminalFault
from reader_bridge.journal import rows
from reader_bridge.journal.model import BODY_BYTES_MAX, Atc, Draft, Entry, EntryState

BodyOf = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Fresh:
    """A line that is to be written as `state`, if its reference is still free."""

    draft: Draft
    state: EntryState  # stored | intended | accepted
    card_key: str | None
    body_of: BodyOf
    at: int
    atc: Atc | None

    def write(self, database: sqlite3.Connection) -> tuple[Entry, bool]:
        """The entry that holds the reference, and whether it is this one.

        Raises TerminalFault(sale_unfinished), CardFault(tap_seen), ValueError.
        """
        known = rows.find_by_reference(database, self.draft.kind, self.draft.reference)
        if known is not None:
            return known, False
        self._require_card_free(database)
        is_unseen = rows.remember_card(database, self.card_key, self.atc)
        if not (is_unseen or self.state is EntryState.STORED):
            raise CardFault("tap_seen")  # one cryptogram, shown twice, is one sale
        entry = self._entry(database)
        rows.insert(database, entry)
        return entry, True

    def _require_card_free(self, database: sqlite3.Connection) -> None:
        if self.state is not EntryState.INTENDED or self.card_key is None:
            return
        torn = rows.find_torn(database, self.card_key)
        if torn is not None:
            raise TerminalFault("sale_unfinished", reference=torn.draft.reference)

    def _entry(self, database: sqlite3.Connection) -> Entry:
        """Takes a counter, and a link when the sale is accepted at once."""
        counter, is_suspect = rows.take_counter(database, self.at)
        body = self.body_of(counter)
        link = chain = accepted_at = None
        if self.state is EntryState.ACCEPTED:
            require_body(body)
            link, chain = rows.take_link(database, body)
            accepted_at = self.at
        return Entry(
            draft=self.draft,
            terminal_counter=counter,
            body=body,
            state=self.state,
            answer=None,
            stored_at=self.at,
            steps=(),
            card_key=self.card_key,
            accepted_at=accepted_at,
            link=link,
            chain=chain,
            clock_suspect=is_suspect,
        )


def require_body(body: bytes) -> None:
    """Raises ValueError: a bug, since a proof is far smaller."""
    if len(body) > BODY_BYTES_MAX:
        raise ValueError(f"an offline sale's body has at most {BODY_BYTES_MAX} bytes")
