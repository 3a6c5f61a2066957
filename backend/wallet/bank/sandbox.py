"""The sandbox bank: a bank with a book of its own and faults that are ordered by the amount.

The last two digits of the amount in fen order the fault:

| amount ends in | what the bank does |
| --- | --- |
| 01 | does not answer; carries the order out `delay_seconds` later and sends its notice |
| 02 | declines: `bank_insufficient_funds` |
| 03 | does not answer; declines `delay_seconds` later: `bank_card_blocked` |
| 04 | pays and sends its notice twice |
| 05 | cannot be reached for the first two calls about the order |
| others | pays at once and sends its notice once |
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from backend.kernel import Clock, business_date, new_id
from backend.wallet.bank.notices import notice_headers
from backend.wallet.bank.port import BankUnreachable, Booking, ChargeOutcome, ChargeState

BOOK = """
CREATE TABLE IF NOT EXISTS bank_order (
  order_id TEXT PRIMARY KEY, amount_fen INTEGER NOT NULL, card_end TEXT NOT NULL,
  state TEXT NOT NULL, reference TEXT NOT NULL, reason TEXT, decides_at REAL NOT NULL,
  decides_as TEXT NOT NULL, booked_on TEXT, calls INTEGER NOT NULL, notices_due INTEGER NOT NULL
)
"""
NOTICES_PER_TICK_MAX = 20
UNREACHABLE_CALLS = 2

Notify = Callable[[bytes, Mapping[str, str]], bool]
"""Delivers a notice (body, headers); True when the receiver took it."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How the bank treats an order."""

    decides_as: ChargeState = ChargeState.PAID
    reason: str | None = None
    is_late: bool = False
    notices: int = 1
    unreachable_calls: int = 0


MANNERS: Mapping[int, Manner] = {
    1: Manner(is_late=True),
    2: Manner(ChargeState.DECLINED, "bank_insufficient_funds", notices=0),
    3: Manner(ChargeState.DECLINED, "bank_card_blocked", is_late=True),
    4: Manner(notices=2),
    5: Manner(unreachable_calls=UNREACHABLE_CALLS),
}


@dataclass(frozen=True, slots=True)
class SandboxBank:
    """A bank for trying things out; its book survives a restart."""

    book: Path
    clock: Clock
    mac: Callable[[bytes], bytes]
    delay_seconds: float = 1.5

    def __post_init__(self) -> None:
        self.book.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as book:
            book.execute(BOOK)

    def charge(self, order_id: str, bank_card: str, amount_fen: int) -> ChargeOutcome:
        manner = MANNERS.get(amount_fen % 100, Manner())
        now = self.clock.now()
        delay = timedelta(seconds=self.delay_seconds if manner.is_late else 0)
        with self._open() as book:
            book.execute(
                "INSERT INTO bank_order VALUES (?, ?, ?, 'processing', ?, NULL, ?, ?, NULL, 0, ?)"
                " ON CONFLICT DO NOTHING",
                (
                    order_id,
                    amount_fen,
                    bank_card[-4:],
                    new_id("bnk"),
                    (now + delay).timestamp(),
                    manner.decides_as.value,
                    manner.notices,
                ),
            )
        return self._answer(order_id, manner)

    def query(self, order_id: str) -> ChargeOutcome:
        with self._open() as book:
            row = book.execute(
                "SELECT amount_fen FROM bank_order WHERE order_id = ?", (order_id,)
            ).fetchone()
        if row is None:
            return ChargeOutcome(ChargeState.UNKNOWN)
        return self._answer(order_id, MANNERS.get(row["amount_fen"] % 100, Manner()), asked=True)

    def bookings(self, day: date) -> list[Booking]:
        with self._open() as book:
            rows = book.execute(
                "SELECT order_id, amount_fen, reference FROM bank_order WHERE booked_on = ?",
                (day.isoformat(),),
            ).fetchall()
        return [Booking(row["order_id"], row["amount_fen"], row["reference"]) for row in rows]

    def custody_balance_fen(self) -> int:
        with self._open() as book:
            total = book.execute("SELECT SUM(amount_fen) FROM bank_order WHERE state = 'paid'")
            return int(total.fetchone()[0] or 0)

    def tick(self, notify: Notify) -> int:
        """Decide what is due and send due notices; how many were taken by the receiver."""
        with self._open() as book:
            self._decide_due(book)
            rows = book.execute(
                "SELECT * FROM bank_order WHERE notices_due > 0 AND state <> 'processing' LIMIT ?",
                (NOTICES_PER_TICK_MAX,),
            ).fetchall()
        taken = [row["order_id"] for row in rows if notify(*self._notice(row))]
        with self._open() as book:
            book.executemany(
                "UPDATE bank_order SET notices_due = notices_due - 1 WHERE order_id = ?",
                [(order_id,) for order_id in taken],
            )
        return len(taken)

    def _answer(self, order_id: str, manner: Manner, *, asked: bool = False) -> ChargeOutcome:
        with self._open() as book:
            self._decide_due(book)
            row = book.execute(
                "UPDATE bank_order SET calls = calls + 1 WHERE order_id = ? RETURNING *",
                (order_id,),
            ).fetchone()
        if row["calls"] <= manner.unreachable_calls or (manner.is_late and not asked):
            raise BankUnreachable(order_id)
        return _outcome(row)

    def _decide_due(self, book: sqlite3.Connection) -> None:
        now = self.clock.now()
        for row in book.execute(
            "SELECT * FROM bank_order WHERE state = 'processing' AND decides_at <= ?",
            (now.timestamp(),),
        ).fetchall():
            manner = MANNERS.get(row["amount_fen"] % 100, Manner())
            paid = manner.decides_as is ChargeState.PAID
            book.execute(
                "UPDATE bank_order SET state = ?, reason = ?, booked_on = ? WHERE order_id = ?",
                (
                    manner.decides_as.value,
                    manner.reason,
                    business_date(now).isoformat() if paid else None,
                    row["order_id"],
                ),
            )

    def _notice(self, row: sqlite3.Row) -> tuple[bytes, dict[str, str]]:
        outcome = _outcome(row)
        body = json.dumps(
            {
                "order_id": row["order_id"],
                "state": outcome.state.value,
                "reference": outcome.reference,
                "reason": outcome.reason,
            }
        ).encode()
        return body, notice_headers(new_id("ntc"), self.clock.now(), body, self.mac)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        book = sqlite3.connect(self.book, timeout=5)
        book.row_factory = sqlite3.Row
        try:
            with book:
                yield book
        finally:
            book.close()


def _outcome(row: sqlite3.Row) -> ChargeOutcome:
    state = ChargeState(row["state"])
    paid = state is ChargeState.PAID
    return ChargeOutcome(state, row["reference"] if paid else None, row["reason"])
