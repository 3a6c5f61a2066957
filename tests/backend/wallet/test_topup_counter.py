"""Cash at a counter: limits, mistakes, the drawer in the evening."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.db import Units
from backend.kernel import DomainError, ManualClock, new_id
from backend.keys import SoftwareKeys
from backend.wallet.ledger import AccountState, InsufficientFunds
from backend.wallet.model import WalletUnknown
from backend.wallet.topups.counter_model import (
    CashTopUpExists,
    CashTopUpOld,
    CashTopUpUnknown,
    CountDrawer,
    CounterUnknown,
    Drawer,
    DrawerCounted,
    DrawerUnknown,
    Payer,
    ReverseCash,
)
from tests.backend.wallet.topup_world import Channels, city_limits, join_channels
from tests.simulation.books import dump
from tests.simulation.money_world import Citizen, join, operation


@pytest.fixture
def channels(units: Units, keys: SoftwareKeys, clock: ManualClock, tmp_path: Path) -> Channels:
    return join_channels(join(units, keys, clock, tmp_path, limits=city_limits()))


@pytest.fixture
def citizen(channels: Channels) -> Citizen:
    return channels.world.citizen()


def reverse(channels: Channels, topup_id: str, counter: str = "hall-1") -> Any:
    wanted = ReverseCash(topup_id, counter, "typed 500 for 50", "li")
    return channels.counters.reverse(wanted, operation())


def count(channels: Channels, fen: int, counter: str = "hall-1") -> Drawer:
    wanted = CountDrawer(counter, channels.today, fen, "li")
    return channels.counters.count(wanted, operation())


def test_cash_is_credited_at_once_and_the_receipt_says_all(
    channels: Channels, citizen: Citizen
) -> None:
    made = channels.take_cash(citizen, 30_000)
    assert (made.amount_fen, made.balance_fen, made.debt_fen) == (30_000, 30_000, 0)
    assert (made.counter, made.taken_by, made.business_date) == ("hall-1", "li", channels.today)
    assert channels.world.balance(citizen) == (30_000, 30_000)
    assert channels.counters.get(made.topup_id) == made


def test_the_id_decides(channels: Channels, citizen: Citizen) -> None:
    made = channels.take_cash(citizen, 30_000)
    assert channels.take_cash(citizen, 30_000, topup_id=made.topup_id) == made
    others: list[dict[str, Any]] = [
        {"fen": 1_000},
        {"counter": "agent-east"},
        {"payer": Payer.COMPANY},
    ]
    for changes in others:
        values = {"fen": 30_000, "topup_id": made.topup_id, **changes}
        with pytest.raises(CashTopUpExists):
            channels.take_cash(citizen, **values)
    assert channels.world.balance(citizen) == (30_000, 30_000)


@pytest.mark.parametrize(
    ("where", "highest_fen", "rule"),
    [
        (("agent-east", Payer.PERSON), 20_000, "cash_top_up_day"),
        (("hall-1", Payer.COMPANY), 499_999, "cash_company_sale"),
        (("hall-1", Payer.PERSON), 500_000, None),  # the wallet's ceiling comes first
    ],
)
def test_how_much_cash(
    channels: Channels,
    citizen: Citizen,
    where: tuple[str, Payer],
    highest_fen: int,
    rule: str | None,
) -> None:
    counter, payer = where
    before = dump(channels.world.units)
    with pytest.raises(DomainError) as refusal:
        channels.take_cash(citizen, highest_fen + 1, counter, payer=payer)
    assert refusal.value.article
    if rule is not None:
        assert refusal.value.data["rule"] == rule
    assert dump(channels.world.units) == before
    channels.take_cash(citizen, highest_fen, counter, payer=payer)
    assert channels.world.balance(citizen)[0] == highest_fen


def test_a_reversal_gives_the_days_limit_back(channels: Channels, citizen: Citizen) -> None:
    made = channels.take_cash(citizen, 20_000, "agent-east")
    with pytest.raises(DomainError, match="limit_exceeded"):
        channels.take_cash(citizen, 1, "agent-east")
    reverse(channels, made.topup_id, "agent-east")
    channels.take_cash(citizen, 20_000, "agent-east")
    assert channels.world.balance(citizen) == (20_000, 20_000)


def test_a_mistake_is_reversed_once(channels: Channels, citizen: Citizen) -> None:
    made = channels.take_cash(citizen, 50_000)
    undone = [reverse(channels, made.topup_id) for _ in range(2)]
    assert undone[0] == undone[1]
    assert undone[0].state == "reversed"
    assert channels.world.balance(citizen) == (0, 0)
    drawer = channels.counters.drawer("hall-1", channels.today)
    assert (drawer.taken_fen, drawer.returned_fen, drawer.book_fen) == (50_000, 50_000, 0)


def test_what_is_spent_cannot_be_reversed(channels: Channels, citizen: Citizen) -> None:
    made = channels.take_cash(citizen, 50_000)
    channels.pay(citizen, 1)
    before = dump(channels.world.units)
    with pytest.raises(InsufficientFunds):
        reverse(channels, made.topup_id)
    assert dump(channels.world.units) == before


def test_only_the_same_counter_the_same_day(channels: Channels, citizen: Citizen) -> None:
    made = channels.take_cash(citizen, 50_000)
    for topup_id, counter in ((made.topup_id, "agent-east"), (new_id("csh"), "hall-1")):
        with pytest.raises(CashTopUpUnknown):
            reverse(channels, topup_id, counter)
    channels.world.clock.advance(timedelta(days=1))
    with pytest.raises(CashTopUpOld):
        reverse(channels, made.topup_id)
    assert channels.world.balance(citizen) == (50_000, 50_000)


@pytest.mark.parametrize("difference_fen", [0, -100, 1])
def test_the_drawer_is_counted_once(
    channels: Channels, citizen: Citizen, difference_fen: int
) -> None:
    made = channels.take_cash(citizen, 50_000)
    channels.take_cash(citizen, 7_000)
    reverse(channels, made.topup_id)
    found = count(channels, 7_000 + difference_fen)
    assert (found.taken, found.returned, found.book_fen) == (2, 1, 7_000)
    assert (found.difference_fen, found.counted_by) == (difference_fen, "li")
    assert channels.counters.drawer("hall-1", channels.today) == found
    with pytest.raises(DrawerCounted):
        count(channels, 7_000)
    with pytest.raises(DrawerCounted):
        channels.take_cash(citizen, 100)
    channels.take_cash(citizen, 100, "agent-east")  # another counter goes on
    channels.world.clock.advance(timedelta(days=1))
    channels.take_cash(citizen, 100)


def test_refusals_change_nothing(channels: Channels, citizen: Citizen) -> None:
    before = dump(channels.world.units)
    nobody = Citizen(citizen.person_id, new_id("wal"), citizen.card)
    with pytest.raises(CounterUnknown):
        channels.take_cash(citizen, 100, "hall-9")
    with pytest.raises(WalletUnknown):
        channels.take_cash(nobody, 100)
    with pytest.raises(DrawerUnknown):
        count(channels, 0)
    with pytest.raises(CounterUnknown):
        channels.counters.drawer("hall-9", channels.today)
    channels.world.set_state(citizen.wallet_id, AccountState.CLOSED)
    with pytest.raises(DomainError, match="wallet_closed"):
        channels.take_cash(citizen, 100)
    channels.world.set_state(citizen.wallet_id, AccountState.OPEN)
    assert dump(channels.world.units) == before


@pytest.mark.parametrize("state", [AccountState.OPEN, AccountState.FROZEN])
def test_cash_pays_the_ride_debt_first_and_counts_whole(
    channels: Channels, citizen: Citizen, state: AccountState
) -> None:
    """Goal: the limit of cash is of what was handed over, also what went on to the debt."""
    channels.owe(citizen, 300)
    channels.world.set_state(citizen.wallet_id, state)
    made = channels.take_cash(citizen, 20_000, "agent-east")
    assert (made.debt_fen, made.balance_fen) == (300, 19_700)
    assert channels.debt_fen(citizen) == 0
    with pytest.raises(DomainError, match="limit_exceeded"):
        channels.take_cash(citizen, 1, "agent-east")
    with pytest.raises(DomainError):  # a part of it is gone
        reverse(channels, made.topup_id, "agent-east")
