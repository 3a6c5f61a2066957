"""Statements, exports, balances and receipts of a wallet, on both engines."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from statement_world import Books, Move, utc

from backend.db import Units, Which
from backend.kernel import ManualClock, new_id
from backend.wallet import WalletUnknown
from backend.wallet.statements import Period, Statement, StatementTooLong, WalletStatements, service
from backend.wallet.statements.model import LineUnknown, MomentInFuture, StatementLine

TODAY = date(2026, 11, 23)
OCTOBER, NOVEMBER = Period.month("2026-10", TODAY), Period.month("2026-11", TODAY)
MICROSECOND = timedelta(microseconds=1)

Mine = tuple[str, str]


@pytest.fixture
def mine(person_id: str, wallet_id: str) -> Mine:
    """A person and their wallet."""
    return person_id, wallet_id


def page(
    statements: WalletStatements,
    person_id: str,
    wallet_id: str,
    period: Period = NOVEMBER,
    *,
    limit: int = 50,
    after_line: int | None = None,
    newest_first: bool = True,
) -> Statement:
    return statements.page(
        person_id,
        wallet_id,
        period,
        limit=limit,
        after_line=after_line,
        newest_first=newest_first,
    )


def test_months_are_cut_at_midnight_in_shanghai(
    statements: WalletStatements, books: Books, person_id: str, wallet_id: str
) -> None:
    midnight = utc("2026-11-01T00:00:00+08:00")
    books.post(
        Move(wallet_id, 1_000, utc("2026-10-01T00:00:00+08:00")),
        Move(wallet_id, -300, midnight - MICROSECOND),
        Move(wallet_id, 50, midnight),
        Move(wallet_id, -5, utc("2026-11-23T01:59:59Z")),
    )
    before = page(statements, person_id, wallet_id, Period.month("2026-09", TODAY))
    october = page(statements, person_id, wallet_id, OCTOBER)
    november = page(statements, person_id, wallet_id, NOVEMBER)
    assert (before.extent.opening_fen, before.extent.closing_fen, before.data) == (0, 0, [])
    assert [one.amount_fen for one in october.data] == [-300, 1_000]
    assert [one.amount_fen for one in november.data] == [-5, 50]
    assert (october.extent.opening_fen, october.extent.closing_fen) == (0, 700)
    assert (november.extent.opening_fen, november.extent.closing_fen) == (700, 745)
    assert (october.extent.lines_count, november.extent.lines_count) == (2, 2)
    assert (before.is_final, october.is_final, november.is_final) == (True, True, False)
    days = Period.days(date(2026, 10, 31), date(2026, 11, 1), TODAY)
    both = page(statements, person_id, wallet_id, days)
    assert [one.amount_fen for one in both.data] == [50, -300]
    assert (both.extent.opening_fen, both.extent.closing_fen) == (1_000, 750)


def test_a_month_ends_when_its_last_day_does(
    statements: WalletStatements, clock: ManualClock, person_id: str, wallet_id: str
) -> None:
    clock.advance(NOVEMBER.ends_at - clock.now() - MICROSECOND)
    assert not page(statements, person_id, wallet_id).is_final
    clock.advance(MICROSECOND)
    assert page(statements, person_id, wallet_id).is_final


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("limit", [1, 3, 7])
def test_pages_follow_without_gap_or_repetition(
    statements: WalletStatements, books: Books, mine: Mine, limit: int, newest_first: bool
) -> None:
    person_id, wallet_id = mine
    at = utc("2026-11-02T12:00:00+08:00")
    books.pay_in(wallet_id, [1] * 3, at - timedelta(days=9))
    books.pay_in(wallet_id, [1] * 7, at)
    read: list[str] = []
    cursor: int | None = None
    for _ in range(8):
        found = page(
            statements,
            person_id,
            wallet_id,
            limit=limit,
            after_line=cursor,
            newest_first=newest_first,
        )
        read += [one.line_id for one in found.data]
        assert (found.extent.opening_fen, found.extent.closing_fen) == (3, 10)
        assert found.extent.lines_count == 7
        if found.next is None:
            break
        cursor = int(found.next)
    expected = [str(number) for number in range(4, 11)]
    assert read == (expected[::-1] if newest_first else expected)


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_cursor_never_leads_out_of_the_period(
    statements: WalletStatements, books: Books, person_id: str, wallet_id: str, newest_first: bool
) -> None:
    books.pay_in(wallet_id, [1] * 3, utc("2026-10-20T12:00:00+08:00"))
    books.pay_in(wallet_id, [1] * 3, utc("2026-11-20T12:00:00+08:00"))
    for period, own in ((OCTOBER, {1, 2, 3}), (NOVEMBER, {4, 5, 6})):
        for cursor in (1, 2, 3, 4, 6, 7, 2**63 - 1):
            found = page(
                statements,
                person_id,
                wallet_id,
                period,
                after_line=cursor,
                newest_first=newest_first,
            )
            beyond = {one for one in own if (one < cursor if newest_first else one > cursor)}
            assert {int(one.line_id) for one in found.data} == beyond


def test_a_whole_statement_adds_up(
    statements: WalletStatements, books: Books, person_id: str, wallet_id: str
) -> None:
    books.pay_in(wallet_id, [900], utc("2026-10-31T12:00:00+08:00"))
    books.pay_in(wallet_id, [500, -200, -100, 7], utc("2026-11-02T12:00:00+08:00"))
    found = statements.whole(person_id, wallet_id, NOVEMBER)
    assert [one.line_id for one in found.data] == ["2", "3", "4", "5"]
    assert (found.in_fen, found.out_fen) == (507, 300)
    extent = found.extent
    assert extent.opening_fen + found.in_fen - found.out_fen == extent.closing_fen == 1_107


def test_too_many_lines_are_refused_before_the_first(
    statements: WalletStatements,
    books: Books,
    person_id: str,
    wallet_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    books.pay_in(wallet_id, [1] * 5, utc("2026-11-02T12:00:00+08:00"))
    monkeypatch.setattr(service, "EXPORT_LINES_MAX", 4)
    monkeypatch.setattr(service, "PRINT_LINES_MAX", 4)
    for ask in (statements.export, statements.whole):
        with pytest.raises(StatementTooLong) as refusal:
            ask(person_id, wallet_id, NOVEMBER)
        assert refusal.value.data == {"lines_count": 5, "lines_max": 4}
    monkeypatch.setattr(service, "EXPORT_LINES_MAX", 5)
    monkeypatch.setattr(service, "PRINT_LINES_MAX", 5)
    assert statements.export(person_id, wallet_id, NOVEMBER).lines_count == 5
    assert len(statements.whole(person_id, wallet_id, NOVEMBER).data) == 5


@pytest.mark.parametrize("page_lines", [1, 3, 7])
def test_an_export_is_of_one_piece(
    statements: WalletStatements,
    books: Books,
    mine: Mine,
    page_lines: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Goal: what is posted while somebody reads slowly is not in it."""
    person_id, wallet_id = mine
    monkeypatch.setattr(service, "EXPORT_PAGE_LINES", page_lines)
    at = utc("2026-11-02T12:00:00+08:00")
    books.pay_in(wallet_id, [1, 1], at - timedelta(days=9))
    books.pay_in(wallet_id, [1] * 7, at)
    export = statements.export(person_id, wallet_id, NOVEMBER)
    read = [one.line_id for one in next(export.pages)]
    books.pay_in(wallet_id, [1], at)
    pages = list(export.pages)
    read += [one.line_id for lines in pages for one in lines]
    assert read == [str(number) for number in range(3, 10)]
    assert max((len(lines) for lines in pages), default=0) <= page_lines
    assert export.lines_count == 7


