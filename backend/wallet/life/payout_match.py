"""Books what the bank's statement shows as paid out of custody (备付金). Safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from backend.db import Decide, Operation, Rows, Units, Which
from backend.wallet import recipes
from backend.wallet.bank import Booking
from backend.wallet.bank.payouts import PayoutBank
from backend.wallet.ledger import Ledger, Transfer
from backend.wallet.life import orders
from backend.wallet.life.model import PayoutMatch
from backend.wallet.life.states import RedemptionState


@dataclass(frozen=True, slots=True)
class PayoutMatches:
    """Custody moves only by what the statement shows and our own orders agree with."""

    units: Units
    ledger: Ledger
    bank: PayoutBank

    def match(self, day: date, operation: Operation) -> PayoutMatch:
        """Book one day's lines; those that differ from our orders are named, not booked."""
        bookings = self.bank.bookings(day)

        def needs(rows: Rows) -> bool:
            for one in bookings:
                orders.want(rows, one.order_id)
                self.ledger.need_transfer(rows, _transfer(one))
            return False

        def decide(rows: Rows) -> PayoutMatch:
            return self._match(rows, day, bookings)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def _match(self, rows: Rows, day: date, bookings: list[Booking]) -> PayoutMatch:
        matched, amount_fen, unmatched = 0, 0, []
        for one in bookings:
            if not _is_ours(rows, one):
                unmatched.append(one.order_id)
                continue
            transfer = _transfer(one)
            if not self.ledger.is_posted(rows, transfer.operation_id):
                self.ledger.post(rows, transfer)
                matched, amount_fen = matched + 1, amount_fen + one.amount_fen
        return PayoutMatch(day, matched, amount_fen, unmatched)


def _transfer(booking: Booking) -> Transfer:
    return recipes.custody_paid_out(booking.order_id, booking.amount_fen)


def _is_ours(rows: Rows, booking: Booking) -> bool:
    row = orders.find(rows, booking.order_id)
    return (
        row is not None
        and row["state"] == RedemptionState.SUCCEEDED.value
        and row["amount_fen"] == booking.amount_fen
    )
