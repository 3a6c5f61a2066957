"""The merchant's statement: every line, right sums, the right day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from backend.kernel import new_id
from backend.merchants import MakeCode, TerminalFacts
from backend.payments.model import RefundPayment
from tests.simulation.money_world import Citizen, World, operation, owner_of

TODAY, TOMORROW = date(2026, 11, 23), date(2026, 11, 24)


def statement(world: World, merchant_id: str, day: date = TODAY, limit: int = 50) -> Any:
    return world.statements.of_day(merchant_id, day, limit=limit, after=None)


def give_back(world: World, till: TerminalFacts, payment_id: str, fen: int) -> str:
    wanted = RefundPayment(payment_id, new_id("ref"), fen, "")
    return str(world.sales.refund(wanted, owner_of(till), operation()).refund_id)


def test_an_empty_day_is_an_empty_statement(world: World) -> None:
    for merchant_id in (world.merchant(), new_id("mer")):
        page = statement(world, merchant_id)
        assert (page.data, page.next, page.business_date) == ([], None, TODAY)
        assert (page.totals.payments_count, page.totals.refunds_count) == (0, 0)
        assert page.totals.net_fen == 0


def test_every_movement_of_the_day_is_a_line(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    tapped = world.tap_sale(till, citizen, 1_250)
    shown = world.sell(till, citizen.card.pay_code(world.clock.now()), 300)
    content = world.codes.make_for_terminal(MakeCode(till.terminal_id, "B1", 200), operation())
    linked = world.pay_code_of(citizen, content.content, 200)
    held = world.tap_sale(till, citizen, 999, capture=False)
    voided = world.tap_sale(till, citizen, 999, capture=False)
    world.sales.void(voided.payment_id, owner_of(till), operation())
    refund_id = give_back(world, till, tapped.payment_id, 250)
    world.sales.reverse(shown.payment_id, owner_of(till), operation())
    elsewhere = world.terminal(world.shop(world.merchant("城西超市")))
    world.tap_sale(elsewhere, citizen, 77)
    page = statement(world, till.merchant_id)
    assert [(one.code, one.amount_fen, one.reference) for one in page.data] == [
        ("reversal", -300, shown.payment_id),
        ("refund", -250, refund_id),
        ("payment", 200, linked.payment_id),
        ("payment", 300, shown.payment_id),
        ("payment", 1_250, tapped.payment_id),
    ]
    numbers = {one.reference: one.terminal_number for one in page.data}
    assert numbers[refund_id] == numbers[tapped.payment_id] == till.terminal_number
    assert {one.shop_name for one in page.data} == {"一号店"}
    totals = page.totals
    assert (totals.payments_count, totals.payments_fen) == (3, 1_750)
    assert (totals.refunds_count, totals.refunds_fen) == (2, 550)
    assert totals.net_fen == sum(one.amount_fen for one in page.data) == 1_200
    world.sales.capture(held.payment_id, 99, owner_of(till), operation())
    assert statement(world, till.merchant_id).totals.net_fen == 1_299
    assert statement(world, elsewhere.merchant_id).totals.net_fen == 77


@pytest.mark.parametrize("limit", [1, 3, 7, 8])
def test_pages_hold_every_line_once_and_the_sums_of_the_day(
    world: World, till: TerminalFacts, citizen: Citizen, limit: int
) -> None:
    paid = [world.tap_sale(till, citizen, 100 + number).payment_id for number in range(7)]
    read: list[str] = []
    cursor: str | None = None
    for _ in range(8):
        page = world.statements.of_day(till.merchant_id, TODAY, limit=limit, after=cursor)
        assert len(page.data) <= limit
        assert (page.totals.payments_count, page.totals.payments_fen) == (7, 721)
        read += [one.reference for one in page.data]
        cursor = page.next
        if cursor is None:
            break
    assert cursor is None
    assert read == paid[::-1]


def test_the_day_turns_at_midnight_in_shanghai(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    world.clock.advance(timedelta(hours=14) - timedelta(seconds=1))  # 23:59:59
    late = world.tap_sale(till, citizen, 100)
    world.clock.advance(timedelta(seconds=1))
    early = world.tap_sale(till, citizen, 200)
    refund_id = give_back(world, till, late.payment_id, 30)
    assert (late.business_date, early.business_date) == (TODAY, TOMORROW)
    first, second = (statement(world, till.merchant_id, day) for day in (TODAY, TOMORROW))
    assert [one.reference for one in first.data] == [late.payment_id]
    assert [one.reference for one in second.data] == [refund_id, early.payment_id]
    assert (first.totals.net_fen, second.totals.net_fen) == (100, 170)
