"""Cash at a counter as facts: what was taken, reversed, counted; and the refusals. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum

from backend.kernel import DomainError, Kind, Words


class Payer(Enum):
    """Who hands the cash over: limits differ."""

    PERSON = "person"
    COMPANY = "company"


class CounterUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "counter_unknown"
    title = Words(zh="没有这个柜台", en="No such counter")
    detail = Words(
        zh="城市配置中没有该柜台。", en="The city's configuration names no such counter."
    )


class CashTopUpUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "cash_topup_unknown"
    title = Words(zh="没有这笔现金充值", en="No such cash top-up")
    detail = Words(zh="该柜台没有这笔充值。", en="This counter has no such top-up.")


class CashTopUpExists(DomainError):
    kind, code = Kind.CONFLICT, "cash_topup_exists"
    title = Words(zh="充值编号已使用", en="Top-up id in use")
    detail = Words(zh="此编号已用于另一笔现金充值。", en="This id belongs to another cash top-up.")


class CashTopUpOld(DomainError):
    kind, code = Kind.CONFLICT, "cash_topup_old"
    title = Words(zh="已过可冲正时间", en="Too late to reverse")
    detail = Words(
        zh="现金充值只能在当日冲正。", en="A cash top-up is reversed on the same business day only."
    )


class DrawerCounted(DomainError):
    kind, code = Kind.CONFLICT, "drawer_counted"
    title = Words(zh="当日已扎账", en="The drawer is counted")
    detail = Words(
        zh="该柜台当日已清点，不能再收款或冲正。",
        en="This counter's day is counted: it takes and returns no more cash today.",
    )


class DrawerUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "drawer_unknown"
    title = Words(zh="当日没有收款", en="Nothing was taken")
    detail = Words(zh="该柜台当日没有收过现金。", en="The counter took no cash on that day.")


@dataclass(frozen=True, slots=True)
class Counter:
    """A place where cash is taken; `counts`: which counters of limits it feeds, by payer."""

    code: str
    counts: Mapping[Payer, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class TakeCash:
    """The command: `topup_id` is made at the counter before the cash goes into the drawer."""

    topup_id: str
    counter: str
    wallet_id: str
    amount_fen: int
    payer: Payer
    staff: str


@dataclass(frozen=True, slots=True)
class ReverseCash:
    """The command: the cash went back over the same counter."""

    topup_id: str
    counter: str
    reason: str
    staff: str


@dataclass(frozen=True, slots=True)
class CountDrawer:
    """The command: what lay in the drawer at the end of the day, in fen."""

    counter: str
    business_date: date
    counted_fen: int
    staff: str


@dataclass(frozen=True, slots=True)
class CashTopUp:
    """What the receipt says: `debt_fen` of the amount paid an open ride; `balance_fen` after."""

    topup_id: str
    counter: str
    business_date: date
    wallet_id: str
    amount_fen: int
    debt_fen: int
    balance_fen: int
    payer: Payer
    state: str
    taken_by: str
    taken_at: datetime
    reversed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Drawer:
    """A counter's day: the book, and once counted, the cash. `drawer_id` goes on the deposit."""

    drawer_id: str
    counter: str
    business_date: date
    state: str
    taken: int
    taken_fen: int
    returned: int
    returned_fen: int
    counted_fen: int | None
    counted_by: str | None

    @property
    def book_fen(self) -> int:
        return self.taken_fen - self.returned_fen

    @property
    def difference_fen(self) -> int | None:
        """Cash counted less the book: negative is missing."""
        return None if self.counted_fen is None else self.counted_fen - self.book_fen
