"""The city's limits for one operation hold, and the refusal says them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.kernel import AmountOutOfRange, AmountRange, new_id
from backend.merchants import TerminalFacts
from tests.simulation.books import dump
from tests.simulation.money_world import Citizen, World


@pytest.mark.parametrize("fen", [1, 99, 1_001, 10_000])
def test_a_sale_outside_the_range_is_refused(
    world: World, till: TerminalFacts, citizen: Citizen, fen: int
) -> None:
    limited = replace(world, sales=replace(world.sales, amounts=AmountRange(100, 1_000)))
    before = dump(world.units)
    with pytest.raises(AmountOutOfRange) as refusal:
        limited.tap_sale(till, citizen, fen)
    assert refusal.value.data["maximum_yuan"] == "10.00"
    assert dump(world.units) == before
    assert limited.tap_sale(till, citizen, 100).captured_fen == 100
    assert limited.tap_sale(till, citizen, 1_000).captured_fen == 1_000


@pytest.mark.parametrize("fen", [1, 99, 1_001])
def test_a_top_up_outside_the_range_is_refused(world: World, citizen: Citizen, fen: int) -> None:
    limited = replace(world, topups=replace(world.topups, amounts=AmountRange(100, 1_000)))
    before = dump(world.units)
    with pytest.raises(AmountOutOfRange):
        limited.request_topup(citizen, fen, new_id("top"))
    assert dump(world.units) == before
