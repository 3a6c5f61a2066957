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

The first digits of a card tell its kind (`CARD_TABLE`): credit cards and cards in no table are
declined. What a test cannot order by an amount it orders by a call: `spoil` falsifies the statement
of one order, `misreport` the word about it, `pay_after_all` pays what was declined, `deposit` books
money that came by another way (a cash drawer's takings, an employer's transfer, a stranger's).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from enum import Enum
from pathlib import Path

from backend.kernel import Clock, business_date, new_id
from backend.wallet.bank.notices import notice_headers
from backend.wallet.bank.port import BankUnreachable, Booking, CardKind, ChargeOutcome, ChargeState

BOOK = """
CREATE TABLE IF NOT EXISTS bank_order (
  order_id TEXT PRIMARY KEY, amount_fen INTEGER NOT NULL, card_end TEXT NOT NULL,
  state TEXT NOT NULL, reference TEXT NOT NULL, reason TEXT, decides_at REAL NOT NULL,
  decides_as TEXT NOT NULL, booked_on TEXT, calls INTEGER NOT NULL, notices_due INTEGER NOT NULL
)
"""
MORE_BOOKS = (
    "CREATE TABLE IF NOT EXISTS bank_deposit (reference TEXT PRIMARY KEY, order_id TEXT NOT NULL,"
    " amount_fen INTEGER NOT NULL, booked_on TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS bank_fault (order_id TEXT, fault TEXT, figure INTEGER NOT NULL,"
    " PRIMARY KEY (order_id, fault))",
)
NOTICES_PER_TICK_MAX = 20
UNREACHABLE_CALLS = 2

Notify = Callable[[bytes, Mapping[str, str]], bool]
"""Delivers a notice (body, headers); True when the receiver took it."""


# First digits and what they tell; of two that fit the longer one counts. Not the real table.
CARD_TABLE: Mapping[str, CardKind] = {
    "6217": CardKind.DEBIT,
    "6222": CardKind.DEBIT,
    "6228": CardKind.DEBIT,
    "6230": CardKind.DEBIT,
    "622588": CardKind.DEBIT,
    "6225": CardKind.CREDIT,
    "6250": CardKind.CREDIT,
    "6259": CardKind.CREDIT,
    "4": CardKind.CREDIT,
    "5": CardKind.CREDIT,
}


class StatementFault(Enum):
    """How a statement may be wrong about one order; `figure` of `spoil` says by how much."""

    LOST = "lost"  # the line is not there
    DOUBLED = "doubled"  # the line is there twice
    AMOUNT = "amount"  # `figure` fen more (negative: less)
    DATE = "date"  # `figure` days later (negative: earlier)


MISREPORTED = "misreported"


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
            for table in (BOOK, *MORE_BOOKS):
                book.execute(table)

    def card_kind(self, bank_card: str) -> CardKind:
        known = [first for first in CARD_TABLE if bank_card.startswith(first)]
        return CARD_TABLE[max(known, key=len)] if known else CardKind.UNKNOWN

    def charge(self, order_id: str, bank_card: str, amount_fen: int) -> ChargeOutcome:
        manner = self._manner(bank_card, amount_fen)
        now = self.clock.now()
        delay = timedelta(seconds=self.delay_seconds if manner.is_late else 0)
        with self._open() as book:
            book.execute(
                "INSERT INTO bank_order VALUES (?, ?, ?, 'processing', ?, ?, ?, ?, NULL, 0, ?)"
                " ON CONFLICT DO NOTHING",
                (
                    order_id,
                    amount_fen,
                    bank_card[-4:],
                    new_id("bnk"),
                    manner.reason,
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
            faults: dict[str, dict[str, int]] = {}
            for row in book.execute("SELECT * FROM bank_fault"):
                faults.setdefault(row["order_id"], {})[row["fault"]] = row["figure"]
            # Few faults: their orders are looked through whatever their day.
            rows = book.execute(
                "SELECT order_id, amount_fen, reference, booked_on FROM bank_order"
                " WHERE booked_on = ?1 OR (booked_on IS NOT NULL AND order_id IN"
                " (SELECT order_id FROM bank_fault))"
                " UNION ALL SELECT order_id, amount_fen, reference, booked_on FROM bank_deposit"
                " WHERE booked_on = ?1 ORDER BY reference",
                (day.isoformat(),),
            ).fetchall()
        lines = [line for row in rows for line in _lines(row, faults.get(row["order_id"], {}))]
        return [line for shown_on, line in lines if shown_on == day]

    def custody_balance_fen(self) -> int:
        with self._open() as book:
            total = book.execute(
                "SELECT (SELECT coalesce(sum(amount_fen), 0) FROM bank_order WHERE state = 'paid')"
                " + (SELECT coalesce(sum(amount_fen), 0) FROM bank_deposit)"
            )
            return int(total.fetchone()[0])

    # --- what only a sandbox does: faults on order ------------------------------------------------

    def deposit(self, order_id: str, amount_fen: int) -> None:
        """Money reaches the custody account today, and names `order_id`."""
        today = business_date(self.clock.now()).isoformat()
        with self._open() as book:
            line = (new_id("bnk"), order_id, amount_fen, today)
            book.execute("INSERT INTO bank_deposit VALUES (?, ?, ?, ?)", line)

    def spoil(self, order_id: str, fault: StatementFault, figure: int = 1) -> None:
        """From now on the statement is wrong about this order."""
        self._fault(order_id, fault.value, figure)

    def misreport(self, order_id: str, more_fen: int) -> None:
        """From now on the bank's word about this order says `more_fen` more than was paid."""
        self._fault(order_id, MISREPORTED, more_fen)

    def repair(self, order_id: str) -> None:
        """The bank corrects statement and word."""
        with self._open() as book:
            book.execute("DELETE FROM bank_fault WHERE order_id = ?", (order_id,))

    def pay_after_all(self, order_id: str) -> None:
        """The bank carries out what it has declined, and tells nobody."""
        today = business_date(self.clock.now()).isoformat()
        with self._open() as book:
            book.execute(
                "UPDATE bank_order SET state = 'paid', booked_on = ? WHERE order_id = ?",
                (today, order_id),
            )

    def _fault(self, order_id: str, fault: str, figure: int) -> None:
        with self._open() as book:
            book.execute(
                "INSERT OR REPLACE INTO bank_fault VALUES (?, ?, ?)", (order_id, fault, figure)
            )

    def _manner(self, bank_card: str, amount_fen: int) -> Manner:
        kind = self.card_kind(bank_card)
        if kind is CardKind.DEBIT:
            return MANNERS.get(amount_fen % 100, Manner())
        return Manner(ChargeState.DECLINED, f"bank_card_{kind.value}", notices=0)

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

    # --- inside -----------------------------------------------------------------------------------

    def _answer(self, order_id: str, manner: Manner, *, asked: bool = False) -> ChargeOutcome:
        with self._open() as book:
            self._decide_due(book)
            row = book.execute(
                "UPDATE bank_order SET calls = calls + 1 WHERE order_id = ? RETURNING *",
                (order_id,),
            ).fetchone()
            outcome = _outcome(book, row)
        if row["calls"] <= manner.unreachable_calls or (manner.is_late and not asked):
            raise BankUnreachable(order_id)
        return outcome

    def _decide_due(self, book: sqlite3.Connection) -> None:
        now = self.clock.now()
        for row in book.execute(
            "SELECT * FROM bank_order WHERE state = 'processing' AND decides_at <= ?",
            (now.timestamp(),),
        ).fetchall():
            paid = row["decides_as"] == ChargeState.PAID.value
            booked_on = business_date(now).isoformat() if paid else None
            book.execute(
                "UPDATE bank_order SET state = ?, booked_on = ? WHERE order_id = ?",
                (row["decides_as"], booked_on, row["order_id"]),
            )

    def _notice(self, row: sqlite3.Row) -> tuple[bytes, dict[str, str]]:
        with self._open() as book:
            outcome = _outcome(book, row)
        said = {**asdict(outcome), "order_id": row["order_id"], "state": outcome.state.value}
        body = json.dumps(said, default=date.isoformat).encode()
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


def _outcome(book: sqlite3.Connection, row: sqlite3.Row) -> ChargeOutcome:
    state = ChargeState(row["state"])
    if state is not ChargeState.PAID:
        return ChargeOutcome(state, reason=row["reason"] if state is ChargeState.DECLINED else None)
    more = book.execute(
        "SELECT figure FROM bank_fault WHERE order_id = ? AND fault = ?",
        (row["order_id"], MISREPORTED),
    ).fetchone()
    return ChargeOutcome(
        state,
        reference=row["reference"],
        amount_fen=row["amount_fen"] + (more["figure"] if more else 0),
        card_end=row["card_end"],
        booked_on=date.fromisoformat(row["booked_on"]),
    )


def _lines(row: sqlite3.Row, faults: Mapping[str, int]) -> list[tuple[date, Booking]]:
    """What the statement shows of an order, and on which day."""
    if StatementFault.LOST.value in faults:
        return []
    days = timedelta(days=faults.get(StatementFault.DATE.value, 0))
    amount_fen = row["amount_fen"] + faults.get(StatementFault.AMOUNT.value, 0)
    line = Booking(row["order_id"], amount_fen, row["reference"])
    times = 2 if StatementFault.DOUBLED.value in faults else 1
    return [(date.fromisoformat(row["booked_on"]) + days, line)] * times
