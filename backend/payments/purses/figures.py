"""A purse's three figures: the chip as last seen, the book, and what is not yet uploaded."""

from __future__ import annotations

from dataclasses import dataclass

from backend.cards import Purses
from backend.db import Units, Which
from backend.payments.purses import book
from backend.payments.purses.model import PurseFigures
from backend.wallet import Ledger, epurse_float_account, load_transit_account


@dataclass(frozen=True, slots=True)
class PurseBooks:
    """Reads only."""

    units: Units
    ledger: Ledger
    purses: Purses

    def figures(self, purse_number: str) -> PurseFigures:
        """`not_uploaded_fen` is the book less the chip: what terminals still keep, as far as the
        chip's last word goes. Raises PurseUnknown for one that is neither registered nor seen.
        """
        with self.units.read(Which.LEDGER) as work:
            row = book.find(work.rows, purse_number)
            account = (
                self.ledger.find_account(work.rows, epurse_float_account(purse_number).account_id)
                if row is not None
                else None
            )
            load_id = None if row is None else row["open_load_id"]
            transit = None
            if load_id is not None:
                transit_id = load_transit_account(load_id).account_id
                transit = self.ledger.find_account(work.rows, transit_id)
        if row is None:
            self.purses.get(purse_number)
            return PurseFigures(purse_number, None, None, 0, None, 0)
        book_fen = 0 if account is None else account.balance_fen
        return PurseFigures(
            purse_number,
            row["chip_fen"],
            row["chip_seen_at"],
            book_fen,
            book_fen - row["chip_fen"],
            0 if transit is None else transit.balance_fen,
        )
