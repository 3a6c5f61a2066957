"""Accounts and transfers as facts and rules: what may be posted. Pure; knows no rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from backend.kernel import AMOUNT_MAX_FEN, DomainError, Kind, Words, yuan_text


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


class CeilingExceeded(DomainError):
    kind, code = Kind.REFUSED, "ceiling_exceeded"
    title = Words(zh="超过余额上限", en="Above the balance ceiling")
    detail = Words(
        zh="余额上限为 {ceiling_yuan} 元，本次最多可增加 {room_yuan} 元。",
        en="The balance ceiling is {ceiling_yuan} yuan; there is room for {room_yuan} yuan.",
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
    counterparty as a statement names it.
    """

    operation_id: str
    code: str
    legs: tuple[Leg, ...]
    linked_to: str | None = None
    memo: str = ""

    def __post_init__(self) -> None:
        if not 0 < len(self.legs) <= 8:
            raise LedgerBroken("an operation has 1 to 8 legs")

    def account_ids(self) -> list[str]:
        """The accounts touched, sorted: everybody locks in this order."""
        return sorted({name for leg in self.legs for name in (leg.debit, leg.credit)})


@dataclass(frozen=True, slots=True)
class Account:
    """An account with what was posted and what is pending on each side, in fen."""

    account_id: str
    kind: str
    side: Side
    floor_fen: int | None = None
    ceiling_fen: int | None = None
    ceiling_article: str | None = None
    state: AccountState = AccountState.OPEN
    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0
    lines: int = 0

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

    def moved(self, side: Side, amount_fen: int, *, pending: bool = False) -> Account:
        """The account after a debit or credit; negative takes a pending amount back."""
        name = f"{side.value}s_{'pending' if pending else 'posted'}"
        lines = self.lines if pending else self.lines + 1
        return replace(self, lines=lines, **{name: getattr(self, name) + amount_fen})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of one account's statement."""

    account_id: str
    line: int
    side: Side
    amount_fen: int
    balance_fen: int
    leg: int


def post(
    accounts: Mapping[str, Account], transfer: Transfer, *, checked: Iterable[str] | None = None
) -> tuple[dict[str, Account], list[Entry]]:
    """The accounts after the transfer and the statement lines it adds.

    Rules are checked for the accounts in `checked` (default: all). Raises InsufficientFunds,
    CeilingExceeded, AccountFrozen, AccountClosed.
    """
    after = dict(accounts)
    entries: list[Entry] = []
    for number, leg in enumerate(transfer.legs):
        for side, name in ((Side.DEBIT, leg.debit), (Side.CREDIT, leg.credit)):
            after[name] = moved = after[name].moved(side, leg.amount_fen)
            entries.append(
                Entry(name, moved.lines, side, leg.amount_fen, moved.balance_fen, number)
            )
    for name in transfer.account_ids() if checked is None else checked:
        check_move(accounts[name], after[name])
    return after, entries


def hold(accounts: Mapping[str, Account], leg: Leg) -> dict[str, Account]:
    """The accounts with the leg pending on both sides; raises as `post` does."""
    return _pend(accounts, leg, leg.amount_fen, checked=True)


def release(accounts: Mapping[str, Account], leg: Leg) -> dict[str, Account]:
    """The accounts with the pending leg taken back."""
    return _pend(accounts, leg, -leg.amount_fen, checked=False)


def _pend(
    accounts: Mapping[str, Account], leg: Leg, amount_fen: int, *, checked: bool
) -> dict[str, Account]:
    after = {
        leg.debit: accounts[leg.debit].moved(Side.DEBIT, amount_fen, pending=True),
        leg.credit: accounts[leg.credit].moved(Side.CREDIT, amount_fen, pending=True),
    }
    for name, account in after.items():
        if checked:
            check_move(accounts[name], account)
    return {**accounts, **after}


def check_move(before: Account, after: Account) -> None:
    """Whether the rules of an account allow it to go from `before` to `after`."""
    if before.state is AccountState.CLOSED:
        raise AccountClosed
    if before.state is AccountState.FROZEN and after.available_fen < before.available_fen:
        raise AccountFrozen
    _check_floor(before, after)
    _check_ceiling(before, after)


def _check_floor(before: Account, after: Account) -> None:
    if after.floor_fen is None or after.available_fen >= before.available_fen:
        return
    short_by_fen = after.floor_fen - after.available_fen
    if short_by_fen > 0:
        available = before.available_fen
        raise InsufficientFunds(
            balance_fen=available,
            balance_yuan=yuan_text(available),
            short_by_fen=short_by_fen,
            short_by_yuan=yuan_text(short_by_fen),
        )


def _check_ceiling(before: Account, after: Account) -> None:
    if after.ceiling_fen is None:
        return
    reached, held = (account.balance_fen + account.incoming_fen for account in (after, before))
    if reached > held and reached > after.ceiling_fen:
        raise CeilingExceeded(
            article=after.ceiling_article,
            ceiling_fen=after.ceiling_fen,
            ceiling_yuan=yuan_text(after.ceiling_fen),
            room_fen=max(0, after.ceiling_fen - held),
            room_yuan=yuan_text(max(0, after.ceiling_fen - held)),
        )
