"""Each account's lines: 1, 2, 3 … without gap, each balance following from the one before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tools.verify_ledger.forms import ACCOUNTS, POSTINGS, Account, Posting, shown


class Bad(Exception):
    """The first line that breaks a law of the ledger."""

    def __init__(self, file: str, line: int, what: str, **where: object) -> None:
        super().__init__(what)
        self.file, self.line, self.what, self.where = file, line, what, where

    def __str__(self) -> str:
        """One line for people and programs."""
        where = "".join(f" {name}={shown(value)}" for name, value in self.where.items())
        return f'ledger=bad file={self.file} line={self.line}{where} what="{shown(self.what)}"'


def bad_posting(line: int, posting: Posting, what: str) -> Bad:
    return Bad(POSTINGS, line, what, operation=posting.operation_id, leg=posting.leg)


class Waiting(NamedTuple):
    """A line of an account that was read before the line that precedes it."""

    side: str
    balance_fen: int
    file_line: int
    posting: Posting


class Book:
    """One account as its lines tell it so far."""

    __slots__ = ("account", "balance_fen", "credits_fen", "debits_fen", "file_line", "lines")

    def __init__(self, account: Account, file_line: int) -> None:
        self.account, self.file_line = account, file_line
        self.lines = self.balance_fen = self.debits_fen = self.credits_fen = 0

    def take(self, entry: Waiting) -> None:
        """The account's next line. Raises Bad when its balance does not follow, or is too low."""
        amount_fen = entry.posting.amount_fen
        if entry.side == "debit":
            self.debits_fen += amount_fen
        else:
            self.credits_fen += amount_fen
        self.balance_fen += amount_fen if entry.side == self.account.side else -amount_fen
        self.lines += 1
        if entry.balance_fen != self.balance_fen:
            raise self._bad(
                entry, f"the balance should be {self.balance_fen}, it is {entry.balance_fen}"
            )
        floor_fen = self.account.floor_fen
        if floor_fen is not None and self.balance_fen < floor_fen:
            raise self._bad(entry, f"the balance {self.balance_fen} is below {floor_fen}")

    def _bad(self, entry: Waiting, what: str) -> Bad:
        where = f"line {self.lines} of {self.account.account_id}"
        return bad_posting(entry.file_line, entry.posting, f"{where}: {what}")

    def check_end(self) -> None:
        """The account's own figures are those of its lines. Raises Bad."""
        told = self.account.lines, self.account.debits_posted, self.account.credits_posted
        found = self.lines, self.debits_fen, self.credits_fen
        for name, one, other in zip(("lines", "debits", "credits"), told, found, strict=True):
            if one != other:
                what = f"{name}: the account says {one}, its lines say {other}"
                raise Bad(ACCOUNTS, self.file_line, what, account=self.account.account_id)


class Books:
    """All accounts. Postings come in the order of their ids, so an account's lines come mixed;
    what comes early waits, at most until its segment ends."""

    def __init__(self, accounts: Iterable[tuple[int, Account]]) -> None:
        """`accounts`: (line in the file, account). Raises Bad for one that is there twice."""
        self._books: dict[str, Book] = {}
        self._waiting: dict[str, dict[int, Waiting]] = {}
        for number, account in accounts:
            if account.account_id in self._books:
                raise Bad(ACCOUNTS, number, "the account is there twice", account=account[0])
            self._books[account.account_id] = Book(account, number)

    def __len__(self) -> int:
        return len(self._books)

    def enter(self, number: int, posting: Posting) -> None:
        """A posting's line on both its accounts. Raises Bad."""
        if posting.amount_fen <= 0:
            raise bad_posting(number, posting, "the amount is not positive")
        if posting.debit == posting.credit:
            raise bad_posting(number, posting, "debit and credit are one account")
        for side, account_id, line, balance_fen in (
            ("debit", posting.debit, posting.debit_line, posting.debit_balance_fen),
            ("credit", posting.credit, posting.credit_line, posting.credit_balance_fen),
        ):
            if (book := self._books.get(account_id)) is None:
                raise bad_posting(number, posting, f"no such account: {account_id}")
            if line is None or balance_fen is None:
                what = f"the {side} entry of {account_id} is missing or differs from its posting"
                raise bad_posting(number, posting, what)
            self._place(book, line, Waiting(side, balance_fen, number, posting))

    def _place(self, book: Book, line: int, entry: Waiting) -> None:
        account_id = book.account.account_id
        if line == book.lines + 1 and account_id not in self._waiting:  # nearly always
            book.take(entry)
            return
        waiting = self._waiting.setdefault(account_id, {})
        if line <= book.lines or line in waiting:
            what = f"line {line} of {account_id} is there twice"
            raise bad_posting(entry.file_line, entry.posting, what)
        waiting[line] = entry
        while (following := waiting.pop(book.lines + 1, None)) is not None:
            book.take(following)
        if not waiting:
            del self._waiting[account_id]

    def end_segment(self) -> None:
        """A segment holds whole stretches of every account: nothing may wait. Raises Bad."""
        if not self._waiting:
            return
        gaps = [(self._books[name], min(waiting)) for name, waiting in self._waiting.items()]
        entries = [(self._waiting[book.account.account_id][line], book) for book, line in gaps]
        entry, book = min(entries, key=lambda pair: pair[0].file_line)
        what = f"line {book.lines + 1} of {book.account.account_id} is missing before this one"
        raise bad_posting(entry.file_line, entry.posting, what)

    def end(self) -> None:
        """Every account's figures, and the sums of all. Raises Bad."""
        posted = pending = 0
        for book in self._books.values():
            book.check_end()
            posted += book.account.debits_posted - book.account.credits_posted
            pending += book.account.debits_pending - book.account.credits_pending
        if posted or pending:
            what = f"the accounts' sum is not zero: posted {posted}, pending {pending}"
            raise Bad(ACCOUNTS, len(self._books), what)
