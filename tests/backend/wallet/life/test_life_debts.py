"""Ride debt, own transfers and replacement: whose money it is, and that it is all there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from life_world import STAFF, Life

from backend.kernel import new_id
from backend.wallet import CeilingExceeded, InsufficientFunds, Limits, WalletUnknown
from backend.wallet.accounts import WRITE_OFFS, ride_debt_id
from backend.wallet.ledger import AccountState
from backend.wallet.life.errors import (
    RideDebtExceeded,
    RideDebtOpen,
    RideDebtUnknown,
    TransferExists,
    WalletBusy,
    WriteOffExists,
)
from backend.wallet.life.model import MoveOwn, OpenDebt, ReplaceWallet, WriteOff
from tests.simulation.books import dump
from tests.simulation.money_world import CEILING, operation


def owed(life: Life, wallet_id: str) -> int:
    return life.account(ride_debt_id(wallet_id)).balance_fen


@pytest.mark.parametrize(
    ("balance_fen", "fare_fen", "paid"),
    [(500, 200, (200, 0)), (200, 200, (200, 0)), (50, 200, (50, 150)), (0, 1_000, (0, 1_000))],
)
def test_the_wallet_gives_what_it_has(
    life: Life, balance_fen: int, fare_fen: int, paid: tuple[int, int]
) -> None:
    citizen = life.world.citizen(balance_fen)
    assert life.ride(citizen, fare_fen) == paid
    assert life.world.balance(citizen)[0] == balance_fen - paid[0]
    assert [one.owed_fen for one in life.debts.open_debts(limit=5, after=None)[0]] == [
        paid[1]
    ] * bool(paid[1])


def test_one_ride_into_the_red_and_within_the_figure(life: Life) -> None:
    citizen = life.world.citizen(100)
    before = dump(life.world.units)
    with pytest.raises(RideDebtExceeded) as refusal:
        life.ride(citizen, 1_101)
    assert refusal.value.data == {"short_by_fen": 1_001, "limit_fen": 1_000}
    assert refusal.value.article
    assert dump(life.world.units) == before
    life.ride(citizen, 1_100)
    with pytest.raises(RideDebtOpen):
        life.ride(citizen, 1)
    life.refunded(citizen, 300)
    assert life.ride(citizen, 300) == (300, 0)  # what is there may still be ridden


def test_without_a_figure_nobody_may_owe(life: Life) -> None:
    citizen = life.world.citizen(100)
    strict = replace(life.debts, ledger=replace(life.world.ledger, limits=Limits([CEILING])))
    with pytest.raises(RideDebtExceeded):
        replace(life, debts=strict).ride(citizen, 101)


def test_a_frozen_empty_wallet_gets_no_ride_on_credit(life: Life) -> None:
    citizen = life.world.citizen()
    life.world.set_state(citizen.wallet_id, AccountState.FROZEN)
    with pytest.raises(Exception, match="wallet_frozen"):
        life.ride(citizen, 100)
    with pytest.raises(WalletUnknown):
        life.ride(replace(citizen, wallet_id=new_id("wal")), 100)


def test_redemption_pays_the_ride_first(life: Life) -> None:
    citizen = life.rich(100)
    life.ride(citizen, 400)
    life.refunded(citizen, 1_000)
    with pytest.raises(InsufficientFunds):
        life.redeem(citizen, 701)
    assert owed(life, citizen.wallet_id) == 300
    life.redeem(citizen, 700)
    assert (owed(life, citizen.wallet_id), life.world.balance(citizen)) == (0, (700, 0))


def test_open_debts_page_by_wallet(life: Life) -> None:
    riders = sorted((life.world.citizen() for _ in range(5)), key=lambda one: one.wallet_id)
    for rider in riders:
        life.ride(rider, 200)
    life.refunded(riders[2], 500)
    life.redeem(life.rich(500), 100)
    pages, after = [], None
    while True:
        page, after = life.debts.open_debts(limit=2, after=after)
        pages.append(page)
        if after is None:
            break
    assert [len(page) for page in pages] == [2, 2, 1]
    found = [one for page in pages for one in page]
    assert found == [OpenDebt(one.wallet_id, 200) for one in riders]


def test_a_debt_is_written_off_once_with_a_reason(life: Life) -> None:
    citizen = life.world.citizen()
    wanted = WriteOff(STAFF, new_id("wof"), citizen.wallet_id, "死亡")
    with pytest.raises(RideDebtUnknown):
        life.debts.write_off(wanted, operation())
    life.ride(citizen, 250)
    done = life.debts.write_off(wanted, operation())
    assert (done.amount_fen, done.reason, done.staff_id) == (250, "死亡", STAFF)
    assert life.debts.write_off(wanted, operation()) == done
    with pytest.raises(WriteOffExists):
        life.debts.write_off(replace(wanted, reason="other"), operation())
    assert (owed(life, citizen.wallet_id), life.account(WRITE_OFFS).balance_fen) == (0, 250)
    assert life.debts.open_debts(limit=5, after=None) == ([], None)
    for strange in ("wal_x:y", "a:b", "wal_" + "9" * 90):
        with pytest.raises(RideDebtUnknown):
            life.debts.write_off(replace(wanted, wallet_id=strange), operation())


# --- between one's own wallets --------------------------------------------------------------------


def test_an_own_transfer_moves_once(life: Life) -> None:
    citizen = life.world.citizen(20_000)
    second = life.second_wallet(citizen)
    move = MoveOwn(citizen.person_id, new_id("trf"), citizen.wallet_id, second, 4_000)
    done = life.own.transfer(move, operation())
    assert (done.amount_fen, done.balance_fen) == (4_000, 16_000)
    assert life.own.transfer(move, operation()) == done
    assert life.account(second).balance_fen == 4_000
    with pytest.raises(TransferExists):
        life.own.transfer(replace(move, amount_fen=4_001), operation())
    with pytest.raises(InsufficientFunds):
        life.own.transfer(replace(move, transfer_id=new_id("trf"), amount_fen=16_001), operation())


def test_own_means_own(life: Life) -> None:
    citizen, other = life.world.citizen(20_000), life.world.citizen(490_000)
    second = life.second_wallet(citizen)
    before = dump(life.world.units)
    for from_id, to_id in [
        (citizen.wallet_id, other.wallet_id),
        (other.wallet_id, citizen.wallet_id),
        (citizen.wallet_id, citizen.wallet_id),
        (citizen.wallet_id, new_id("wal")),
        ("channel:bank", citizen.wallet_id),
    ]:
        move = MoveOwn(citizen.person_id, new_id("trf"), from_id, to_id, 1)
        with pytest.raises(WalletUnknown):
            life.own.transfer(move, operation())
        swap = ReplaceWallet(citizen.person_id, new_id("rep"), from_id, to_id)
        with pytest.raises(WalletUnknown):
            life.own.replace(swap, operation())
    assert dump(life.world.units) == before
    rich = life.second_wallet(other)
    life.own.transfer(
        MoveOwn(other.person_id, new_id("trf"), other.wallet_id, rich, 20_000), operation()
    )
    life.world.fund(other, 30_000)
    with pytest.raises(CeilingExceeded):
        life.own.transfer(
            MoveOwn(other.person_id, new_id("trf"), rich, other.wallet_id, 1), operation()
        )
    assert life.account(second).balance_fen == 0


def test_a_replacement_gets_everything_and_the_old_one_closes(life: Life) -> None:
    citizen = life.rich(20_000)
    new = life.second_wallet(citizen)
    held = life.redeem(citizen, 5_000)
    swap = ReplaceWallet(citizen.person_id, new_id("rep"), citizen.wallet_id, new)
    with pytest.raises(WalletBusy):
        life.own.replace(swap, operation())
    life.bank_speaks()
    assert life.redemptions.get(held.redemption_id, citizen.person_id).settled_at
    done = life.own.replace(swap, operation())
    assert (done.amount_fen, life.account(new).balance_fen) == (15_000, 15_000)
    assert life.state(citizen) == "closed"
    assert [one.wallet_id for one in life.world.wallets.of_person(citizen.person_id)] == [new]
