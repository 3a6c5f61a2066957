"""Loads that hang: a closed wallet, a chip that does not come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from load_bench import ask, begin, credit, wanted
from offline_world import PURSE, Box, Offline, join_offline

from backend.cards import PurseEvent
from backend.db import Units
from backend.kernel import ManualClock, new_id
from backend.keys import SoftwareKeys
from backend.payments.purses.model import Cash, LoadNotStuck, LoadUnknown
from backend.payments.purses.settling import CONTRADICTED
from backend.payments.purses.states import LoadState, LoadStateConflict
from backend.payments.purses.stuck import ReturnLoad
from backend.wallet import AccountState
from tests.hce.epurse_bench import bench
from tests.simulation.money_world import Citizen, operation


@pytest.fixture
def offline(units: Units, keys: SoftwareKeys, clock: ManualClock, tmp_path: Path) -> Offline:
    made = join_offline(units, keys, clock, tmp_path)
    made.register()
    return made


@pytest.fixture
def box(offline: Offline) -> Box:
    return offline.box()


@pytest.fixture
def citizen(offline: Offline) -> Citizen:
    return offline.world.citizen(10_000)


def test_a_closed_wallets_load_comes_back_into_a_case(
    offline: Offline, box: Box, citizen: Citizen
) -> None:
    """Goal: the chip proves it unwritten, and its wallet was closed: its owner gets it by a case,
    and the chip's next load begins."""
    chip, cash = bench(), offline.box()
    load = begin(offline, box, citizen, chip, 500)
    offline.world.set_state(citizen.wallet_id, AccountState.CLOSED)
    chip.restart()
    chip.select()
    offline.loads = replace(offline.loads, agents=frozenset({cash.facts.merchant_id}))
    begun = offline.loads.begin(wanted(cash, ask(chip, 700), 700, Cash()), operation())
    assert begun.state is LoadState.BEGUN
    told = offline.loads.get(box.facts.terminal_id, load.load_id)
    assert (told.state, told.told_by) == (LoadState.RETURNED, "same_counter")
    assert offline.balance_fen(f"load:{load.load_id}") == 0
    assert offline.kinds()["suspense"] == 500


def test_staff_ends_a_load_whose_chip_is_gone(
    offline: Offline, box: Box, citizen: Citizen, clock: ManualClock
) -> None:
    """Goal: no earlier than nothing more can come from the chip, and once."""
    load = begin(offline, box, citizen, bench(), 500)
    command = ReturnLoad(load.load_id, "stf_a", "lost at sea")
    (waiting,), _ = offline.stuck.of_state(LoadState.BEGUN, limit=5, after=None)
    assert waiting.load_id == load.load_id
    with pytest.raises(LoadNotStuck):
        offline.stuck.give_back(command, operation())
    offline.change(PurseEvent.SUSPEND)
    clock.advance(timedelta(days=40))
    with pytest.raises(LoadNotStuck):
        offline.stuck.give_back(command, operation())
    offline.change(PurseEvent.CLOSE, staff="stf_b")
    clock.advance(timedelta(days=30) - timedelta(seconds=1))
    with pytest.raises(LoadNotStuck):
        offline.stuck.give_back(command, operation())
    clock.advance(timedelta(seconds=1))
    done = offline.stuck.give_back(command, operation())
    assert (done.state, done.told_by) == (LoadState.RETURNED, "staff")
    assert offline.stuck.give_back(command, operation()) == done
    assert offline.world.balance(citizen) == (10_000, 10_000)
    assert offline.stuck.of_state(LoadState.BEGUN, limit=5, after=None) == ([], None)
    with pytest.raises(LoadUnknown):
        offline.stuck.give_back(replace(command, load_id=new_id("lod")), operation())


def test_a_load_that_staff_gave_back_and_the_chip_has_is_told(
    offline: Offline, box: Box, citizen: Citizen, clock: ManualClock
) -> None:
    chip = bench()
    load = begin(offline, box, citizen, chip, 500)
    tac = credit(chip, load)
    offline.change(PurseEvent.SUSPEND)
    offline.change(PurseEvent.CLOSE, staff="stf_b")
    clock.advance(timedelta(days=30))
    offline.stuck.give_back(ReturnLoad(load.load_id, "stf_a", "lost"), operation())
    with pytest.raises(LoadStateConflict):
        offline.loads.written(box.facts.terminal_id, load.load_id, tac, operation())
    assert offline.told(CONTRADICTED) == 1
    assert offline.balance_fen(f"epurse:{PURSE}") == 0
