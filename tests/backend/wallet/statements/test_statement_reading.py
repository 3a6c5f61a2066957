"""What the journal's lines say, read by number and by moment, on both engines."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from statement_world import BANK, Books, Move, utc

from backend.db import Units, Which
from backend.wallet.ledger import reading
from backend.wallet.ledger.reading import Line, Mark, Totals

NOON = utc("2026-11-20T12:00:00+08:00")
MICROSECOND = timedelta(microseconds=1)


def mark(units: Units, account_id: str, moment: datetime) -> Mark:
    with units.read(Which.LEDGER) as work:
        return reading.last_before(work, account_id, moment)


def numbers(units: Units, account_id: str, **asked: object) -> list[int]:
    with units.read(Which.LEDGER) as work:
        return [one.line for one in reading.lines(work, account_id, **asked)]  # type: ignore[arg-type]


def test_a_line_says_all(units: Units, books: Books, wallet_id: str) -> None:
    books.post(
        Move(wallet_id, 5_000, NOON, memo="····4560", operation_id="top_1"),
        Move(wallet_id, -1_250, NOON, memo="便利店", operation_id="pay_1"),
        Move(wallet_id, 250, NOON, "refund", "便利店", "ref_1", "pay_1"),
    )
    day = date(2026, 11, 20)
    expected = [
        Line(1, NOON, "top_up", 5_000, 5_000, "top_1", None, "····4560", day),
        Line(2, NOON, "payment", -1_250, 3_750, "pay_1", None, "便利店", day),
        Line(3, NOON, "refund", 250, 4_000, "ref_1", "pay_1", "便利店", day),
    ]
    with units.read(Which.LEDGER) as work:
        assert reading.lines(work, wallet_id, limit=9, newest_first=False) == expected
        assert reading.lines(work, wallet_id, limit=9) == expected[::-1]
        assert [reading.find_line(work, wallet_id, one.line) for one in expected] == expected
        for absent in (0, 4, 2**63 - 1):
            assert reading.find_line(work, wallet_id, absent) is None
        # The bank's account grows by debit: what came into the wallet came into it too.
        bank = [one.amount_fen for one in reading.lines(work, BANK, limit=9)]
        assert bank == [250, -1_250, 5_000]


def test_legs_of_one_operation_keep_their_own_words(
    units: Units, books: Books, wallet_id: str
) -> None:
    books.post(
        Move(wallet_id, 5_000, NOON, operation_id="mix_1", memo="first", leg=0),
        Move(wallet_id, -200, NOON, "fee", "second", "mix_1", leg=1),
    )
    with units.read(Which.LEDGER) as work:
        found = reading.lines(work, wallet_id, limit=9, newest_first=False)
    assert [(one.code, one.memo, one.amount_fen) for one in found] == [
        ("top_up", "first", 5_000),
        ("fee", "second", -200),
    ]


def test_lines_are_cut_by_number(units: Units, books: Books, wallet_id: str) -> None:
    books.pay_in(wallet_id, [1] * 9, NOON)
    assert numbers(units, wallet_id, limit=3) == [9, 8, 7]
    assert numbers(units, wallet_id, limit=3, before_line=4) == [3, 2, 1]
    assert numbers(units, wallet_id, limit=3, newest_first=False) == [1, 2, 3]
    assert numbers(units, wallet_id, limit=9, after_line=3, before_line=6) == [5, 4]
    assert numbers(units, wallet_id, limit=9, after_line=9) == []
    assert numbers(units, "wal_nobody", limit=9) == []
    for limit in (0, -1, reading.LINES_READ_MAX + 1):
        with pytest.raises(ValueError, match="a page has 1 to"):
            numbers(units, wallet_id, limit=limit)


def test_the_balance_at_a_moment(units: Units, books: Books, wallet_id: str) -> None:
    books.pay_in(wallet_id, [100], NOON)
    books.pay_in(wallet_id, [20, -50], NOON + timedelta(seconds=1))
    expected = [
        (NOON - timedelta(days=400), 0),
        (NOON - MICROSECOND, 0),
        (NOON, 100),
        (NOON + timedelta(seconds=1) - MICROSECOND, 100),
        (NOON + timedelta(seconds=1), 70),  # after the last of the lines of that moment
        (NOON + timedelta(days=4000), 70),
    ]
    with units.read(Which.LEDGER) as work:
        found = [(at, reading.balance_at(work, wallet_id, at)) for at, _ in expected]
    assert found == expected


def test_lines_of_one_moment_stay_together(units: Units, books: Books, wallet_id: str) -> None:
    """Goal: a group commit stamps many lines with one moment; all are before it or none."""
    books.pay_in(wallet_id, [1] * 40, NOON)
    books.pay_in(wallet_id, [1] * 40, NOON + MICROSECOND)
    assert mark(units, wallet_id, NOON) == Mark(0, 0)
    assert mark(units, wallet_id, NOON + MICROSECOND) == Mark(40, 40)
    assert mark(units, wallet_id, NOON + 2 * MICROSECOND) == Mark(80, 80)


def test_racing_lines_are_in_one_period_each(units: Units, books: Books, wallet_id: str) -> None:
    """Goal: of two transactions that race over midnight, the older may get the later line.

    The newest balance is that of the last line, and marks never go backwards.
    """
    midnight = utc("2026-11-20T00:00:00+08:00")
    books.post(
        Move(wallet_id, 100, midnight - timedelta(seconds=30)),
        Move(wallet_id, 10, midnight + timedelta(milliseconds=5)),
        Move(wallet_id, -3, midnight - timedelta(milliseconds=5)),
    )
    assert mark(units, wallet_id, midnight) == Mark(3, 107)
    assert mark(units, wallet_id, midnight + timedelta(hours=1)) == Mark(3, 107)
    seconds = [mark(units, wallet_id, midnight + timedelta(seconds=one)) for one in range(-90, 90)]
    assert [one.line for one in seconds] == sorted(one.line for one in seconds)


def test_sums_by_code_go_over_pages(
    units: Units, books: Books, wallet_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.pay_in(wallet_id, [1_000, -200, -300, 50, -1], NOON)
    books.post(Move(wallet_id, 200, NOON, "refund"))
    expected = {"top_up": (2, 1_050), "payment": (3, -501), "refund": (1, 200)}
    for page_lines in (1, 2, 3, 6, 7):
        monkeypatch.setattr(reading, "LINES_READ_MAX", page_lines)
        with units.read(Which.LEDGER) as work:
            assert reading.count_by_code(work, wallet_id) == expected
            assert reading.count_by_code(work, "wal_nobody") == {}


def test_totals_are_of_every_account(units: Units, books: Books, wallet_id: str) -> None:
    with units.read(Which.LEDGER) as work:
        assert reading.totals(work) == Totals(0, 0, {"wallet": 0, "channel_receivable": 0})
    books.pay_in(wallet_id, [1_000, -200], NOON)
    with units.read(Which.LEDGER) as work:
        found = reading.totals(work)
    assert found == Totals(1_200, 1_200, {"wallet": 800, "channel_receivable": -800})
