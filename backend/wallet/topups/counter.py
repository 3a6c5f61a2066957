"""Cash at a counter: taken and credited at once, reversed the same day, counted in the evening."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from backend.db import Decide, Operation, Rows, Units, Which
from backend.kernel import ANY_AMOUNT, AmountRange, business_date
from backend.wallet import recipes
from backend.wallet.accounts import Channel, channel_id, ride_debt_id
from backend.wallet.ledger import Ledger
from backend.wallet.model import WalletUnknown
from backend.wallet.tables import wallet
from backend.wallet.topups.counter_model import (
    CashTopUp,
    CashTopUpExists,
    CashTopUpOld,
    CashTopUpUnknown,
    CountDrawer,
    Counter,
    CounterUnknown,
    Drawer,
    DrawerCounted,
    DrawerUnknown,
    Payer,
    ReverseCash,
    TakeCash,
)
from backend.wallet.topups.standing import derived_id
from backend.wallet.topups.tables import cash_drawer, cash_topup

CASH = channel_id(Channel.COUNTER_CASH)
POSTED, REVERSED = "posted", "reversed"
OPEN, COUNTED = "open", "counted"


def drawer_id_of(counter: str, day: date) -> str:
    """The one drawer of a counter and day."""
    return derived_id("drw", counter, day.isoformat())


@dataclass(frozen=True, slots=True)
class Counters:
    """Each method is one command or one question of staff at a counter."""

    units: Units
    ledger: Ledger
    counters: Mapping[str, Counter]
    amounts: AmountRange = ANY_AMOUNT

    def take(self, command: TakeCash, operation: Operation) -> CashTopUp:
        """Credit cash at once; what the rider owes is taken from it.

        Raises CounterUnknown, AmountOutOfRange, WalletUnknown, CashTopUpExists, DrawerCounted,
        CeilingExceeded, LimitExceeded (the rule of cash at this kind of counter), AccountClosed.
        """

        def needs(rows: Rows) -> bool:
            rows.want(cash_topup, command.topup_id)
            rows.want(cash_drawer, drawer_id_of(command.counter, business_date(rows.now)))
            rows.want(wallet, command.wallet_id)
            debt = ride_debt_id(command.wallet_id)
            self.ledger.need(
                rows,
                (CASH, command.wallet_id, debt),
                counted=command.wallet_id,
                counts=self._counts(command),
            )
            return False

        def decide(rows: Rows) -> CashTopUp:
            return self._take(rows, command)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def reverse(self, command: ReverseCash, operation: Operation) -> CashTopUp:
        """Undo a mistake: same counter, same day, and the wallet still has it all.

        Raises CashTopUpUnknown, CashTopUpOld, DrawerCounted, InsufficientFunds (also when a part
        of it paid a debt), AccountFrozen, AccountClosed.
        """

        def needs(rows: Rows) -> bool:
            is_first = not rows.is_known(cash_topup, command.topup_id)
            rows.want(cash_topup, command.topup_id)
            rows.want(cash_drawer, drawer_id_of(command.counter, business_date(rows.now)))
            if is_first:
                return True
            if (row := rows.find(cash_topup, command.topup_id)) is not None:
                wallet_id, counts = row["wallet_id"], self._counts_of(command.counter, row)
                self.ledger.need(rows, (CASH, wallet_id), counted=wallet_id, counts=counts)
            return False

        def decide(rows: Rows) -> CashTopUp:
            return self._reverse(rows, command)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def count(self, command: CountDrawer, operation: Operation) -> Drawer:
        """Close a counter's day: the cash counted beside the book. It is counted once.

        Raises CounterUnknown, DrawerUnknown, DrawerCounted.
        """
        drawer_id = drawer_id_of(command.counter, command.business_date)

        def needs(rows: Rows) -> bool:
            rows.want(cash_drawer, drawer_id)
            return False

        def decide(rows: Rows) -> Drawer:
            self._check_counter(command.counter)
            row = rows.find(cash_drawer, drawer_id)
            if row is None:
                raise DrawerUnknown
            if row["state"] == COUNTED:
                raise DrawerCounted
            said = {"counted_fen": command.counted_fen, "counted_by": command.staff}
            rows.change(cash_drawer, (drawer_id,), state=COUNTED, counted_at=rows.now, **said)
            return drawer_of({**row, **said, "state": COUNTED})

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def drawer(self, counter: str, day: date) -> Drawer:
        """How a counter's day stands. Raises CounterUnknown, DrawerUnknown."""
        self._check_counter(counter)
        with self.units.read(Which.LEDGER) as work:
            row = work.rows.find(cash_drawer, drawer_id_of(counter, day))
        if row is None:
            raise DrawerUnknown
        return drawer_of(row)

    def get(self, topup_id: str) -> CashTopUp:
        """The receipt again. Raises CashTopUpUnknown."""
        with self.units.read(Which.LEDGER) as work:
            row = work.rows.find(cash_topup, topup_id)
            if row is None:
                raise CashTopUpUnknown
            return _cash(row, _get_drawer(work.rows, row["drawer_id"]))

    # --- inside -----------------------------------------------------------------------------------

    def _take(self, rows: Rows, command: TakeCash) -> CashTopUp:
        self._check_counter(command.counter)
        self.amounts.check(command.amount_fen)
        if rows.find(wallet, command.wallet_id) is None:
            raise WalletUnknown
        if (known := rows.find(cash_topup, command.topup_id)) is not None:
            return _same(known, _get_drawer(rows, known["drawer_id"]), command)
        drawer = self._open_drawer(rows, command.counter)
        debt_fen, balance_fen = self._credit(rows, command)
        row = {
            "topup_id": command.topup_id,
            "drawer_id": drawer["drawer_id"],
            "wallet_id": command.wallet_id,
            "amount_fen": command.amount_fen,
            "payer": command.payer.value,
            "debt_fen": debt_fen,
            "balance_fen": balance_fen,
            "taken_by": command.staff,
            "taken_at": rows.now,
            "state": POSTED,
            "reversed_at": None,
        }
        rows.add(cash_topup, row)
        rows.change(
            cash_drawer,
            (drawer["drawer_id"],),
            taken=drawer["taken"] + 1,
            taken_fen=drawer["taken_fen"] + command.amount_fen,
        )
        return _cash(row, drawer)

    def _credit(self, rows: Rows, command: TakeCash) -> tuple[int, int]:
        """(debt taken, balance after). Two operations: limits of cash count all that was handed
        over, also what goes on to the debt."""
        topup_id, wallet_id = command.topup_id, command.wallet_id
        made = recipes.top_up(
            topup_id,
            wallet_id,
            command.amount_fen,
            command.counter,
            channel=Channel.COUNTER_CASH,
            counts=self._counts(command),
        )
        after = self.ledger.post(rows, made)[wallet_id]
        debt = self.ledger.find_account(rows, ride_debt_id(wallet_id))
        owed_fen = 0 if debt is None else min(debt.balance_fen, after.available_fen)
        debt_fen = max(0, min(owed_fen, command.amount_fen))
        if debt_fen:
            paid = recipes.debt_paid(topup_id, wallet_id, debt_fen)
            # A frozen wallet takes money in; what it owes is taken from that all the same.
            after = self.ledger.post(rows, paid, checked=())[wallet_id]
        return debt_fen, after.balance_fen

    def _reverse(self, rows: Rows, command: ReverseCash) -> CashTopUp:
        row = rows.find(cash_topup, command.topup_id)
        if row is None:
            raise CashTopUpUnknown
        drawer = _get_drawer(rows, row["drawer_id"])
        if drawer["counter"] != command.counter:
            raise CashTopUpUnknown
        if row["state"] == REVERSED:
            return _cash(row, drawer)
        if drawer["business_date"] != business_date(rows.now):
            raise CashTopUpOld
        if drawer["state"] == COUNTED:
            raise DrawerCounted
        undone = recipes.top_up_reversal(
            command.topup_id,
            row["wallet_id"],
            row["amount_fen"],
            command.counter,
            channel=Channel.COUNTER_CASH,
            gives_back=self._counts_of(command.counter, row),
        )
        self.ledger.post(rows, undone)
        said = {"state": REVERSED, "reversed_at": rows.now}
        who = {"reversed_by": command.staff, "reason": command.reason}
        rows.change(cash_topup, (command.topup_id,), **said, **who)
        rows.change(
            cash_drawer,
            (drawer["drawer_id"],),
            returned=drawer["returned"] + 1,
            returned_fen=drawer["returned_fen"] + row["amount_fen"],
        )
        return _cash({**row, **said}, drawer)

    def _open_drawer(self, rows: Rows, counter: str) -> Mapping[str, Any]:
        today = business_date(rows.now)
        drawer_id = drawer_id_of(counter, today)
        row = rows.find(cash_drawer, drawer_id)
        if row is None:
            row = {
                "drawer_id": drawer_id,
                "counter": counter,
                "business_date": today,
                "state": OPEN,
                **dict.fromkeys(("taken", "taken_fen", "returned", "returned_fen"), 0),
                "counted_fen": None,
                "counted_by": None,
            }
            rows.add(cash_drawer, row)
        elif row["state"] == COUNTED:
            raise DrawerCounted
        return row

    def _check_counter(self, counter: str) -> None:
        if counter not in self.counters:
            raise CounterUnknown

    def _counts(self, command: TakeCash) -> tuple[str, ...]:
        known = self.counters.get(command.counter)
        return () if known is None else known.counts[command.payer]

    def _counts_of(self, counter: str, row: Mapping[str, Any]) -> tuple[str, ...]:
        known = self.counters.get(counter)
        return () if known is None else known.counts[Payer(row["payer"])]


