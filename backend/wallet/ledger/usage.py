"""What accounts used of limits: one row for each counter and period. Knows no postings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from backend.db import Rows
from backend.kernel import business_date
from backend.wallet.ledger import tables
from backend.wallet.ledger.limits import Limits, Period, check_use, period_start
from backend.wallet.ledger.model import Account, Leg, Side, Transfer

Key = tuple[str, str, str, date]
KEY_COLUMNS = tuple(one.name for one in tables.usage.primary_key)


def is_limited(account: Account) -> bool:
    """Whether its use is counted: customers' money that has a class, and with it limits."""
    return account.account_class is not None and account.side is Side.CREDIT


def used_fen(account_id: str, legs: tuple[Leg, ...]) -> int:
    """What a limit counts: the larger of what left an account and what reached it.

    Not the difference: of cash that pays a ride debt at once all is cash.
    """
    out = sum(leg.amount_fen for leg in legs if leg.debit == account_id)
    into = sum(leg.amount_fen for leg in legs if leg.credit == account_id)
    return max(out, into)


def keys(limits: Limits, account_id: str, counts: Iterable[str], day: date) -> list[Key]:
    """The rows that keep the use of these counters on a day."""
    return [(account_id, *place) for place in _places(limits, tuple(counts), day)]


@lru_cache(maxsize=1_000)  # a day has few; each payment asks several times
def _places(
    limits: Limits, counts: tuple[str, ...], day: date
) -> tuple[tuple[str, str, date], ...]:
    return tuple(
        (counter, period.value, period_start(period, day))
        for counter in counts
        for period in limits.periods(counter, day)
    )


def check(
    limits: Limits, rows: Rows, account: Account, legs: tuple[Leg, ...], counts: Iterable[str]
) -> None:
    """Whether one more use stays within the limits of the account's class today.

    Raises LimitExceeded.
    """
    if not is_limited(account):
        return
    day = business_date(rows.now)
    for counter in counts:
        for limit in limits.of(account.account_class, counter, day):
            used, times = _used(rows, account.account_id, counter, limit.period, day)
            check_use(limit, used, times, used_fen(account.account_id, legs))


def count(
    limits: Limits,
    rows: Rows,
    accounts: Mapping[str, Account],
    transfer: Transfer,
    *,
    back_on: date | None = None,
) -> None:
    """Count a posting today, and give back what it takes back, on `back_on` (default: today)."""
    if not (transfer.counts or transfer.gives_back):
        return
    day = business_date(rows.now)
    for name, account in accounts.items():
        if is_limited(account):
            fen = used_fen(name, transfer.legs)
            _add(rows, keys(limits, name, transfer.counts, day), fen, 1)
            _add(rows, keys(limits, name, transfer.gives_back, back_on or day), -fen, -1)


def count_hold(
    limits: Limits, rows: Rows, accounts: Mapping[str, Account], leg: Leg, counts: Iterable[str]
) -> None:
    """Count a hold, on the day it is made, as if it were posted."""
    day = business_date(rows.now)
    for name in (leg.debit, leg.credit):
        if name in accounts and is_limited(accounts[name]):
            _add(rows, keys(limits, name, counts, day), leg.amount_fen, 1)


def recount_hold(
    limits: Limits,
    rows: Rows,
    accounts: Mapping[str, Account],
    hold: Mapping[str, Any],
    legs: tuple[Leg, ...],
) -> None:
    """Change what a hold was counted as to what `legs` move; no legs: it was no use at all."""
    if not hold["counts"]:
        return
    day, counts = business_date(hold["made_at"]), hold["counts"].split(",")
    for name in (hold["debit"], hold["credit"]):
        if name in accounts and is_limited(accounts[name]):
            more_fen = used_fen(name, legs) - hold["amount_fen"]
            _add(rows, keys(limits, name, counts, day), more_fen, 0 if legs else -1)


def _add(rows: Rows, places: Iterable[Key], amount_fen: int, times: int) -> None:
    for key in places:
        row = rows.find(tables.usage, *key)
        if row is not None:
            new = {
                "amount_fen": max(0, row["amount_fen"] + amount_fen),
                "times": max(0, row["times"] + times),
            }
            rows.change(tables.usage, key, **new)
        elif amount_fen > 0:
            names = dict(zip(KEY_COLUMNS, key, strict=True))
            rows.add(tables.usage, {**names, "amount_fen": amount_fen, "times": times})


def _used(rows: Rows, account_id: str, counter: str, period: Period, day: date) -> tuple[int, int]:
    if period is Period.SALE:
        return 0, 0
    starts_on = period_start(period, day)
    row = rows.find(tables.usage, account_id, counter, period.value, starts_on)
    return (0, 0) if row is None else (row["amount_fen"], row["times"])