def test_an_export_holds_no_connection_between_pages(
    statements: WalletStatements,
    books: Books,
    mine: Mine,
    units: Units,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    person_id, wallet_id = mine
    monkeypatch.setattr(service, "EXPORT_PAGE_LINES", 1)
    books.pay_in(wallet_id, [1] * 3, utc("2026-11-02T12:00:00+08:00"))
    pool = units.databases[Which.LEDGER].engine.pool
    export = statements.export(person_id, wallet_id, NOVEMBER)
    for _ in range(3):
        assert pool.checkedout() == 0  # type: ignore[attr-defined]
        next(export.pages)
    assert pool.checkedout() == 0  # type: ignore[attr-defined]


def test_an_empty_month_exports_nothing(
    statements: WalletStatements, person_id: str, wallet_id: str
) -> None:
    export = statements.export(person_id, wallet_id, OCTOBER)
    assert (export.lines_count, list(export.pages)) == (0, [])


def test_the_balance_of_a_moment(
    statements: WalletStatements, books: Books, clock: ManualClock, person_id: str, wallet_id: str
) -> None:
    at = utc("2026-11-02T12:00:00+08:00")
    books.pay_in(wallet_id, [900], at)
    found = [
        statements.balance_at(person_id, wallet_id, moment).balance_fen
        for moment in (at - MICROSECOND, at, clock.now())
    ]
    assert found == [0, 900, 900]
    with pytest.raises(MomentInFuture):
        statements.balance_at(person_id, wallet_id, clock.now() + MICROSECOND)


def test_a_receipt_says_all(
    statements: WalletStatements, books: Books, person_id: str, wallet_id: str
) -> None:
    at = utc("2026-11-02T00:30:00+08:00")  # still the first in UTC
    books.post(
        Move(wallet_id, 900, at),
        Move(wallet_id, 50, at, "reversal", "便利店", "pay_1/reversal", "pay_1"),
    )
    receipt = statements.receipt(person_id, wallet_id, 2)
    assert receipt.wallet_id == wallet_id
    assert receipt.line == StatementLine(
        line_id="2",
        time=at,
        business_date=date(2026, 11, 2),
        code="reversal",
        amount_fen=50,
        balance_fen=950,
        counterparty="便利店",
        reference="pay_1",
        operation_id="pay_1/reversal",
        linked_to="pay_1",
    )
    for absent in (3, 2**63 - 1):
        with pytest.raises(LineUnknown):
            statements.receipt(person_id, wallet_id, absent)


def test_somebody_elses_wallet_is_unknown(
    statements: WalletStatements, books: Books, person_id: str, wallet_id: str
) -> None:
    books.pay_in(wallet_id, [900], utc("2026-11-02T12:00:00+08:00"))
    for who, which in ((new_id("per"), wallet_id), (person_id, new_id("wal")), (person_id, "")):
        with pytest.raises(WalletUnknown):
            page(statements, who, which)
        for ask in (statements.whole, statements.export):
            with pytest.raises(WalletUnknown):
                ask(who, which, NOVEMBER)
        with pytest.raises(WalletUnknown):
            statements.balance_at(who, which, utc("2026-11-02T12:00:00+08:00"))
        with pytest.raises(WalletUnknown):
            statements.receipt(who, which, 1)
