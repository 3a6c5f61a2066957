"""Limits as data: which figure holds for whom on which day. Pure; knows no rows and no clock."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from types import MappingProxyType
from typing import Any

from backend.kernel import DomainError, Kind, Words, yuan_text

ANY_CLASS = "*"
ENTRIES_MAX = 500
FIGURE_MAX = 2**53  # the largest whole number every JSON reader keeps exact
NAMES_MAX: Mapping[str, int] = MappingProxyType(
    {"rule": 32, "account_class": 16, "counter": 32}  # as wide as the ledger's columns
)
EPOCH = date(1970, 1, 1)

# Counters: what an operation says it feeds.
SPEND = "spend"
CODE_B = "code_b"  # two factors, without a certificate
CODE_C = "code_c"  # fewer than two factors
CODE_D = "code_d"  # a static code
CASH_TOP_UP = "cash_top_up"  # cash at a machine or an agent
CASH_PERSON = "cash_person"  # cash at the operator's own counter, from a person
CASH_COMPANY = "cash_company"  # the same, from a company


class Period(Enum):
    """Over what a limit counts: what stands there, one operation, or all since a day."""

    BALANCE = "balance"
    SALE = "sale"
    DAY = "day"
    YEAR = "year"
    EVER = "ever"


KEPT = (Period.DAY, Period.YEAR, Period.EVER)
"""The periods that need a memory: a usage row for each account and counter."""


class LimitInvalid(ValueError):
    """An entry of the limits cannot be meant: told to the operator in one line."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One figure with its article; both figures absent: the rule ends on `effective_from`.

    rule: stable name, goes into the refusal; account_class: "registered", … or "*" (any class);
    counter: what it counts, None for BALANCE; amount_max_fen: the highest amount allowed.
    """

    rule: str
    account_class: str
    counter: str | None
    period: Period
    amount_max_fen: int | None
    times_max: int | None
    effective_from: date
    article: Words

    @property
    def is_end(self) -> bool:
        return self.amount_max_fen is None and self.times_max is None

    @property
    def counts_from(self) -> date:
        """The first day whose use it counts, which may lie before the limit holds."""
        if self.period is Period.YEAR:
            return date(self.effective_from.year, 1, 1)
        return EPOCH if self.period is Period.EVER else self.effective_from


class CeilingExceeded(DomainError):
    kind, code = Kind.REFUSED, "ceiling_exceeded"
    title = Words(zh="超过余额上限", en="Above the balance ceiling")
    detail = Words(
        zh="余额上限为 {ceiling_yuan} 元，本次最多可增加 {room_yuan} 元。",
        en="The balance ceiling is {ceiling_yuan} yuan; there is room for {room_yuan} yuan.",
    )


class LimitExceeded(DomainError):
    """More than an operation, a day or a year may take. `rule` names the limit."""

    kind, code = Kind.REFUSED, "limit_exceeded"
    title = Words(zh="超过限额", en="Above the limit")
    detail = Words(
        zh="限额为 {limit_yuan} 元，已用 {used_yuan} 元，还可用 {room_yuan} 元。",
        en="The limit is {limit_yuan} yuan, {used_yuan} are used; {room_yuan} are left.",
    )


class SaleLimitExceeded(LimitExceeded):
    title = Words(zh="超过单笔限额", en="Above the limit for one operation")
    detail = Words(
        zh="单笔限额为 {limit_yuan} 元。", en="One operation takes at most {limit_yuan} yuan."
    )


class DayLimitExceeded(LimitExceeded):
    title = Words(zh="超过当日限额", en="Above the limit of the day")
    detail = Words(
        zh="当日限额为 {limit_yuan} 元，已用 {used_yuan} 元，今日还可用 {room_yuan} 元。",
        en="The limit of a day is {limit_yuan} yuan, {used_yuan} are used; {room_yuan} left.",
    )


class YearLimitExceeded(LimitExceeded):
    title = Words(zh="超过年度限额", en="Above the limit of the year")
    detail = Words(
        zh="年度限额为 {limit_yuan} 元，已用 {used_yuan} 元，本年还可用 {room_yuan} 元。",
        en="The limit of a year is {limit_yuan} yuan, {used_yuan} are used; {room_yuan} left.",
    )


class TimesExceeded(LimitExceeded):
    title = Words(zh="超过次数限制", en="Too many times")
    detail = Words(
        zh="最多 {limit_times} 次，已用 {used_times} 次。",
        en="At most {limit_times} times; {used_times} are used.",
    )


OF_PERIOD: Mapping[Period, type[LimitExceeded]] = MappingProxyType(
    {
        Period.SALE: SaleLimitExceeded,
        Period.DAY: DayLimitExceeded,
        Period.YEAR: YearLimitExceeded,
        Period.EVER: LimitExceeded,
    }
)


@dataclass(frozen=True, slots=True)
class _Span:
    """What holds from one turning day to the next, ready to be looked up."""

    ceilings: Mapping[str, Limit]
    uses: Mapping[tuple[str, str], tuple[Limit, ...]]
    periods: Mapping[str, tuple[Period, ...]]


class Limits:
    """All limits of a city, of all times; never changes, so any greenlet may ask.

    What holds changes on few days: the answers for each span between two such days are made
    once, here, and a question is a look-up. Raises LimitInvalid.
    """

    __slots__ = ("_entries", "_spans", "_turns")

    def __init__(self, entries: Iterable[Limit]) -> None:
        self._entries = tuple(entries)
        if len(self._entries) > ENTRIES_MAX:
            raise LimitInvalid(f"limits: {len(self._entries)} entries, {ENTRIES_MAX} allowed")
        _check_all(self._entries)
        days = {one.effective_from for one in self._entries}
        days |= {one.counts_from for one in self._entries}
        self._turns = sorted(days)
        self._spans = tuple(_span(self._entries, day) for day in self._turns)

    def ceiling(self, account_class: str | None, day: date) -> Limit | None:
        """The lowest BALANCE limit of the class; None when there is none, or for no class."""
        span = self._span_of(day)
        if span is None or account_class is None:
            return None
        return span.ceilings.get(account_class) or span.ceilings.get(ANY_CLASS)

    def of(self, account_class: str | None, counter: str, day: date) -> tuple[Limit, ...]:
        """The SALE, DAY, YEAR and EVER limits of the class on a counter, in this order.

        Those of "*" hold beside the class's own. An account without class has none.
        """
        span = self._span_of(day)
        if span is None or account_class is None:
            return ()
        found = span.uses.get((account_class, counter))
        return span.uses.get((ANY_CLASS, counter), ()) if found is None else found

    def periods(self, counter: str, day: date) -> tuple[Period, ...]:
        """The periods whose use must be kept for a counter, whatever the class.

        A limit of a year that begins in July counts from 1 January, and one that counts for
        ever from the start: their use is kept ahead of the day on which they hold.
        """
        span = self._span_of(day)
        return () if span is None else span.periods.get(counter, ())

    def _span_of(self, day: date) -> _Span | None:
        place = bisect_right(self._turns, day)
        return self._spans[place - 1] if place else None


def period_start(period: Period, day: date) -> date:
    """The first day of the period `day` lies in. Raises ValueError for SALE and BALANCE."""
    if period is Period.DAY:
        return day
    if period is Period.YEAR:
        return date(day.year, 1, 1)
    if period is Period.EVER:
        return EPOCH
    raise ValueError(f"{period.value} counts over no time")


def check_use(limit: Limit, used_fen: int, used_times: int, amount_fen: int) -> None:
    """Whether one more use of `amount_fen` stays within the limit. Raises LimitExceeded.

    used_fen, used_times: what was used in the limit's period; they do not matter for SALE.
    """
    if limit.period is Period.SALE:
        used_fen, used_times = 0, 0
    maximum_fen, maximum_times = limit.amount_max_fen, limit.times_max
    if maximum_fen is not None and used_fen + amount_fen > maximum_fen:
        raise OF_PERIOD[limit.period](**_data(limit, used_fen, used_times))
    if maximum_times is not None and used_times + 1 > maximum_times:
        raise TimesExceeded(**_data(limit, used_fen, used_times))


def check_ceiling(limit: Limit, before_fen: int, reached_fen: int) -> None:
    """Whether an account may reach `reached_fen`, what is under way to it included.

    An account above its ceiling may stay or go down. Raises CeilingExceeded.
    """
    maximum_fen = limit.amount_max_fen
    if maximum_fen is None or reached_fen <= maximum_fen or reached_fen <= before_fen:
        return
    room_fen = max(0, maximum_fen - before_fen)
    data: dict[str, Any] = {
        "article": limit.article,
        "rule": limit.rule,
        "ceiling_fen": maximum_fen,
        "ceiling_yuan": yuan_text(maximum_fen),
        "room_fen": room_fen,
        "room_yuan": yuan_text(room_fen),
    }
    raise CeilingExceeded(**data)


def _data(limit: Limit, used_fen: int, used_times: int) -> dict[str, Any]:
    """What a refusal tells; figures the limit does not have are left out."""
    data: dict[str, Any] = {
        "article": limit.article,
        "rule": limit.rule,
        "period": limit.period.value,
        "used_fen": used_fen,
        "used_yuan": yuan_text(used_fen),
        "used_times": used_times,
    }
    if limit.amount_max_fen is not None:
        room_fen = max(0, limit.amount_max_fen - used_fen)
        data |= {
            "limit_fen": limit.amount_max_fen,
            "limit_yuan": yuan_text(limit.amount_max_fen),
            "room_fen": room_fen,
            "room_yuan": yuan_text(room_fen),
        }
    if limit.times_max is not None:
        data["limit_times"] = limit.times_max
    return data


def _span(entries: tuple[Limit, ...], day: date) -> _Span:
    holding = [one for one in _newest(entries, day) if not one.is_end]
    classes = {one.account_class for one in entries} | {ANY_CLASS}
    ceilings: dict[str, Limit] = {}
    uses: dict[tuple[str, str], tuple[Limit, ...]] = {}
    for name in classes:
        mine = [one for one in holding if one.account_class in (name, ANY_CLASS)]
        standing = [one for one in mine if one.period is Period.BALANCE]
        if standing:
            ceilings[name] = min(standing, key=lambda one: one.amount_max_fen or 0)
        for counter in {one.counter for one in mine if one.counter}:
            uses[name, counter] = tuple(one for one in mine if one.counter == counter)
    return _Span(ceilings, uses, _periods(entries, holding, day))


def _newest(entries: tuple[Limit, ...], day: date) -> list[Limit]:
    """Of each rule and class the newest entry that has begun; narrow periods first."""
    found: dict[tuple[str, str], Limit] = {}
    for one in sorted(entries, key=lambda one: one.effective_from):
        if one.effective_from <= day:
            found[one.rule, one.account_class] = one
    order = list(Period)
    return sorted(found.values(), key=lambda one: (order.index(one.period), one.rule))


def _periods(
    entries: tuple[Limit, ...], holding: list[Limit], day: date
) -> dict[str, tuple[Period, ...]]:
    ahead = [one for one in entries if one.counts_from <= day < one.effective_from]
    kept: dict[str, set[Period]] = {}
    for one in [*holding, *(one for one in ahead if not one.is_end)]:
        if one.counter is not None and one.period in KEPT:
            kept.setdefault(one.counter, set()).add(one.period)
    return {name: tuple(one for one in KEPT if one in found) for name, found in kept.items()}


def _check_all(entries: tuple[Limit, ...]) -> None:
    seen: set[tuple[str, str, date]] = set()
    for number, one in enumerate(entries, start=1):
        where = f"limits, entry {number} ({one.rule!r}, {one.account_class!r})"
        for fault in _faults(one):
            raise LimitInvalid(f"{where}: {fault}")
        key = (one.rule, one.account_class, one.effective_from)
        if key in seen:
            raise LimitInvalid(f"{where}: said twice for {one.effective_from}")
        seen.add(key)


def _faults(one: Limit) -> Iterator[str]:
    for name, length_max in NAMES_MAX.items():
        text = getattr(one, name)
        if name == "counter" and text is None:
            continue
        if not isinstance(text, str) or not 0 < len(text) <= length_max or "," in text:
            yield f"{name} must be a name of 1 to {length_max} characters without a comma"
    if type(one.effective_from) is not date:
        yield "effective_from must be a date"
    if not _is_article(one.article):
        yield "article must be given in zh and en, without braces"
    for name in ("amount_max_fen", "times_max"):
        figure = getattr(one, name)
        if figure is not None and (type(figure) is not int or not 0 <= figure <= FIGURE_MAX):
            yield f"{name} must be a whole number from 0 to {FIGURE_MAX}"
    yield from _period_faults(one)


def _period_faults(one: Limit) -> Iterator[str]:
    if not isinstance(one.period, Period):
        yield f"period must be one of {', '.join(period.value for period in Period)}"
    elif one.period is Period.BALANCE:
        if one.counter is not None or one.times_max is not None:
            yield "a balance has neither counter nor times"
    elif one.counter is None:
        yield "counter must say what is counted"
    elif one.period is Period.SALE and one.times_max is not None:
        yield "one sale has no times"


def _is_article(article: object) -> bool:
    if not isinstance(article, Words):
        return False
    texts = (article.zh, article.en)
    return all(isinstance(text, str) and text and not {"{", "}"} & set(text) for text in texts)
