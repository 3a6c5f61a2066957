"""Limits inside the posting transaction: what counts, when a day turns, what is given back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import select

from backend.db import Units, Which
from backend.kernel import DomainError, ManualClock, Words
from backend.wallet.accounts import CHANNEL_BANK, house_accounts, wallet_account
from backend.wallet.ledger import (
    Account,
    HoldDecided,
    Ledger,
    Leg,
    Limit,
    LimitExceeded,
    Limits,
    Period,
    Side,
    Transfer,
    tables,
)
from tests.simulation.books import dump

SHOP = "payable:mer_a"
SPEND = ("spend",)
LAST_SECOND = datetime(2026, 11, 23, 15, 59, 59, tzinfo=UTC)  # 23:59:59 in Shanghai
serial = count(1)
ARTICLE = Words(zh="办法第七条", en="Measures, article 7")


def limit(period: Period, fen: int | None = 1_000, **changes: Any) -> Limit:
    named: dict[str, Any] = {
        "rule": f"most_a_{period.value}",
        "account_class": "registered",
        "counter": "spend",
        "period": period,
        "amount_max_fen": fen,
        "times_max": None,
        "effective_from": date(2020, 1, 1),
        "article": ARTICLE,
        **changes,
    }
    return Limit(**named)


class Book:
    """A wallet with 1 000 元 under some limits."""

    def __init__(self, units: Units, *limits: Limit) -> None:
        self.units, self.ledger = units, Ledger(Limits(limits))
        with units.write(Which.LEDGER) as work:
            for account in (*house_accounts(), Account(SHOP, "merchant_payable", Side.CREDIT)):
                self.ledger.open_account(work.rows, account)
            for name in ("wal_a", "wal_b"):
                self.ledger.open_account(work.rows, wallet_account(name, "registered"))
                leg = Leg(CHANNEL_BANK, name, 100_000)
                self.ledger.post(work.rows, Transfer(f"top_{name}", "top_up", (leg,)))

    def pay(self, fen: int, *, wallet: str = "wal_a", counts: tuple[str, ...] = SPEND) -> str:
        name = f"pay_{next(serial)}"
        paid = Transfer(name, "payment", (Leg(wallet, SHOP, fen),), counts=counts)
        with self.units.write(Which.LEDGER) as work:
            self.ledger.post(work.rows, paid)
        return name

    def give_back(self, fen: int) -> None:
        legs = (Leg(SHOP, "wal_a", fen),)
        with self.units.write(Which.LEDGER) as work:
            back = Transfer(f"rev_{next(serial)}", "reversal", legs, gives_back=SPEND)
            self.ledger.post(work.rows, back)

    def hold(self, fen: int, *, hours: int | None = None) -> str:
        name = f"pay_{next(serial)}"
        with self.units.write(Which.LEDGER) as work:
            ends = None if hours is None else work.now + timedelta(hours=hours)
            leg = Leg("wal_a", SHOP, fen)
            self.ledger.hold(work.rows, name, leg, expires_at=ends, counts=SPEND)
        return name

    def capture(self, name: str, fen: int) -> None:
        with self.units.write(Which.LEDGER) as work:
            posted = Transfer(name, "payment", (Leg("wal_a", SHOP, fen),))
            self.ledger.post_hold(work.rows, name, posted)

    def void(self, name: str) -> None:
        with self.units.write(Which.LEDGER) as work:
            self.ledger.void_hold(work.rows, name)

    def refused(self, fen: int, **more: Any) -> Mapping[str, Any]:
        """What the refusal of a payment says, and of a hold likewise; nothing was written."""
        before = dump(self.units)
        with pytest.raises(LimitExceeded) as refusal:
            self.pay(fen, **more)
        if not more:
            with pytest.raises(LimitExceeded):
                self.hold(fen)
        assert dump(self.units) == before
        assert refusal.value.article == ARTICLE
        return refusal.value.data

    def used(self, period_starts: date, wallet: str = "wal_a") -> tuple[int, int]:
        row = tables.usage
        at = (row.c.account_id == wallet) & (row.c.starts_on == period_starts)
        with self.units.read(Which.LEDGER) as work:
            found = work.execute(select(row.c.amount_fen, row.c.times).where(at)).one_or_none()
        return (0, 0) if found is None else (found.amount_fen, found.times)


# --- each period --------------------------------------------------------------------------------


def test_a_sale_is_limited_by_itself(units: Units) -> None:
    book = Book(units, limit(Period.SALE))
    for _ in range(3):
        book.pay(1_000)
    said = book.refused(1_001)
    assert (said["rule"], said["limit_fen"], said["room_fen"]) == ("most_a_sale", 1_000, 1_000)


@pytest.mark.parametrize("period", [Period.DAY, Period.YEAR, Period.EVER])
def test_what_was_used_counts_holds_included(units: Units, period: Period) -> None:
    book = Book(units, limit(period))
    book.pay(300)
    book.hold(600)
    said = book.refused(101)
    assert (said["rule"], said["used_fen"], said["room_fen"]) == (
        f"most_a_{period.value}",
        900,
        100,
    )
    assert said["period"] == period.value
    book.pay(100)
    assert book.refused(1)["room_fen"] == 0
    book.pay(1_000, wallet="wal_b")  # another's is another's
    book.pay(5_000, counts=("code_c",))  # and so is another counter


@pytest.mark.parametrize("period", [Period.DAY, Period.YEAR, Period.EVER])
def test_times_count_too(units: Units, period: Period) -> None:
    book = Book(units, limit(period, None, times_max=3))
    for fen in (1, 50_000):
        book.pay(fen)
    held = book.hold(1)
    said = book.refused(1)
    assert (said["limit_times"], said["used_times"]) == (3, 3)
    book.void(held)
    book.pay(1)
    book.refused(1)


def test_all_limits_of_all_counters_hold_together(units: Units) -> None:
    """Goal: the narrowest that is broken is told; what one counter refuses no other counts."""
    book = Book(
        units,
        limit(Period.SALE, 500),
        limit(Period.DAY, 800),
        limit(Period.YEAR, 900),
        limit(Period.DAY, 600, rule="code_d_day", counter="code_d"),
    )
    both = ("spend", "code_d")
    book.pay(500, counts=both)
    assert book.refused(501)["rule"] == "most_a_sale"
    assert book.refused(101, counts=both)["rule"] == "code_d_day"
    book.pay(300)
    assert book.refused(1)["rule"] == "most_a_day"
    units.clock.advance(timedelta(days=1))  # type: ignore[attr-defined]
    assert book.refused(101)["rule"] == "most_a_year"


def test_an_account_without_a_class_has_no_limits(units: Units) -> None:
    book = Book(units, limit(Period.DAY))
    with units.write(Which.LEDGER) as work:
        leg = Leg(SHOP, CHANNEL_BANK, 90_000)
        book.ledger.post(work.rows, Transfer("out", "payout", (leg,), counts=SPEND))
    assert book.used(date(2026, 11, 23), SHOP) == (0, 0)


# --- when periods turn ----------------------------------------------------------------------------


def test_a_day_turns_at_midnight_in_shanghai(units: Units, clock: ManualClock) -> None:
    book = Book(units, limit(Period.DAY))
    clock.advance(LAST_SECOND - clock.now())
    book.pay(1_000)
    book.refused(1)
    clock.advance(timedelta(microseconds=999_999))
    book.refused(1)
    clock.advance(timedelta(microseconds=1))
    book.pay(1_000)
    book.refused(1)
    assert book.used(date(2026, 11, 23)) == book.used(date(2026, 11, 24)) == (1_000, 1)


def test_a_year_turns_at_midnight_in_shanghai(units: Units, clock: ManualClock) -> None:
    book = Book(units, limit(Period.YEAR))
    clock.advance(datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC) - clock.now())
    book.pay(1_000)
    book.refused(1)
    clock.advance(timedelta(seconds=1))
    book.pay(1_000)
    clock.advance(timedelta(days=300))
    book.refused(1)


def test_ever_never_turns(units: Units, clock: ManualClock) -> None:
    book = Book(units, limit(Period.EVER))
    book.pay(1_000)
    clock.advance(timedelta(days=3_000))
    book.refused(1)


def test_a_limit_that_begins_tomorrow_counts_tomorrow(units: Units, clock: ManualClock) -> None:
    """A day's from its day on; a year's and an ever's count what was used before they began."""
    tomorrow = date(2026, 11, 24)
    book = Book(
        units,
        limit(Period.SALE, 2_000, effective_from=tomorrow),
        limit(Period.DAY, 3_000, effective_from=tomorrow),
        limit(Period.YEAR, 8_000, effective_from=tomorrow),
    )
    clock.advance(LAST_SECOND - clock.now())
    book.pay(4_000)
    book.pay(2_000)
    clock.advance(timedelta(seconds=1))
    assert book.refused(2_001)["rule"] == "most_a_sale"
    book.pay(1_500)
    assert book.refused(1_501)["rule"] == "most_a_day"
    assert book.refused(501)["rule"] == "most_a_year"
    book.pay(500)


