"""Paying out as a port, and the sandbox bank's side of it. Knows no wallet.

The last two digits of the amount in fen order the sandbox's fault:

| amount ends in | what the bank does |
| --- | --- |
| 01 | does not answer; carries the order out `delay_seconds` later |
| 02 | declines: `bank_account_closed` |
| 03 | does not answer; declines `delay_seconds` later: `bank_name_differs` |
| 05 | cannot be reached for the first two calls about the order |
| others | pays at once |
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Protocol

from backend.kernel import Clock, business_date, new_id
from backend.wallet.bank.port import BankUnreachable, Booking, ChargeState
from backend.wallet.bank.sandbox import SandboxBank

BOOK = """
CREATE TABLE IF NOT EXISTS bank_payout (
  order_id TEXT PRIMARY KEY, amount_fen INTEGER NOT NULL, card_end TEXT NOT NULL,
  state TEXT NOT NULL, reference TEXT NOT NULL, reason TEXT, decides_at REAL NOT NULL,
  booked_on TEXT, calls INTEGER NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class PayoutOutcome:
    """The bank's word on an order: `reference` and `amount_fen` when paid, `reason` when declined.

    `reason` is a stable code. ValueError for a word that money was paid without saying how much.
    """

    state: ChargeState
    reference: str | None = None
    reason: str | None = None
    amount_fen: int | None = None

    def __post_init__(self) -> None:
        if self.state is ChargeState.PAID and self.amount_fen is None:
            raise ValueError("paid out: but how much?")


class PayoutBank(Protocol):
    """Orders carry our id: the bank carries each out at most once, however often it is sent."""

    def pay_out(
        self, order_id: str, bank_card: str, holder_name: str, amount_fen: int
    ) -> PayoutOutcome:
        """Pay from custody to the account of this card, if its holder has this very name.

        Raises BankUnreachable when no answer comes.
        """

    def query(self, order_id: str) -> PayoutOutcome:
        """What became of an order. Raises BankUnreachable."""

    def bookings(self, day: date) -> list[Booking]:
        """The custody account's lines of one business day that took money out, as amounts."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How the sandbox treats an order."""

    reason: str | None = None  # declined
    is_late: bool = False
    unreachable_calls: int = 0


MANNERS: Mapping[int, Manner] = {
    1: Manner(is_late=True),
    2: Manner("bank_account_closed"),
    3: Manner("bank_name_differs", is_late=True),
    5: Manner(unreachable_calls=2),
}


@dataclass(frozen=True, slots=True)
class SandboxPayouts:
    """The paying half of the sandbox bank; its lines stand in the same book."""

    book: Path
    clock: Clock
    delay_seconds: float = 1.5

    def __post_init__(self) -> None:
        self.book.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as book:
            book.execute(BOOK)

    def pay_out(
        self, order_id: str, bank_card: str, holder_name: str, amount_fen: int
    ) -> PayoutOutcome:
        """See PayoutBank. The sandbox knows no names: the amount says when they differ."""
        if not holder_name:
            raise ValueError("an order to pay out names the account's holder")
        manner = _manner(amount_fen)
        delay = timedelta(seconds=self.delay_seconds if manner.is_late else 0)
        decides_at = (self.clock.now() + delay).timestamp()
        with self._open() as book:
            book.execute(
                "INSERT INTO bank_payout VALUES (?, ?, ?, 'processing', ?, NULL, ?, NULL, 0)"
                " ON CONFLICT DO NOTHING",
                (order_id, amount_fen, bank_card[-4:], new_id("bnk"), decides_at),
            )
        return self._answer(order_id, asked=False)

    def query(self, order_id: str) -> PayoutOutcome:
        return self._answer(order_id, asked=True)

    def bookings(self, day: date) -> list[Booking]:
        with self._open() as book:
            rows = book.execute(
                "SELECT order_id, amount_fen, reference FROM bank_payout"
                " WHERE booked_on = ? ORDER BY order_id",
                (day.isoformat(),),
            ).fetchall()
        return [Booking(row["order_id"], row["amount_fen"], row["reference"]) for row in rows]

    def paid_out_fen(self) -> int:
        """All that has left the custody account."""
        with self._open() as book:
            row = book.execute("SELECT SUM(amount_fen) FROM bank_payout WHERE state = 'paid'")
            return int(row.fetchone()[0] or 0)

    def _answer(self, order_id: str, *, asked: bool) -> PayoutOutcome:
        with self._open() as book:
            self._decide_due(book)
            row = book.execute(
                "UPDATE bank_payout SET calls = calls + 1 WHERE order_id = ? RETURNING *",
                (order_id,),
            ).fetchone()
        if row is None:
            return PayoutOutcome(ChargeState.UNKNOWN)
        manner = _manner(row["amount_fen"])
        if row["calls"] <= manner.unreachable_calls or (manner.is_late and not asked):
            raise BankUnreachable(order_id)
        state = ChargeState(row["state"])
        if state is ChargeState.PAID:
            return PayoutOutcome(state, row["reference"], amount_fen=row["amount_fen"])
        return PayoutOutcome(state, reason=row["reason"])

    def _decide_due(self, book: sqlite3.Connection) -> None:
        now = self.clock.now()
        for row in book.execute(
            "SELECT * FROM bank_payout WHERE state = 'processing' AND decides_at <= ?",
            (now.timestamp(),),
        ).fetchall():
            reason = _manner(row["amount_fen"]).reason
            state = ChargeState.PAID if reason is None else ChargeState.DECLINED
            booked_on = business_date(now).isoformat() if reason is None else None
            book.execute(
                "UPDATE bank_payout SET state = ?, reason = ?, booked_on = ? WHERE order_id = ?",
                (state.value, reason, booked_on, row["order_id"]),
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        book = sqlite3.connect(self.book, timeout=5)
        book.row_factory = sqlite3.Row
        try:
            with book:
                yield book
        finally:
            book.close()


@dataclass(frozen=True, slots=True)
class CustodyView(SandboxBank):
    """The sandbox bank as the proof asks it: what came in less what went out."""

    payouts: SandboxPayouts | None = None

    def custody_balance_fen(self) -> int:
        paid_out_fen = 0 if self.payouts is None else self.payouts.paid_out_fen()
        return SandboxBank.custody_balance_fen(self) - paid_out_fen


def _manner(amount_fen: int) -> Manner:
    return MANNERS.get(amount_fen % 100, Manner())
