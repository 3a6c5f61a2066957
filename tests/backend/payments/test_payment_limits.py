"""A payment counts for the limits of its check; what is taken back makes room where it was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.db import Units
from backend.kernel import ManualClock, Words, new_id
from backend.keys import SoftwareKeys
from backend.merchants import MakeCode, TerminalFacts
from backend.payments.model import RefundPayment
from backend.wallet import Limits
from backend.wallet.ledger import Limit, LimitExceeded, Period
from tests.simulation.books import USED_UP, dump
from tests.simulation.money_world import CEILING, World, join, operation, owner_of

ARTICLE = Words(zh="条码支付业务规范", en="Rules for bar code payments")


def day_limit(counter: str, fen: int) -> Limit:
    return Limit(
        rule=f"{counter}_day",
        account_class="registered",
        counter=counter,
        period=Period.DAY,
        amount_max_fen=fen,
        times_max=None,
        effective_from=date(2020, 1, 1),
        article=ARTICLE,
    )


LIMITS = [day_limit(*one) for one in (("spend", 5_000), ("code_b", 2_000), ("code_c", 1_000))]
LIMITS.append(day_limit("code_d", 500))


@pytest.fixture
def world(units: Units, keys: SoftwareKeys, clock: ManualClock, tmp_path: Path) -> World:
    return join(units, keys, clock, tmp_path, limits=Limits([CEILING, *LIMITS]))


def refused(world: World, pay: Any) -> Mapping[str, Any]:
    """What the limit says; nothing but the proof shown is used up."""
    before = dump(world.units, but=USED_UP)
    with pytest.raises(LimitExceeded) as refusal:
        pay()
    assert dump(world.units, but=USED_UP) == before
    assert refusal.value.article == ARTICLE
    return refusal.value.data


def test_each_way_to_pay_has_its_own_limit_and_all_share_one(
    world: World, till: TerminalFacts
) -> None:
    citizen = world.citizen(50_000)
    static = world.codes.make_for_shop(till.shop_id).content
    bills = iter(range(1, 99))

    def bill(fen: int) -> str:
        asked = MakeCode(till.terminal_id, f"B{next(bills)}", fen)
        return world.codes.make_for_terminal(asked, operation()).content

    def shown() -> Any:
        world.clock.advance(timedelta(seconds=60))
        return citizen.card.pay_code(world.clock.now())

    world.pay_code_of(citizen, static, 400)
    said = refused(world, lambda: world.pay_code_of(citizen, static, 101))
    assert (said["rule"], said["room_fen"]) == ("code_d_day", 100)
    world.pay_code_of(citizen, static, 100)
    asked = bill(1_001)
    said = refused(world, lambda: world.pay_code_of(citizen, asked, 1_001))
    assert (said["rule"], said["room_fen"]) == ("code_c_day", 1_000)
    world.pay_code_of(citizen, bill(1_000), 1_000)
    world.sell(till, shown(), 1_500)
    said = refused(world, lambda: world.sell(till, shown(), 501))
    assert (said["rule"], said["used_fen"]) == ("code_b_day", 1_500)
    world.tap_sale(till, citizen, 1_999)
    said = refused(world, lambda: world.tap_sale(till, citizen, 2))
    assert (said["rule"], said["room_fen"]) == ("spend_day", 1)
    world.clock.advance(timedelta(hours=14))
    world.pay_code_of(citizen, static, 500)


@pytest.mark.parametrize("end", ["reverse", "void", "capture"])
def test_what_is_taken_back_can_be_spent_again_today(
    world: World, till: TerminalFacts, end: str
) -> None:
    citizen, owner = world.citizen(50_000), owner_of(till)
    held = world.tap_sale(till, citizen, 4_000, capture=end == "reverse").payment_id
    refused(world, lambda: world.tap_sale(till, citizen, 1_001))
    room_fen = 5_000
    if end == "reverse":
        world.sales.reverse(held, owner, operation())
    elif end == "void":
        world.sales.void(held, owner, operation())
    else:
        world.sales.capture(held, 1_500, owner, operation())
        room_fen = 3_500
    refused(world, lambda: world.tap_sale(till, citizen, room_fen + 1))
    world.tap_sale(till, citizen, room_fen)
    refused(world, lambda: world.tap_sale(till, citizen, 1))


def test_a_refund_makes_no_room(world: World, till: TerminalFacts) -> None:
    """What was spent stays spent: goods came and went."""
    citizen = world.citizen(50_000)
    paid = world.tap_sale(till, citizen, 5_000).payment_id
    wanted = RefundPayment(paid, new_id("ref"), 5_000, "")
    world.sales.refund(wanted, owner_of(till), operation())
    refused(world, lambda: world.tap_sale(till, citizen, 1))


def test_yesterdays_hold_reversed_today_makes_no_room_today(
    world: World, till: TerminalFacts
) -> None:
    """Goal: held and counted yesterday, captured today, reversed today: today's limit stands."""
    citizen, owner = world.citizen(50_000), owner_of(till)
    held = world.tap_sale(till, citizen, 5_000, capture=False).payment_id
    world.clock.advance(timedelta(hours=14))  # midnight in Shanghai
    world.tap_sale(till, citizen, 5_000)
    world.sales.capture(held, None, owner, operation())
    world.sales.reverse(held, owner, operation())
    refused(world, lambda: world.tap_sale(till, citizen, 1))
