"""Everybody at once: a line, a banknote, a standing order and a statement count once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from backend.db import Event
from backend.db.outbox import AskAgain
from backend.kernel import DomainError, new_id
from backend.wallet.topups.automatic import DUE
from tests.backend.wallet.test_topup_batches import approve, raw, submitted
from tests.backend.wallet.topup_world import Channels, join_channels
from tests.simulation.money_world import World, operation

AT_ONCE = 8


@pytest.fixture
def channels(world: World) -> Channels:
    return join_channels(world)


def at_once(act: Callable[[int], Any]) -> list[Any]:
    """What each of eight threads got: a value, or the code it was refused with."""

    def attempt(number: int) -> Any:
        try:
            return act(number)
        except DomainError as refusal:
            return refusal.code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(attempt, range(AT_ONCE)))


def test_a_batch_taken_up_by_several_workers(channels: Channels) -> None:
    citizens = [channels.world.citizen() for _ in range(12)]
    batch_id = submitted(channels, raw(citizens))
    approve(channels, batch_id)
    event = Event("e", "t", {"batch_id": batch_id}, channels.world.clock.now(), 0)

    def work(_: int) -> None:
        with suppress(AskAgain):
            channels.batches.post(event)

    at_once(work)
    channels.batches.post(event)
    done = channels.batches.get(batch_id)
    assert (done.state.value, done.posted) == ("done", 12)
    assert [channels.world.balance(one)[0] for one in citizens] == [1_500] * 12


def test_one_banknote_typed_in_by_a_shaky_hand(channels: Channels) -> None:
    citizen, topup_id = channels.world.citizen(), new_id("csh")
    answers = at_once(lambda _: channels.take_cash(citizen, 5_000, topup_id=topup_id))
    assert channels.world.balance(citizen) == (5_000, 5_000)
    drawer = channels.counters.drawer("hall-1", channels.today)
    assert (drawer.taken, drawer.taken_fen) == (1, 5_000)
    assert all(answer == answers[0] for answer in answers)


def test_a_drawer_adds_up_what_many_hands_put_in(channels: Channels) -> None:
    citizens = [channels.world.citizen() for _ in range(AT_ONCE)]
    at_once(lambda number: channels.take_cash(citizens[number], 100 + number))
    drawer = channels.counters.drawer("hall-1", channels.today)
    assert (drawer.taken, drawer.taken_fen) == (AT_ONCE, sum(range(100, 100 + AT_ONCE)))


def test_payments_and_workers_at_once_ask_for_one_top_up(channels: Channels) -> None:
    """Goal: each payment runs the wallet low, each event is heard by a worker of its own."""
    citizen = channels.world.citizen(5_000)
    channels.order(citizen, threshold_fen=5_000, amount_fen=10_001)  # the bank is late
    payments = [new_id("pay") for _ in range(AT_ONCE)]

    def spend_and_ask(number: int) -> None:
        channels.pay(citizen, 10, payments[number])
        values = {"wallet_id": citizen.wallet_id, "operation_id": payments[number]}
        now = channels.world.clock.now()
        channels.automatic.ask(Event("e", DUE, values, now, 0))

    assert at_once(spend_and_ask) == [None] * AT_ONCE
    assert len(channels.topups(citizen)) == 2
    standing = channels.automatic.get(citizen.wallet_id, citizen.person_id)
    assert standing.month_fen == 10_001


def test_a_day_matched_by_everybody_at_once_is_booked_once(channels: Channels) -> None:
    for fen in (300, 400, 500):
        channels.world.fund(channels.world.citizen(), fen)
    stranger = new_id("top")
    channels.world.bank.deposit(stranger, 7)
    found = at_once(lambda _: channels.matching.match(channels.today, operation()))
    assert sum(one.matched for one in found) == 3
    assert channels.world.proof.prove().custody_fen == 1_200
    assert channels.cases() == [(stranger, "in_bank_not_ours", "open")]
