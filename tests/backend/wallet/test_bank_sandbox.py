"""The sandbox bank alone: its book, its manners, and that it outlives a restart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backend.kernel import ManualClock, business_date
from backend.wallet.bank import BankUnreachable, Booking, ChargeState, SandboxBank, read_notice

START = datetime(2026, 11, 23, 15, 59, 50, tzinfo=UTC)  # ten seconds to midnight in Shanghai
CARD = "6217000010001234560"


def mac(data: bytes) -> bytes:
    return bytes(32) + data[-1:]


@pytest.fixture
def now() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def bank(tmp_path: Path, now: ManualClock) -> SandboxBank:
    return SandboxBank(tmp_path / "book" / "bank.db", now, mac, 2.0)


def again(bank: SandboxBank) -> SandboxBank:
    """The same bank after a restart."""
    return SandboxBank(bank.book, bank.clock, bank.mac, bank.delay_seconds)


def test_an_order_is_carried_out_once_however_often_it_is_sent(bank: SandboxBank) -> None:
    first = bank.charge("top_1", CARD, 20_000)
    assert first.state is ChargeState.PAID
    assert first.reference
    assert bank.charge("top_1", CARD, 20_000) == first == bank.query("top_1")
    assert again(bank).charge("top_1", CARD, 99_900) == first
    assert bank.custody_balance_fen() == 20_000


def test_an_order_never_sent_is_unknown(bank: SandboxBank) -> None:
    assert bank.query("top_1").state is ChargeState.UNKNOWN
    assert bank.custody_balance_fen() == 0


@pytest.mark.parametrize(
    ("fen", "state", "reason"),
    [(101, ChargeState.PAID, None), (103, ChargeState.DECLINED, "bank_card_blocked")],
)
def test_a_late_order_is_decided_after_its_delay(
    bank: SandboxBank, now: ManualClock, fen: int, state: ChargeState, reason: str | None
) -> None:
    with pytest.raises(BankUnreachable):
        bank.charge("top_1", CARD, fen)
    assert bank.query("top_1").state is ChargeState.PROCESSING
    assert bank.tick(lambda _body, _headers: True) == 0
    now.advance(timedelta(seconds=2))
    outcome = again(bank).query("top_1")
    assert (outcome.state, outcome.reason) == (state, reason)
    assert bank.custody_balance_fen() == (fen if state is ChargeState.PAID else 0)
    with pytest.raises(BankUnreachable):
        bank.charge("top_1", CARD, fen)


def test_the_first_two_calls_about_an_unreachable_order_hear_nothing(bank: SandboxBank) -> None:
    with pytest.raises(BankUnreachable):
        bank.charge("top_1", CARD, 105)
    with pytest.raises(BankUnreachable):
        again(bank).query("top_1")
    assert bank.query("top_1").state is ChargeState.PAID


def test_a_booking_counts_for_the_day_the_money_came(bank: SandboxBank, now: ManualClock) -> None:
    bank.charge("top_1", CARD, 100)
    with pytest.raises(BankUnreachable):
        bank.charge("top_2", CARD, 201)
    bank.charge("top_3", CARD, 302)
    first = business_date(now.now())
    now.advance(timedelta(seconds=20))  # midnight has passed
    bank.tick(lambda _body, _headers: True)
    second = business_date(now.now())
    assert [_plain(one) for one in bank.bookings(first)] == [("top_1", 100)]
    assert [_plain(one) for one in bank.bookings(second)] == [("top_2", 201)]
    assert bank.custody_balance_fen() == 301


def _plain(booking: Booking) -> tuple[str, int]:
    assert booking.reference
    return booking.order_id, booking.amount_fen


def test_notices_due_outlive_a_restart_and_can_be_read(bank: SandboxBank, now: ManualClock) -> None:
    bank.charge("top_01h455vb4pex5vsknk084sn02q", CARD, 104)
    heard: list[str] = []

    def take(body: bytes, headers: object) -> bool:
        order_id, outcome = read_notice(headers, body, now.now(), mac)  # type: ignore[arg-type]
        assert outcome.state is ChargeState.PAID
        heard.append(order_id)
        return True

    assert [again(bank).tick(take) for _ in range(3)] == [1, 1, 0]
    assert heard == ["top_01h455vb4pex5vsknk084sn02q"] * 2


def test_the_book_keeps_four_digits_of_a_card(bank: SandboxBank) -> None:
    bank.charge("top_1", CARD, 100)
    for path in bank.book.parent.iterdir():
        assert CARD.encode() not in path.read_bytes()
