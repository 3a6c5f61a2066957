"""Writes and reads the journal inside somebody's unit of work; decides nothing but its laws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime

from sqlalchemy import RowMapping, bindparam, case, func, insert, select, update

from backend.db import Work
from backend.kernel import business_date
from backend.wallet.ledger import model, tables
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

AMOUNTS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending", "lines")


@dataclass(frozen=True, slots=True)
class Line:
    """A statement line: `amount_fen` is signed as the account's owner sees it."""

    line: int
    posted_at: datetime
    code: str
    amount_fen: int
    balance_fen: int
    operation_id: str
    linked_to: str | None
    memo: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Both sides of everything posted, in fen; and credits less debits of each kind of account.

    What the city owes reads positive in `by_kind`, what it has negative: their sum is zero.
    """

    debits_fen: int
    credits_fen: int
    by_kind: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Journal:
    """The ledger's hand: each method runs in the work it is given."""

    work: Work

    def open_account(self, account: Account) -> None:
        """Open an account; does nothing when it is open already."""
        row = {**asdict(account), "side": account.side.value, "state": account.state.value}
        self.work.insert_new(tables.account, row)

    def accounts(self, account_ids: Iterable[str]) -> dict[str, Account]:
        """The accounts, locked in the order of their ids until the work ends."""
        wanted = sorted(set(account_ids))
        rows = self.work.execute(
            select(tables.account)
            .where(tables.account.c.account_id.in_(wanted))
            .order_by(tables.account.c.account_id)
            .with_for_update()
        ).mappings()
        found = {row["account_id"]: _account(row) for row in rows}
        if missing := set(wanted) - set(found):
            raise LedgerBroken(f"no such account: {', '.join(sorted(missing))}")
        return found

    def find_account(self, account_id: str) -> Account | None:
        """The account as it stands, unlocked; None when there is none."""
        query = select(tables.account).where(tables.account.c.account_id == account_id)
        row = self.work.execute(query).mappings().one_or_none()
        return None if row is None else _account(row)

    def post(
        self, transfer: Transfer, *, checked: Iterable[str] | None = None
    ) -> dict[str, Account]:
        """Post all legs; the accounts afterwards. Raises what `model.post` refuses.

        `checked`: the accounts whose rules count (default: all).
        An operation id is posted once: a second time is a bug of the caller, who asks
        `is_posted` first.
        """
        before = self.accounts(transfer.account_ids())
        after, entries = model.post(before, transfer, checked=checked)
        self._save(before, after)
        self._write(transfer, entries)
        return after

    def is_posted(self, operation_id: str) -> bool:
        query = select(tables.transfer.c.operation_id)
        return (
            self.work.one(query.where(tables.transfer.c.operation_id == operation_id)) is not None
        )

    def hold(self, hold_id: str, leg: Leg, expires_at: datetime | None) -> dict[str, Account]:
        """Make a leg pending on both accounts; the accounts afterwards. Refuses as `post`."""
        before = self.accounts((leg.debit, leg.credit))
        after = model.hold(before, leg)
        self._save(before, after)
        row = {
            "hold_id": hold_id,
            **asdict(leg),
            "state": "pending",
            "expires_at": expires_at,
            "made_at": self.work.now,
        }
        self.work.execute(insert(tables.hold).values(row))
        return after

    def post_hold(self, hold_id: str, transfer: Transfer) -> dict[str, Account]:
        """Release the hold and post `transfer` in its place. Raises HoldDecided."""
        leg = self._decide(hold_id, "posted")
        before = self.accounts({*transfer.account_ids(), leg.debit, leg.credit})
        released = model.release(before, leg)
        # What was promised at the hold is kept: ceilings and freezes since then do not count.
        after, entries = model.post(released, transfer, checked=())
        self._save(before, after)
        self._write(transfer, entries)
        return after

    def void_hold(self, hold_id: str) -> dict[str, Account]:
        """Release the hold. Raises HoldDecided."""
        leg = self._decide(hold_id, "voided")
        before = self.accounts((leg.debit, leg.credit))
        after = model.release(before, leg)
        self._save(before, after)
        return after

    def lines(self, account_id: str, *, limit: int, before_line: int | None) -> list[Line]:
        """Statement lines, newest first, below `before_line` when given."""
        entry, transfer = tables.entry, tables.transfer
        query = (
            select(entry, transfer, tables.account.c.side.label("own_side"))
            .join(transfer, entry.c.operation_id == transfer.c.operation_id)
            .join(tables.account, tables.account.c.account_id == entry.c.account_id)
            .where(entry.c.account_id == account_id)
            .order_by(entry.c.line.desc())
            .limit(limit)
        )
        if before_line is not None:
            query = query.where(entry.c.line < before_line)
        return [_line(row) for row in self.work.execute(query).mappings()]

    def count_by_code(self, account_id: str) -> dict[str, tuple[int, int]]:
        """How many lines of each code an account has, and their signed sum in fen."""
        entry, transfer, account = tables.entry, tables.transfer, tables.account
        signed = case(
            (entry.c.side == account.c.side, entry.c.amount_fen), else_=-entry.c.amount_fen
        )
        rows = self.work.execute(
            select(transfer.c.code, func.count(), func.sum(signed))
            .select_from(entry)
            .join(transfer, entry.c.operation_id == transfer.c.operation_id)
            .join(account, account.c.account_id == entry.c.account_id)
            .where(entry.c.account_id == account_id)
            .group_by(transfer.c.code)
        ).all()
        return {code: (int(count), int(total)) for code, count, total in map(tuple, rows)}

    def totals(self) -> Totals:
        """Sums over every account, read at one moment."""
        account = tables.account
        debits, credits = account.c.debits_posted, account.c.credits_posted
        rows = self.work.execute(
            select(account.c.kind, func.sum(debits), func.sum(credits)).group_by(account.c.kind)
        ).all()
        by_kind = {
            kind: int(credited) - int(debited) for kind, debited, credited in map(tuple, rows)
        }
        debits_fen, credits_fen = (sum(int(row[column]) for row in rows) for column in (1, 2))
        return Totals(debits_fen, credits_fen, by_kind)

    def day(self) -> date:
        """The business date of what is posted in this work."""
        return business_date(self.work.now)

    def _decide(self, hold_id: str, state: str) -> Leg:
        hold = tables.hold
        row = self.work.one(
            update(hold)
            .where(hold.c.hold_id == hold_id, hold.c.state == "pending")
            .values(state=state, decided_at=self.work.now)
            .returning(hold.c.debit, hold.c.credit, hold.c.amount_fen)
        )
        if row is None:
            raise HoldDecided
        return Leg(row.debit, row.credit, row.amount_fen)

    def _save(self, before: Mapping[str, Account], after: Mapping[str, Account]) -> None:
        changed = [one for name, one in after.items() if one != before[name]]
        rows = [
            {"id_": one.account_id, **{name: getattr(one, name) for name in AMOUNTS}}
            for one in changed
        ]
        statement = update(tables.account).where(tables.account.c.account_id == bindparam("id_"))
        self.work.execute(statement, rows)

    def _write(self, transfer: Transfer, entries: Iterable[Entry]) -> None:
        operation_id = transfer.operation_id
        head = {
            "operation_id": operation_id,
            "code": transfer.code,
            "linked_to": transfer.linked_to,
            "memo": transfer.memo,
            "business_date": self.day(),
            "posted_at": self.work.now,
        }
        legs = [
            {"operation_id": operation_id, "leg": number, **asdict(leg)}
            for number, leg in enumerate(transfer.legs)
        ]
        lines = [
            {**asdict(one), "operation_id": operation_id, "side": one.side.value} for one in entries
        ]
        self.work.execute(insert(tables.transfer).values(head))
        self.work.execute(insert(tables.posting), legs)
        self.work.execute(insert(tables.entry), lines)


def _account(row: RowMapping) -> Account:
    values = dict(row)
    values["side"] = Side(values["side"])
    values["state"] = AccountState(values["state"])
    return Account(**values)


def _line(row: RowMapping) -> Line:
    sign = 1 if row["side"] == row["own_side"] else -1
    return Line(
        line=row["line"],
        posted_at=row["posted_at"],
        code=str(row["code"]),
        amount_fen=sign * row["amount_fen"],
        balance_fen=row["balance_fen"],
        operation_id=str(row["operation_id"]),
        linked_to=row["linked_to"],
        memo=str(row["memo"]),
    )
