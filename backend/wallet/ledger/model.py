"""Accounts and transfers as facts and rules: what may be posted. Pure; knows no rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from backend.kernel import AMOUNT_MAX_FEN, DomainError, Kind, Words, yuan_text

LEGS_MAX = 8
OPERATION_ID_MAX = 100


class Side(Enum):
    """The side on which an account grows: assets by debit, liabilities by credit."""

    DEBIT = "debit"
    CREDIT = "credit"


class AccountState(Enum):
    OPEN = "open"
    FROZEN = "frozen"
    CLOSED = "closed"


class InsufficientFunds(DomainError):
    kind, code, retryable = Kind.REFUSED, "insufficient_funds", True
    title = Words(zh="余额不足", en="Insufficient funds")
    detail = Words(
        zh="可用余额 {balance_yuan} 元，还差 {short_by_yuan} 元。",
        en="The available balance is {balance_yuan} yuan, {short_by_yuan} yuan short.",
    )


class AccountFrozen(DomainError):
    kind, code = Kind.REFUSED, "wallet_frozen"
    title = Words(zh="钱包已冻结", en="Wallet frozen")
    detail = Words(zh="请拨打客服热线了解原因。", en="Call the service line to learn why.")


class AccountClosed(DomainError):
    kind, code = Kind.REFUSED, "wallet_closed"
    title = Words(zh="钱包已注销", en="Wallet closed")
    detail = Words(zh="此钱包已注销，不能收付。", en="This wallet is closed.")


class HoldDecided(DomainError):
    kind, code = Kind.CONFLICT, "hold_decided"
    title = Words(zh="预授权已处理", en="Hold already decided")
    detail = Words(zh="此预授权已扣款或已撤销。", en="The hold was posted or voided already.")


class LedgerBroken(Exception):
    """A law of the ledger does not hold: a bug, never a refusal."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One amount from one account to another: unbalanced cannot be written."""

    debit: str
    credit: str
    amount_fen: int

    def __post_init__(self) -> None:
        if type(self.amount_fen) is not int or not 0 < self.amount_fen <= AMOUNT_MAX_FEN:
            raise LedgerBroken("an amount is positive; the sides give direction")
        if self.debit == self.credit:
            raise LedgerBroken(f"{self.debit} cannot pay itself")


@dataclass(frozen=True, slots=True)
class Transfer:
    """One operation: legs that are posted together or not at all.

    code: why the money moves; linked_to: the operation this one corrects; memo: the
    counterparty as a statement names it; counts: the counters (of limits) it is counted in;
    gives_back: counters that get back what was counted.
    """

    operation_id: str
    code: str
    legs: tuple[Leg, ...]
    linked_to: str | None = None
    memo: str = ""
    counts: tuple[str, ...] = ()
    gives_back: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < len(self.legs) <= LEGS_MAX:
            raise LedgerBroken(f"an operation has 1 to {LEGS_MAX} legs")
        if len(self.operation_id) > OPERATION_ID_MAX:
            raise LedgerBroken("an operation id is too long")

    def account_ids(self) -> list[str]:
        """The accounts touched, sorted."""
        if len(self.legs) == 1:
            leg = self.legs[0]
            return [leg.debit, leg.credit] if leg.debit < leg.credit else [leg.credit, leg.debit]
        return sorted({name for leg in self.legs for name in (leg.debit, leg.credit)})


class Account(NamedTuple):
    """An account with what was posted and what is pending on each side, in fen.

    `holds_expire_at`: no hold on its money expires before.
    """

    account_id: str
    kind: str
    side: Side
    account_class: str | None = None
    floor_fen: int | None = None
    state: AccountState = AccountState.OPEN
    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0
    lines: int = 0
    holds_expire_at: datetime | None = None

    @property
    def balance_fen(self) -> int:
        """What is posted, on the account's own side."""
        difference = self.credits_posted - self.debits_posted
        return difference if self.side is Side.CREDIT else -difference

    @property
    def outgoing_fen(self) -> int:
        """Held: promised away, not yet gone."""
        return self.debits_pending if self.side is Side.CREDIT else self.credits_pending

    @property
    def incoming_fen(self) -> int:
        """Under way to the account, not yet posted."""
        return self.credits_pending if self.side is Side.CREDIT else self.debits_pending

    @property
    def available_fen(self) -> int:
        """What may be spent: holds count against the balance."""
        return self.balance_fen - self.outgoing_fen

    @property
    def promised_fen(self) -> int:
        """What will be there when all that is under way has come: ceilings look at this."""
        return self.balance_fen + self.incoming_fen

    def moved(self, side: Side, amount_fen: int) -> Account:
        """The account with one more line, posted on that side."""
        if side is Side.DEBIT:
            return self._replace(
                debits_posted=self.debits_posted + amount_fen, lines=self.lines + 1
            )
        return self._replace(credits_posted=self.credits_posted + amount_fen, lines=self.lines + 1)

    def pending(self, side: Side, amount_fen: int) -> Account:
        """The account with that much more pending on that side; negative: less."""
        if side is Side.DEBIT:
            return self._replace(debits_pending=self.debits_pending + amount_fen)
        return self._replace(credits_pending=self.credits_pending + amount_fen)


class Entry(NamedTuple):
    """One line of one account's statement.

    Line and balance are None while the account is not at hand: it is written down later.
    """

    account_id: str
    line: int | None
    side: Side
    amount_fen: int
    balance_fen: int | None
    leg: int


def post(
    accounts: Mapping[str, Account], legs: Iterable[Leg]
) -> tuple[dict[str, Account], list[Entry]]:
    """The accounts after the legs, and the statement lines they add; refuses nothing.

    Of an account that is not among `accounts` only the amount is known.
    """
    after = dict(accounts)
    entries: list[Entry] = []
    for number, leg in enumerate(legs):
        amount_fen = leg.amount_fen
        for side, name in ((Side.DEBIT, leg.debit), (Side.CREDIT, leg.credit)):
            one = after.get(name)
            if one is None:
                entries.append(Entry(name, None, side, amount_fen, None, number))
                continue
            one = after[name] = one.moved(side, amount_fen)
            entries.append(Entry(name, one.lines, side, amount_fen, one.balance_fen, number))
    return after, entries


def pend(accounts: Mapping[str, Account], leg: Leg, amount_fen: int) -> dict[str, Account]:
    """The accounts with `amount_fen` more of the leg pending on both sides; negative: less."""
    after = dict(accounts)
    for side, name in ((Side.DEBIT, leg.debit), (Side.CREDIT, leg.credit)):
        if name in after:
            after[name] = after[name].pending(side, amount_fen)
    return after


def check_move(before: Account, after: Account) -> None:
    """Whether state and floor of an account allow it to go from `before` to `after`.

    Raises AccountClosed, AccountFrozen, InsufficientFunds.
    """
    if before.state is AccountState.CLOSED:
        raise AccountClosed
    available = before.available_fen
    if after.available_fen >= available:
        return
    if before.state is AccountState.FROZEN:
        raise AccountFrozen
    if after.floor_fen is None:
        return
    short_by_fen = after.floor_fen - after.available_fen
    if short_by_fen > 0:
        raise InsufficientFunds(
            balance_fen=available,
            balance_yuan=yuan_text(available),
            short_by_fen=short_by_fen,
            short_by_yuan=yuan_text(short_by_fen),
        )
