"""Writes the journal in the format of Beancount, so that another program adds it up.

For books that fit in that program's memory; nothing is sealed here: see export.py for evidence.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy import func, select

from backend.db import Units, Which, Work
from backend.kernel import yuan_text
from backend.wallet.ledger.export import ExportRefused
from backend.wallet.ledger.lines import ROWS_AT_ONCE, bytewise, moment_text
from backend.wallet.ledger.tables import account, posting

CURRENCY = "CNY"
ROOTS = {"debit": "Assets", "credit": "Liabilities"}
INCOME_KINDS = frozenset({"fee_income"})
NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9-]")
NOT_IN_A_LINK = re.compile(r"[^A-Za-z0-9_/.-]")
NOT_IN_A_TEXT = re.compile(r"[\x00-\x1f\x7f]")


def export_beancount(units: Units, path: Path) -> int:
    """Write everything posted into one file, which must not exist; how many operations.

    An operation is a transaction: its links are its own id and the operation it is linked to, its
    metadata the exact ids. Every account's balance is asserted after the last day, so that the
    program that reads the file says itself whether it agrees. Raises ExportRefused.
    """
    with _whole_or_not(path) as file, units.read(Which.LEDGER) as work:
        days = select(
            func.min(posting.c.business_date).label("first"),
            func.max(posting.c.business_date).label("last"),
        )
        span = work.execute(days).one()
        first = span.first or work.now.date()
        names = _open_accounts(work, file, first)
        operations = _write_operations(work, file, names)
        _assert_balances(work, file, names, (span.last or first) + timedelta(days=1))
    return operations


def _open_accounts(work: Work, file: TextIO, day: date) -> dict[str, str]:
    """`open` for every account; account id -> its name there."""
    file.write('option "title" "City ledger"\n')
    file.write(f'option "operating_currency" "{CURRENCY}"\n\n')
    names: dict[str, str] = {}
    taken: set[str] = set()
    for row in _rows(work, select(account).order_by(bytewise(work, account.c.account_id))):
        name = name_of(row.account_id, row.kind, row.side)
        while name in taken:  # two ids that read the same: the metadata tells them apart
            name += "-2"
        taken.add(name)
        names[row.account_id] = name
        file.write(f"{day} open {name} {CURRENCY}\n  account_id: {_text(row.account_id)}\n")
        file.write(f"  kind: {_text(row.kind)}\n")
    return names


def name_of(account_id: str, kind: str, side: str) -> str:
    """`custody:main` becomes `Assets:Custody:Main`, `wal_1` becomes `Liabilities:Wallet:Wal-1`.

    A part begins with a capital or a digit and goes on in letters, digits and dashes.
    """
    root = "Income" if kind in INCOME_KINDS else ROOTS[side]
    parts = account_id.split(":")
    if parts[0] != kind:
        parts.insert(0, kind)
    return ":".join([root, *(_part(part) for part in parts)])


def _part(text: str) -> str:
    plain = NOT_IN_A_NAME.sub("-", text)
    return plain[0].upper() + plain[1:] if plain[:1].isalnum() else f"X{plain}"


def _write_operations(work: Work, file: TextIO, names: Mapping[str, str]) -> int:
    query = select(posting).order_by(bytewise(work, posting.c.operation_id), posting.c.leg)
    count = 0
    for operation_id, legs in groupby(_rows(work, query), key=lambda row: row.operation_id):
        _write_operation(file, operation_id, list(legs), names)
        count += 1
    return count


def _write_operation(
    file: TextIO, operation_id: str, legs: list[Any], names: Mapping[str, str]
) -> None:
    """One transaction; each leg is two postings, of which one is the other with a minus."""
    head = legs[0]
    links = [operation_id, *([head.linked_to] if head.linked_to else [])]
    file.write(
        f"\n{head.business_date} * {_text(head.memo)} {_text(head.code)}"
        f" {' '.join('^' + NOT_IN_A_LINK.sub('-', link) for link in links)}\n"
        f"  operation_id: {_text(operation_id)}\n"
        f"  posted_at: {_text(moment_text(head.posted_at))}\n"
    )
    if head.linked_to:
        file.write(f"  linked_to: {_text(head.linked_to)}\n")
    for leg in legs:
        yuan = yuan_text(leg.amount_fen)
        file.write(f"  {names[leg.debit]}  {yuan} {CURRENCY}\n    leg: {leg.leg}\n")
        file.write(f"  {names[leg.credit]}  -{yuan} {CURRENCY}\n    leg: {leg.leg}\n")


def _assert_balances(work: Work, file: TextIO, names: Mapping[str, str], day: date) -> None:
    """From the accounts' own figures: they were not made by adding up what stands above."""
    file.write("\n")
    for row in _rows(work, select(account).order_by(bytewise(work, account.c.account_id))):
        balance = yuan_text(row.debits_posted - row.credits_posted)
        file.write(f"{day} balance {names[row.account_id]}  {balance} ~ 0 {CURRENCY}\n")


def _rows(work: Work, query: Any) -> Iterator[Any]:
    with work.execute(query.execution_options(yield_per=ROWS_AT_ONCE)) as rows:
        yield from rows


def _text(value: str) -> str:
    escaped = NOT_IN_A_TEXT.sub(" ", value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@contextmanager
def _whole_or_not(path: Path) -> Iterator[TextIO]:
    """The file appears when it is whole; nothing is written over."""
    if path.exists():
        raise ExportRefused(f"export: {path} is there already")
    growing: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        growing = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(growing, path)
    except OSError as error:
        raise ExportRefused(f"export: {path}: {error.strerror}") from error
    finally:
        if growing is not None:
            growing.unlink(missing_ok=True)