# --- what is given back ---------------------------------------------------------------------------


def test_a_reversal_gives_back_what_was_counted_today(units: Units) -> None:
    book = Book(units, limit(Period.DAY), limit(Period.DAY, None, times_max=2, rule="often"))
    book.pay(400)
    book.pay(600)
    book.refused(1)
    book.give_back(400)
    assert book.used(date(2026, 11, 23)) == (600, 1)
    book.refused(401)
    book.pay(400)
    book.refused(1)


@pytest.mark.parametrize("captured_fen", [1, 999, 1_000])
def test_a_capture_in_part_gives_the_rest_back(units: Units, captured_fen: int) -> None:
    book = Book(units, limit(Period.DAY))
    held = book.hold(1_000)
    book.refused(1)
    book.capture(held, captured_fen)
    assert book.used(date(2026, 11, 23)) == (captured_fen, 1)
    book.refused(1_001 - captured_fen)
    if captured_fen < 1_000:
        book.pay(1_000 - captured_fen)


def test_a_void_gives_all_back(units: Units) -> None:
    book = Book(units, limit(Period.DAY))
    book.void(book.hold(1_000))
    assert book.used(date(2026, 11, 23)) == (0, 0)
    book.pay(1_000)


@pytest.mark.parametrize("end", ["void", "capture", "expiry"])
def test_a_hold_is_given_back_on_its_own_day(units: Units, clock: ManualClock, end: str) -> None:
    """Goal: yesterday's hold, released today, makes no room today."""
    book = Book(units, limit(Period.DAY), limit(Period.YEAR, 3_000))
    held = book.hold(1_000, hours=20)
    clock.advance(timedelta(hours=19, minutes=59, seconds=59))
    assert book.used(date(2026, 11, 23)) == (1_000, 1)
    book.pay(1_000)
    if end == "void":
        book.void(held)
    elif end == "capture":
        book.capture(held, 1)
    else:
        clock.advance(timedelta(seconds=1))
    book.refused(1)
    left = (1, 1) if end == "capture" else (0, 0)
    with units.write(Which.LEDGER) as work:
        assert book.ledger.find_account(work.rows, "wal_a")
    assert book.used(date(2026, 11, 23)) == left
    assert book.used(date(2026, 11, 24)) == (1_000, 1)
    assert book.used(date(2026, 1, 1)) == (1_000 + left[0], 1 + left[1])


