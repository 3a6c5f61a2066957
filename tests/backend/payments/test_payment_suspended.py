"""Goal: a stolen terminal stops at once, also for what its last token could still ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backend.kernel import DomainError, new_id
from backend.merchants import ChangeClient, Event, TerminalFacts
from backend.payments.model import Owner, RefundPayment
from tests.simulation.books import dump
from tests.simulation.money_world import Citizen, World, operation

FEN = 500

ACTS: dict[str, Callable[[World, TerminalFacts, Citizen, str], Any]] = {
    "sell": lambda world, till, citizen, _: world.tap_sale(till, citizen, FEN),
    "capture": lambda world, till, _, paid: world.sales.capture(
        paid, None, Owner(terminal_id=till.terminal_id), operation()
    ),
    "void": lambda world, till, _, paid: world.sales.void(
        paid, Owner(terminal_id=till.terminal_id), operation()
    ),
    "reverse": lambda world, till, _, paid: world.sales.reverse(
        paid, Owner(terminal_id=till.terminal_id), operation()
    ),
    "refund": lambda world, till, _, paid: world.sales.refund(
        RefundPayment(paid, new_id("ref"), FEN, ""),
        Owner(terminal_id=till.terminal_id),
        operation(),
    ),
}


@pytest.mark.parametrize("act", ACTS)
def test_a_suspended_terminal_moves_nothing(
    world: World, till: TerminalFacts, citizen: Citizen, act: str
) -> None:
    paid = world.tap_sale(till, citizen, FEN).payment_id
    world.merchants.change_client(ChangeClient(till.terminal_id, Event.SUSPEND))
    before = dump(world.units)
    with pytest.raises(DomainError) as refusal:
        ACTS[act](world, till, citizen, paid)
    assert refusal.value.code == "terminal_not_active"
    assert dump(world.units) == before
