"""The ledger's hand: posts, holds and releases over rows somebody else commits.

Every law is kept here, inside the transaction: floors, states, ceilings, limits by period, holds
that have run out. Knows accounts and counters, no citizens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any

from backend.db import Rows
from backend.kernel import business_date
from backend.wallet.ledger import account_rows, model, segments, tables, usage
from backend.wallet.ledger.limits import Limits, check_ceiling
from backend.wallet.ledger.model import (
    Account,
    AccountState,
    Entry,
    HoldDecided,
    LedgerBroken,
    Leg,
    Side,
    Transfer,
)

HOLDS_AT_ONCE_MAX = 1_000  # of one account, read at once


@dataclass(frozen=True, slots=True)
class Ledger:
    """Each method runs over the rows it is given; `limits` are the figures that hold today.

    `hot`: how the ids of accounts begin that everybody posts on. Such an account has no class and
    no floor and is never frozen, so nothing is decided by it: its row is held for the last round
    trips of a transaction only, and what `post` gives back does not tell it.
    """

    limits: Limits
    hot: tuple[str, ...] = ()

    # --- what will be read --------------------------------------------------------------------

    def need(
        self,
        rows: Rows,
        account_ids: Iterable[str],
        *,
        counted: str | None = None,
        counts: Iterable[str] = (),
    ) -> None:
        """Want what posting on these accounts reads; `counted`: the account whose use counts."""
        segments.want_open_segment(rows)
        for name in account_ids:
            if not name.startswith(self.hot):
                rows.want(tables.account, name)
        if counted is not None:
            for key in usage.keys(self.limits, counted, counts, business_date(rows.now)):
                rows.want(tables.usage, *key)

    def need_transfer(self, rows: Rows, transfer: Transfer) -> None:
        """Want what posting this transfer reads; its id too."""
        self.need_id(rows, transfer.operation_id)
        names = transfer.account_ids()
        self.need(rows, names)
        if transfer.counts:
            for name in names:
                self.need(rows, (), counted=name, counts=transfer.counts)

    def need_id(self, rows: Rows, operation_id: str) -> None:
        """Want what `is_posted` reads."""
        rows.want(tables.posting, operation_id, 0)

    def need_hold(self, rows: Rows, hold_id: str) -> bool:
        """Want a hold, then the accounts it stands on; True when these are still to be named."""
        if not rows.is_known(tables.hold, hold_id):
            rows.want(tables.hold, hold_id)
            return True
        row = rows.find(tables.hold, hold_id)
        if row is not None:
            self.need(rows, (row["debit"], row["credit"]))
        return False

    # --- accounts -----------------------------------------------------------------------------

    def open_account(self, rows: Rows, account: Account) -> None:
        """Open an account; does nothing when it is open already."""
        if account.account_id.startswith(self.hot):
            rows.later(tables.account, (account.account_id,), partial(account_rows.opened, account))
        elif rows.find(tables.account, account.account_id) is None:
            rows.add(tables.account, account_rows.account_row(account))

    def find_account(self, rows: Rows, account_id: str) -> Account | None:
        """The account as it stands, holds that have run out not counted; None for none."""
        self._let_expire(rows, account_id)
        row = rows.find(tables.account, account_id)
        if row is None:
            return None
        return account_rows.to_account(row)

    def accounts(self, rows: Rows, account_ids: Iterable[str]) -> dict[str, Account]:
        """The accounts as they stand, without the hot ones; an unknown one is a bug."""
        names = [name for name in account_ids if not name.startswith(self.hot)]
        for name in names:  # before any is read: a hold that ends changes two accounts
            self._let_expire(rows, name)
        found = {}
        for name in names:
            account = self.find_account(rows, name)
            if account is None:
                raise LedgerBroken(f"no such account: {name}")
            found[name] = account
        return found

    def _let_expire(self, rows: Rows, account_id: str) -> None:
        row = rows.find(tables.account, account_id)
        expires_at = None if row is None else row["holds_expire_at"]
        if expires_at is not None and expires_at <= rows.now:
            self._expire_holds(rows, account_id)

    def set_state(self, rows: Rows, account_id: str, state: AccountState) -> None:
        """Freeze, open again or close; never a hot one."""
        if account_id not in self.accounts(rows, (account_id,)):
            raise LedgerBroken(f"{account_id} stays open")
        rows.change(tables.account, (account_id,), state=state.value)

    # --- posting ------------------------------------------------------------------------------

    def is_posted(self, rows: Rows, operation_id: str) -> bool:
        return rows.find(tables.posting, operation_id, 0) is not None

    def post(
        self,
        rows: Rows,
        transfer: Transfer,
        *,
        checked: Iterable[str] | None = None,
        with_ceilings: bool = True,
        counted_on: date | None = None,
    ) -> dict[str, Account]:
        """Post all legs; the accounts afterwards, without the hot ones.

        `checked`: the accounts whose rules count (default: all); `with_ceilings`: False for money
        that comes home, which no ceiling reached meanwhile can keep out; `counted_on`: the day on
        which was counted what is given back (default: today). Raises InsufficientFunds,
        AccountFrozen, AccountClosed, CeilingExceeded, LimitExceeded. An operation id is posted
        once: a second time is a bug of the caller's, who asks `is_posted` first.
        """
        before = self.accounts(rows, transfer.account_ids())
        after, entries = model.post(before, transfer.legs)
        for name in before if checked is None else checked:
            self._check(
                rows,
                before[name],
                after[name],
                transfer.legs,
                transfer.counts,
                with_ceilings=with_ceilings,
            )
        usage.count(self.limits, rows, before, transfer, back_on=counted_on)
        self._write(rows, transfer, entries)
        account_rows.save(rows, before, after, account_rows.POSTED)
        return after

    def _write(self, rows: Rows, transfer: Transfer, entries: Iterable[Entry]) -> None:
        now, operation_id = rows.now, transfer.operation_id
        head = {
            "operation_id": operation_id,
            "code": transfer.code,
            "linked_to": transfer.linked_to,
            "memo": transfer.memo,
            "business_date": business_date(now),
            "posted_at": now,
            "segment": segments.hold_open_segment(rows),
        }
        for number, leg in enumerate(transfer.legs):
            row = {"leg": number, "debit": leg.debit, "credit": leg.credit}
            rows.add(tables.posting, {**head, **row, "amount_fen": leg.amount_fen})
        for one in entries:
            line = {
                "account_id": one.account_id,
                "line": one.line,
                "operation_id": operation_id,
                "leg": one.leg,
                "side": one.side.value,
                "amount_fen": one.amount_fen,
                "balance_fen": one.balance_fen,
                "code": transfer.code,
                "posted_at": now,
            }
            rows.append(tables.entry, line)
            if one.line is None:
                step = partial(account_rows.with_line, one.side, line)
                rows.later(tables.account, (one.account_id,), step)

    # --- holds --------------------------------------------------------------------------------

    def hold(
        self,
        rows: Rows,
        hold_id: str,
        leg: Leg,
        *,
        expires_at: datetime | None,
        counts: tuple[str, ...] = (),
    ) -> dict[str, Account]:
        """Make a leg pending on both accounts; the accounts afterwards. Refuses as `post`.

        `expires_at` is looked at with the account that pays: what comes to an account with a
        ceiling may not run out, or it would count there until somebody asks the payer.
        """
        before = self.accounts(rows, (leg.debit, leg.credit))
        if expires_at is not None:
            self._check_may_expire(before, leg)
        after = self._pend(rows, before, leg, leg.amount_fen)
        for name in before:
            self._check(rows, before[name], after[name], (leg,), counts)
        usage.count_hold(self.limits, rows, before, leg, counts)
        if expires_at is not None:
            debit = after[leg.debit]
            earliest = min(expires_at, debit.holds_expire_at or expires_at)
            after[leg.debit] = debit._replace(holds_expire_at=earliest)
        row = {
            "hold_id": hold_id,
            "debit": leg.debit,
            "credit": leg.credit,
            "amount_fen": leg.amount_fen,
            "state": "pending",
            "counts": ",".join(counts),
            "expires_at": expires_at,
            "made_at": rows.now,
        }
        rows.add(tables.hold, row)
        account_rows.save(rows, before, after, account_rows.PENDING)
        return after

    def post_hold(self, rows: Rows, hold_id: str, transfer: Transfer) -> dict[str, Account]:
        """Release the hold and post `transfer` in its place. Raises HoldDecided.

        What was promised at the hold is kept: ceilings, limits and freezes since then do not
        count. The use of limits stays with the day of the hold, by the amount that is posted.
        """
        hold = self._decide(rows, hold_id, "posted")
        leg = Leg(hold["debit"], hold["credit"], hold["amount_fen"])
        before = self.accounts(rows, sorted({*transfer.account_ids(), leg.debit, leg.credit}))
        released = self._pend(rows, before, leg, -leg.amount_fen)
        after, entries = model.post(released, transfer.legs)
        taken_fen = sum(one.amount_fen for one in transfer.legs if one.debit == leg.debit)
        if taken_fen > leg.amount_fen:
            raise LedgerBroken(f"{hold_id} holds {leg.amount_fen} fen, not {taken_fen}")
        usage.recount_hold(self.limits, rows, before, hold, transfer.legs)
        self._write(rows, transfer, entries)
        account_rows.save(rows, before, after, (*account_rows.POSTED, *account_rows.PENDING))
        return after

    def void_hold(self, rows: Rows, hold_id: str) -> dict[str, Account]:
        """Release the hold. Raises HoldDecided."""
        return self._release(rows, self._decide(rows, hold_id, "voided"))

    def _release(self, rows: Rows, hold: Mapping[str, Any]) -> dict[str, Account]:
        leg = Leg(hold["debit"], hold["credit"], hold["amount_fen"])
        before = self.accounts(rows, (leg.debit, leg.credit))
        after = self._pend(rows, before, leg, -leg.amount_fen)
        usage.recount_hold(self.limits, rows, before, hold, ())
        account_rows.save(rows, before, after, account_rows.PENDING)
        return after

    def _pend(
        self, rows: Rows, before: Mapping[str, Account], leg: Leg, amount_fen: int
    ) -> dict[str, Account]:
        for side, name in ((Side.DEBIT, leg.debit), (Side.CREDIT, leg.credit)):
            if name.startswith(self.hot):
                rows.later(
                    tables.account, (name,), partial(account_rows.with_pending, side, amount_fen)
                )
        return model.pend(before, leg, amount_fen)

    def _check_may_expire(self, accounts: Mapping[str, Account], leg: Leg) -> None:
        """What runs out is found by who pays, and releases money that has no ceiling to reach."""
        payee = accounts.get(leg.credit)
        if leg.debit.startswith(self.hot) or (payee and payee.account_class is not None):
            raise LedgerBroken(f"a hold from {leg.debit} to {leg.credit} cannot run out")

    def _decide(self, rows: Rows, hold_id: str, state: str) -> Mapping[str, Any]:
        hold = rows.find(tables.hold, hold_id)
        if hold is None:
            raise LedgerBroken(f"no such hold: {hold_id}")
        # An expired hold is gone, whether or not anybody has written that down yet.
        if hold["expires_at"] is not None and hold["expires_at"] <= rows.now:
            self.find_account(rows, hold["debit"])
            raise HoldDecided
        if hold["state"] != "pending":
            raise HoldDecided
        rows.change(tables.hold, (hold_id,), state=state, decided_at=rows.now)
        return hold

    def _expire_holds(self, rows: Rows, account_id: str) -> None:
        """Release what has run out; remember when the next one will."""
        standing = self._standing_holds(rows, account_id)
        expired = [one for one in standing if one["expires_at"] <= rows.now]
        later = [one["expires_at"] for one in standing if one["expires_at"] > rows.now]
        # First the date, so that looking at the account again does not come back here.
        rows.change(tables.account, (account_id,), holds_expire_at=min(later, default=None))
        for one in expired:
            rows.change(tables.hold, (one["hold_id"],), state="expired", decided_at=rows.now)
            self._release(rows, one)

    def _standing_holds(self, rows: Rows, account_id: str) -> list[Mapping[str, Any]]:
        """Every hold on the account's money that will run out, or has; page by page."""
        hold, last = tables.hold.c, ""
        pending = (hold.debit == account_id) & (hold.state == "pending")
        by_id = {h["hold_id"]: h for h in rows.added(tables.hold) if h["debit"] == account_id}
        while True:
            page = pending & hold.expires_at.isnot(None) & (hold.hold_id > last)
            found = rows.find_where(tables.hold, page, HOLDS_AT_ONCE_MAX)
            by_id |= {one["hold_id"]: one for one in found}
            if len(found) < HOLDS_AT_ONCE_MAX:
                break
            last = found[-1]["hold_id"]
        return [h for h in by_id.values() if h["state"] == "pending" and h["expires_at"]]

    # --- limits -------------------------------------------------------------------------------

    def _check(
        self,
        rows: Rows,
        before: Account,
        after: Account,
        legs: tuple[Leg, ...],
        counts: tuple[str, ...],
        *,
        with_ceilings: bool = True,
    ) -> None:
        model.check_move(before, after)
        if before.account_class is None:
            return
        day = business_date(rows.now)
        if with_ceilings and after.promised_fen > before.promised_fen:
            ceiling = self.limits.ceiling(before.account_class, day)
            if ceiling is not None:
                check_ceiling(ceiling, before.promised_fen, after.promised_fen)
        usage.check(self.limits, rows, before, legs, counts)