# --- holds that run out ---------------------------------------------------------------------------


def test_a_hold_counts_until_its_moment_and_not_a_microsecond_longer(
    units: Units, clock: ManualClock
) -> None:
    """No job runs here: whoever looks, posts or holds sees it gone."""
    book = Book(units, limit(Period.DAY, 200_000))
    book.hold(60_000, hours=1)
    book.hold(30_000, hours=2)
    clock.advance(timedelta(hours=1) - timedelta(microseconds=1))
    assert _available(book) == 10_000
    with pytest.raises(DomainError, match="insufficient_funds"):
        book.pay(10_001)
    clock.advance(timedelta(microseconds=1))
    assert _available(book) == 70_000
    book.pay(70_000)
    assert _available(book) == 0
    clock.advance(timedelta(hours=1))
    book.hold(30_000, hours=1)
    assert _available(book) == 0
    clock.advance(timedelta(hours=1))
    assert _available(book) == 30_000


def _available(book: Book) -> int:
    with book.units.read(Which.LEDGER) as work:
        account = book.ledger.find_account(work.rows, "wal_a")
    assert account is not None
    return account.available_fen


def test_an_expired_hold_is_neither_posted_nor_voided(units: Units, clock: ManualClock) -> None:
    book = Book(units)
    held = book.hold(100, hours=1)
    clock.advance(timedelta(hours=1))
    before = dump(units)
    with pytest.raises(HoldDecided):
        book.capture(held, 100)
    with pytest.raises(HoldDecided):
        book.void(held)
    assert dump(units) == before
    book.pay(1)  # which writes the expiry down
    with units.read(Which.LEDGER) as work:
        row = work.rows.find(tables.hold, held)
    assert row is not None
    assert (row["state"], row["decided_at"]) == ("expired", clock.now())
    for act in (lambda: book.capture(held, 100), lambda: book.void(held)):
        with pytest.raises(HoldDecided):
            act()


def test_however_many_holds_run_out_all_are_gone_at_once(
    units: Units, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than one look takes: those that stay come first by id, and hide none that are gone."""
    monkeypatch.setattr("backend.wallet.ledger.ledger.HOLDS_AT_ONCE_MAX", 3)
    book = Book(units)
    with units.write(Which.LEDGER) as work:
        for number in range(11):
            hours = 2 if number < 4 else 1
            ends = work.now + timedelta(hours=hours)
            leg = Leg("wal_a", SHOP, 1_000)
            book.ledger.hold(work.rows, f"hold_{number:02}", leg, expires_at=ends)
    assert _available(book) == 89_000
    clock.advance(timedelta(hours=1))
    assert _available(book) == 96_000
    book.pay(96_000)
    assert _available(book) == 0
    clock.advance(timedelta(hours=1))
    assert _available(book) == 4_000
