"""Money that comes back for a wallet that is shut: under a case number, never into the wallet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backend.db import Which
from backend.kernel import new_id
from backend.merchants import TerminalFacts
from backend.payments.model import RefundPayment, RefundTooMuch
from backend.wallet.accounts import suspense_id
from backend.wallet.ledger import AccountState, reading
from backend.wallet.life import Cases, Orders
from backend.wallet.life.model import Case
from backend.wallet.life.states import CaseState
from tests.simulation.books import dump
from tests.simulation.money_world import Citizen, World, operation, owner_of


def cases(world: World) -> list[Case]:
    found = Cases(world.units, world.ledger, Orders(world.ledger, world.keys))
    return found.of_state(CaseState.OPEN, limit=9, after=None)[0]


def held_fen(world: World, case: Case) -> int:
    with world.units.read(Which.LEDGER) as work:
        return reading.balance_at(work, suspense_id(case.case_id), world.clock.now())


@pytest.fixture
def shut_after(world: World, till: TerminalFacts, citizen: Citizen) -> Callable[[int], str]:
    """A sale, then the wallet is shut; the payment's id."""

    def make(fen: int) -> str:
        payment_id: str = world.tap_sale(till, citizen, fen).payment_id
        world.set_state(citizen.wallet_id, AccountState.CLOSED)
        return payment_id

    return make


def test_refunds_in_parts_are_cases_of_their_own(
    world: World, till: TerminalFacts, citizen: Citizen, shut_after: Callable[[int], str]
) -> None:
    payment_id = shut_after(1_000)
    for number, fen in enumerate((400, 600), start=1):
        command = RefundPayment(payment_id, new_id("ref"), fen, "returned goods")
        made = world.sales.refund(command, owner_of(till), operation())
        again = world.sales.refund(command, owner_of(till), operation())
        assert made == again  # asked twice: one refund, one case
        assert len(cases(world)) == number
    assert [(one.amount_fen, held_fen(world, one)) for one in cases(world)] == [
        (400, 400),
        (600, 600),
    ]
    assert {one.person_id for one in cases(world)} == {citizen.person_id}
    command = RefundPayment(payment_id, new_id("ref"), 1, "")
    with pytest.raises(RefundTooMuch):
        world.sales.refund(command, owner_of(till), operation())
    assert world.balance(citizen) == (9_000, 9_000)
    assert world.payable_fen(till.merchant_id) == 0


def test_a_reversal_of_the_day_is_a_case_too(
    world: World, till: TerminalFacts, citizen: Citizen, shut_after: Callable[[int], str]
) -> None:
    """A lost answer is taken back whole: nor may that money land in a wallet that is shut."""
    payment_id = shut_after(1_000)
    for _ in range(2):
        world.sales.reverse(payment_id, owner_of(till), operation())
    (case,) = cases(world)
    assert (case.amount_fen, held_fen(world, case)) == (1_000, 1_000)
    assert case.operation_id == f"{payment_id}/reversal"
    assert world.balance(citizen) == (9_000, 9_000)
    assert world.payable_fen(till.merchant_id) == 0


def test_a_refund_that_is_refused_opens_no_case(
    world: World, till: TerminalFacts, shut_after: Callable[[int], str]
) -> None:
    payment_id = shut_after(1_000)
    before = dump(world.units)
    with pytest.raises(RefundTooMuch):
        world.sales.refund(
            RefundPayment(payment_id, new_id("ref"), 1_001, ""), owner_of(till), operation()
        )
    assert dump(world.units) == before


def test_a_frozen_wallet_still_gets_its_refund(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    payment_id = world.tap_sale(till, citizen, 1_000).payment_id
    world.set_state(citizen.wallet_id, AccountState.FROZEN)
    command = RefundPayment(payment_id, new_id("ref"), 1_000, "")
    world.sales.refund(command, owner_of(till), operation())
    assert (world.balance(citizen), cases(world)) == ((10_000, 10_000), [])
