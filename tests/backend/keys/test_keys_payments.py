"""The city pays while its keys are exchanged: no payment fails, whichever process knows first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from keys_world import Files

from backend.db import Databases, Units
from backend.kernel import ManualClock
from backend.keys import KeyRef, SoftwareKeys
from backend.keys.admin import KeyAdmin
from backend.keys.service import LOOK_SECONDS
from backend.merchants.codes import MakeCode
from backend.payments.states import State
from backend.virtual_card.cards import RefillKeys
from backend.virtual_card.errors import KeyUnknown, PayCodeAltered
from tests.simulation.books import audit
from tests.simulation.money_world import World, join, operation
from tests.simulation.storm import another_process

ROTATED = (
    KeyRef.TOKEN_MASTER,
    KeyRef.ISSUER_SIGNING,
    KeyRef.MERCHANT_CODES,
    KeyRef.PII_CIPHER,
    KeyRef.ACCESS_TOKENS,
)
ROUNDS, SALES_EACH, FEN = 3, 12, 1
STEP, NUMBERS = timedelta(seconds=30), count(1)
Cities = tuple[World, World]
Sale = Callable[[World, World], State]


@pytest.fixture
def cities(
    units: Units, databases: Databases, files: Files, clock: ManualClock, tmp_path: Path
) -> Iterator[Cities]:
    """The same city in two processes, each with keys opened by itself.

    The first looks at the store each time; for the second time stands still: it learns of a
    version only when it meets it.
    """
    vault = SoftwareKeys.open(*files).vault
    eager = SoftwareKeys(vault, tick=count(step=10 * LOOK_SECONDS).__next__)
    late = SoftwareKeys(vault, tick=lambda: 0.0)
    with another_process(databases, clock) as elsewhere:
        yield (
            join(units, eager, clock, tmp_path, uses_max=10_000),
            join(elsewhere, late, clock, tmp_path, uses_max=10_000),
        )


def _sellers(here: World) -> dict[str, Sale]:
    """Ways to pay: each begins at one process and ends at the other."""
    till = here.terminal(here.shop(here.merchant()))
    still = threading.Lock()  # a bank's notice is refused when the clock runs on meanwhile
    tapping, showing, reading = (here.citizen(100_000) for _ in range(3))

    def tap(one: World, other: World) -> State:
        return State(other.tap_sale(till, tapping, FEN).state)

    def new_card(one: World, other: World) -> State:
        with still:
            citizen = one.citizen(1_000)
        return State(other.tap_sale(till, citizen, FEN).state)

    def pay_code(one: World, other: World) -> State:
        with still:
            one.clock.advance(STEP)
        return State(other.sell(till, showing.card.pay_code(one.clock.now()), FEN).state)

    def merchant_code(one: World, other: World) -> State:
        made = one.codes.make_for_terminal(
            MakeCode(till.terminal_id, f"B{next(NUMBERS)}", FEN), operation()
        )
        return State(other.pay_code_of(reading, made.content, FEN).state)

    return {"tap": tap, "new card": new_card, "pay code": pay_code, "merchant code": merchant_code}


def test_a_retired_master_refuses_its_keys_and_a_refill_helps(cities: Cities, files: Files) -> None:
    """A master that may be known is retired at once: an answer for the phone, no fault."""
    here, there = cities
    admin = KeyAdmin(SoftwareKeys.open(*files).vault, here.clock)
    till = here.terminal(here.shop(here.merchant()))
    citizen = here.citizen(10_000)
    assert here.tap_sale(till, citizen, FEN).state is State.CAPTURED
    admin.rotate("li", KeyRef.TOKEN_MASTER)
    admin.retire("li", KeyRef.TOKEN_MASTER, 1, understood=True)
    there.keys.look()
    for city in (here, there):
        with pytest.raises(KeyUnknown):
            city.tap_sale(till, citizen, FEN)
        with pytest.raises(PayCodeAltered):
            city.sell(till, citizen.card.pay_code(city.clock.now()), FEN)
    refill = RefillKeys(citizen.person_id, citizen.card.card.token_id, citizen.card.atc)
    citizen.card.take(here.cards.refill(refill, operation()))
    for city in (here, there):
        assert city.tap_sale(till, citizen, FEN).state is State.CAPTURED


def test_no_payment_fails_while_keys_are_rotated(cities: Cities, files: Files) -> None:
    here, there = cities
    admin = KeyAdmin(SoftwareKeys.open(*files).vault, here.clock)
    done = threading.Event()

    def rotate() -> None:
        for _ in range(ROUNDS):
            for ref in ROTATED:
                admin.rotate("li", ref)

    def sell(sale: Sale) -> list[State]:
        made: list[State] = []
        while len(made) < SALES_EACH or not done.is_set():
            made.append(sale(*((here, there) if len(made) % 2 else (there, here))))
        return made

    sellers = _sellers(here)
    with ThreadPoolExecutor(len(sellers) + 1) as pool:
        selling = {name: pool.submit(sell, sale) for name, sale in sellers.items()}
        try:
            pool.submit(rotate).result(timeout=120)
        finally:
            done.set()
        states = {name: one.result(timeout=120) for name, one in selling.items()}
    assert {state for made in states.values() for state in made} == {State.CAPTURED}
    here.keys.look()
    assert {here.keys.active_version(ref) for ref in ROTATED} == {ROUNDS + 1}
    audit(here.units)
