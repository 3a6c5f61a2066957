"""Loads whose chip does not come back: what staff sees of them, and how a person ends one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from backend.cards import Purses, PurseState
from backend.db import Decide, Operation, Rows, Units, Which
from backend.payments.purses import book, tables
from backend.payments.purses.model import LoadNotStuck, LoadUnknown, LoadView, ToldBy
from backend.payments.purses.settling import Settling, view_of
from backend.payments.purses.states import LoadState
from backend.wallet import Ledger


@dataclass(frozen=True, slots=True)
class ReturnLoad:
    """The command: the chip is gone for good."""

    load_id: str
    staff_id: str
    note: str


@dataclass(frozen=True, slots=True)
class StuckLoads:
    """`wait`: how long after a purse was closed nothing more can come from its chip: as long as
    terminals may keep a sale."""

    units: Units
    ledger: Ledger
    purses: Purses
    wait: timedelta = timedelta(days=30)

    def of_state(
        self, state: LoadState, *, limit: int, after: str | None
    ) -> tuple[list[LoadView], str | None]:
        """Loads in a state, oldest first, above the cursor; and the next cursor."""
        columns = tables.purse_load.c
        query = select(tables.purse_load).where(
            columns.state == state.value, columns.load_id > (after or "")
        )
        query = query.order_by(columns.load_id).limit(limit + 1)
        with self.units.read(Which.LEDGER) as work:
            found = [view_of(row) for row in work.execute(query).mappings()]
        page = found[:limit]
        return page, page[-1].load_id if len(found) > limit else None

    def give_back(self, command: ReturnLoad, operation: Operation) -> LoadView:
        """From transit to where it came from; a closed wallet's money goes to a case of its owner.

        The purse is closed, which takes two persons, and has been for `wait`: were the load on
        the chip, nobody could spend it any more. Raises LoadUnknown, LoadNotStuck, AccountFrozen.
        """
        with self.units.read(Which.LEDGER) as work:
            row = work.rows.find(tables.purse_load, command.load_id)
        if row is None:
            raise LoadUnknown
        settling = Settling(self.ledger)
        closed_at = self._find_closed_at(row["purse_number"])

        def needs(rows: Rows) -> bool:
            rows.want(tables.purse_load, command.load_id)
            book.want(rows, row["purse_number"])
            settling.need(rows, row)
            return False

        def decide(rows: Rows) -> LoadView:
            book.find(rows, row["purse_number"])  # guards the load
            known = rows.find(tables.purse_load, command.load_id)
            assert known is not None
            if known["state"] != LoadState.BEGUN.value:
                return view_of(known)
            if closed_at is None or rows.now - closed_at < self.wait:
                raise LoadNotStuck(days=self.wait.days)
            who = {"decided_by": command.staff_id, "note": command.note}
            return settling.give_back(rows, known, ToldBy.STAFF, **who)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def _find_closed_at(self, purse_number: str) -> datetime | None:
        found = self.purses.find_all((purse_number,)).get(purse_number)
        if found is None or found.purse.state is not PurseState.CLOSED:
            return None
        return found.purse.changed_at