def _get_drawer(rows: Rows, drawer_id: str) -> Mapping[str, Any]:
    row = rows.find(cash_drawer, drawer_id)
    assert row is not None
    return row


def _same(row: Mapping[str, Any], drawer: Mapping[str, Any], command: TakeCash) -> CashTopUp:
    known = (drawer["counter"], row["wallet_id"], row["amount_fen"], row["payer"])
    asked = (command.counter, command.wallet_id, command.amount_fen, command.payer.value)
    if known != asked:
        raise CashTopUpExists
    return _cash(row, drawer)


def _cash(row: Mapping[str, Any], drawer: Mapping[str, Any]) -> CashTopUp:
    return CashTopUp(
        topup_id=row["topup_id"],
        counter=drawer["counter"],
        business_date=drawer["business_date"],
        wallet_id=row["wallet_id"],
        amount_fen=row["amount_fen"],
        debt_fen=row["debt_fen"],
        balance_fen=row["balance_fen"],
        payer=Payer(row["payer"]),
        state=row["state"],
        taken_by=row["taken_by"],
        taken_at=row["taken_at"],
        reversed_at=row["reversed_at"],
    )


def drawer_of(row: Mapping[str, Any]) -> Drawer:
    names = ("drawer_id", "counter", "business_date", "state", "taken", "taken_fen")
    more = ("returned", "returned_fen", "counted_fen", "counted_by")
    return Drawer(**{name: row[name] for name in (*names, *more)})
