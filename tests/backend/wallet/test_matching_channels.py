"""The day's match of cash drawers and employers' batches, whose money comes when it comes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backend.db import Which
from backend.wallet.accounts import suspense_id
from backend.wallet.topups.counter_model import CountDrawer, ReverseCash
from tests.backend.wallet.test_matching_days import in_custody, match, of
from tests.backend.wallet.test_topup_batches import approve, raw, submitted
from tests.backend.wallet.topup_world import Channels, join_channels
from tests.simulation.money_world import World, operation


@pytest.fixture
def channels(world: World) -> Channels:
    return join_channels(world)


def test_a_drawer_is_matched_with_its_deposit(channels: Channels) -> None:
    world, citizen = channels.world, channels.world.citizen()
    mistake = channels.take_cash(citizen, 5_000)
    channels.counters.reverse(ReverseCash(mistake.topup_id, "hall-1", "x", "li"), operation())
    channels.take_cash(citizen, 7_000)
    drawer = channels.counters.drawer("hall-1", channels.today)
    match(channels)
    assert channels.cases() == [
        (drawer.drawer_id, "drawer_not_counted", "open"),
        (drawer.drawer_id, "in_ours_not_bank", "open"),
    ]
    channels.counters.count(CountDrawer("hall-1", channels.today, 7_000, "li"), operation())
    world.clock.advance(timedelta(days=1))
    world.bank.deposit(drawer.drawer_id, 7_000)
    found = match(channels)  # cash comes to the bank the next day: its date is not compared
    assert (found.matched, found.cases_open) == (1, 0)
    yesterday = match(channels, days_ago=1)
    assert yesterday.cases_open == 0
    assert of(yesterday, "counter_cash")[1:3] == (7_000, 7_000)
    assert in_custody(channels) == 7_000
    assert world.proof.prove().channel_receivable_fen == 0


@pytest.mark.parametrize("difference_fen", [-1, 50])
def test_a_drawer_that_differs_is_a_case(channels: Channels, difference_fen: int) -> None:
    channels.take_cash(channels.world.citizen(), 7_000)
    wanted = CountDrawer("hall-1", channels.today, 7_000 + difference_fen, "li")
    drawer = channels.counters.count(wanted, operation())
    channels.world.bank.deposit(drawer.drawer_id, 7_000)
    match(channels)
    assert channels.cases() == [(drawer.drawer_id, "drawer_differs", "open")]
    assert in_custody(channels) == 0


def test_an_employers_money_for_refused_lines_is_owed_back(channels: Channels) -> None:
    world = channels.world
    good, full = world.citizen(), world.citizen(499_000)
    batch_id = submitted(channels, raw([good, full]))
    world.bank.deposit(batch_id, 3_000)  # the employer pays what was announced
    match(channels)
    assert channels.cases() == [(batch_id, "bank_paid_ours_open", "open")]
    approve(channels, batch_id)
    channels.work()
    found = match(channels)
    assert (found.cases_open, found.matched) == (0, 1)
    assert of(found, "employer_batch") == (3_000, 3_000, 1_500, 1_500, 3_000)
    proof = world.proof.prove()
    assert proof.custody_equals_owed
    assert proof.owed_fen == 499_000 + 3_000
    with world.units.read(Which.LEDGER) as work:
        owed = world.ledger.find_account(work.rows, suspense_id(batch_id))
    assert owed is not None
    assert owed.balance_fen == 1_500
    assert match(channels).matched == 0
