"""How a load ends: on the chip or back where it came from, by what the chip itself has said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from backend.cards import PurseKey
from backend.db import Event, Rows
from backend.payments.purses import book, tables
from backend.payments.purses.model import LoadNotProved, LoadView, ToldBy
from backend.payments.purses.states import LoadEvent, LoadState, advance_load
from backend.wallet import (
    Ledger,
    epurse_float_account,
    load_returned_transfer,
    load_transit_account,
    load_written_transfer,
    operation_step,
)
from card_protocol.epurse.transactions import Load

CONTRADICTED = "purse_contradicted"
Row = Mapping[str, Any]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settling:
    """Works on rows that are held: the purse's book first."""

    ledger: Ledger

    def need(self, rows: Rows, row: Row) -> None:
        """Want what `write` and `give_back` read of a load."""
        accounts = (
            row["source_id"],
            epurse_float_account(row["purse_number"]).account_id,
            load_transit_account(row["load_id"]).account_id,
        )
        self.ledger.need(rows, accounts)
        if row["source"] == "wallet":
            book.want_home(rows, self.ledger, row["source_id"])

    def need_open(self, rows: Rows, purse_number: str) -> bool:
        """Want the purse's undecided load, then its accounts; True when more is to be named."""
        row = book.find(rows, purse_number)
        if row is None or row["open_load_id"] is None:
            return False
        if not rows.is_known(tables.purse_load, row["open_load_id"]):
            rows.want(tables.purse_load, row["open_load_id"])
            return True
        last = rows.find(tables.purse_load, row["open_load_id"])
        assert last is not None
        self.need(rows, last)
        return False

    def by_counter(self, rows: Rows, row: Row, load_counter: int) -> LoadView:
        """By the counter of a later INITIALIZE, whose MAC1 was checked. Raises LoadNotProved."""
        if load_counter == row["load_counter"]:
            return self.give_back(rows, row)
        if load_counter == row["load_counter"] + 1:
            return self.write(rows, row, ToldBy.NEXT_COUNTER)
        raise LoadNotProved

    def write(self, rows: Rows, row: Row, told_by: ToldBy) -> LoadView:
        """On the chip: from transit into the float. Raises LoadStateConflict."""
        state = advance_load(LoadState(row["state"]), LoadEvent.WRITE)
        number, amount_fen = row["purse_number"], row["amount_fen"]
        transfer = load_written_transfer(row["load_id"], number, amount_fen)
        self.ledger.post(rows, transfer)
        book.see_chip(
            rows,
            self.ledger,
            number,
            row["old_balance_fen"] + amount_fen,
            row["begun_at"],
            load_counter=row["load_counter"] + 1,
        )
        return self._end(rows, row, state, told_by)

    def give_back(
        self, rows: Rows, row: Row, told_by: ToldBy = ToldBy.SAME_COUNTER, **who: str
    ) -> LoadView:
        """Not on the chip: from transit to where it came from; where that is a wallet that was
        closed meanwhile, to a case of its owner. `who`: columns of a person's decision.

        Raises LoadStateConflict, AccountFrozen.
        """
        state = advance_load(LoadState(row["state"]), LoadEvent.RETURN)
        home_id = row["source_id"]
        if row["source"] == "wallet":
            home_id = book.open_home(
                rows,
                self.ledger,
                home_id,
                operation_id=operation_step(row["load_id"], "returned"),
                amount_fen=row["amount_fen"],
                reason="圈存退回",
            )
        transfer = load_returned_transfer(row["load_id"], home_id, row["amount_fen"])
        # The wallet's own money comes home: a ceiling reached since cannot keep it out.
        self.ledger.post(rows, transfer, with_ceilings=False)
        return self._end(rows, row, state, told_by, **who)

    def contradict(self, rows: Rows, row: Row) -> None:
        """The chip has what was given back: nothing moves, a person is told, once."""
        if row["is_contradicted"]:
            return
        rows.change(tables.purse_load, (row["load_id"],), is_contradicted=True)
        rows.tell(CONTRADICTED, purse_number=row["purse_number"], load_id=row["load_id"])

    def _end(self, rows: Rows, row: Row, state: LoadState, told_by: ToldBy, **who: str) -> LoadView:
        new = {"state": state.value, "told_by": told_by.value, "decided_at": rows.now, **who}
        rows.change(tables.purse_load, (row["load_id"],), **new)
        known = book.find(rows, row["purse_number"])
        if known is not None and known["open_load_id"] == row["load_id"]:
            book.set_open_load(rows, row["purse_number"], None)
        return view_of({**row, **new})


@dataclass(frozen=True, slots=True)
class PurseAlarm:
    """Outbox: a chip contradicts the books; a line in the operator's log."""

    def ring(self, event: Event) -> None:
        log.warning("purse_contradicted", **{str(name): one for name, one in event.payload.items()})


def key_of(row: Row) -> PurseKey:
    return PurseKey(row["purse_number"], row["issuer_id"], row["suite"], row["key_version"])


def load_of(row: Row, *, amount_fen: int | None = None, sam_number: bytes | None = None) -> Load:
    """The load as the chip was asked for it, or another one of the same chip."""
    return Load(
        row["amount_fen"] if amount_fen is None else amount_fen,
        bytes.fromhex(row["sam_number"]) if sam_number is None else sam_number,
        bytes.fromhex(row["transaction_time"]),
    )


def view_of(row: Mapping[Any, Any]) -> LoadView:
    state = LoadState(row["state"])
    return LoadView(
        load_id=row["load_id"],
        purse_number=row["purse_number"],
        amount_fen=row["amount_fen"],
        state=state,
        mac2=row["mac2"] if state is LoadState.BEGUN else None,
        transaction_time=row["transaction_time"],
        told_by=row["told_by"],
        is_contradicted=row["is_contradicted"],
    )
