"""Random transfers between few accounts from many clients and two processes: no deadlock is
heard, no fen is lost.

Short in the normal run; CITY_STORM=long for the figures of a night.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date
from itertools import count

import pytest

from backend.db import Databases, Units, Which, Work
from backend.kernel import ManualClock, Words
from backend.wallet.accounts import CHANNEL_BANK, house_accounts, wallet_account
from backend.wallet.ledger import (
    Ledger,
    Leg,
    Limit,
    Limits,
    Period,
    Post,
    Transfer,
    reading,
    tables,
)
from tests.simulation.money_world import operation
from tests.simulation.storm import IS_LONG, Call, another_process, dice, listen, storm

CLIENTS = 64
TRANSFERS = 64 * 500 if IS_LONG else 64 * 10
ROUNDS = 50 if IS_LONG else 4
ACCOUNTS = [f"wal_{number}" for number in range(10)]
START_FEN = 50_000
DAY_FEN = 10_000
serial = count(1)
BOOK = Ledger(
    Limits(
        [
            Limit(
                rule="day",
                account_class="registered",
                counter="spend",
                period=Period.DAY,
                amount_max_fen=DAY_FEN,
                times_max=None,
                effective_from=date(2020, 1, 1),
                article=Words(zh="办法", en="Measures"),
            )
        ]
    )
)


@pytest.fixture
def both(units: Units, databases: Databases, clock: ManualClock) -> Iterator[tuple[Units, Units]]:
    """Ten wallets with 500 元 each, in two processes."""
    with units.write(Which.LEDGER) as work:
        for account in house_accounts():
            BOOK.open_account(work.rows, account)
        for name in ACCOUNTS:
            BOOK.open_account(work.rows, wallet_account(name, "registered"))
            leg = Leg(CHANNEL_BANK, name, START_FEN)
            BOOK.post(work.rows, Transfer(f"top_{name}", "top_up", (leg,)))
    with another_process(databases, clock) as elsewhere:
        yield units, elsewhere


def _random_transfer(throw: random.Random) -> Transfer:
    """2 to 6 legs, each between two of the ten accounts."""
    legs = []
    for _ in range(throw.randint(2, 6)):
        debit, credit = throw.sample(ACCOUNTS, 2)
        legs.append(Leg(debit, credit, throw.randint(1, 9_000)))
    return Transfer(f"op_{next(serial)}", "own_transfer", tuple(legs))


def _alone(units: Units, transfer: Transfer) -> None:
    """In a transaction of its own, beside the group's: its locks meet theirs."""

    def decide(work: Work) -> str:
        BOOK.need_transfer(work.rows, transfer)
        work.rows.load()
        BOOK.post(work.rows, transfer)
        return transfer.operation_id

    units.once(Which.LEDGER, operation(transfer.operation_id), decide)


def _balances(units: Units) -> dict[str, int]:
    with units.read(Which.LEDGER) as work:
        found = BOOK.accounts(work.rows, ACCOUNTS)
    return {name: account.balance_fen for name, account in found.items()}


def test_random_legs_over_ten_accounts_meet_no_deadlock(
    both: tuple[Units, Units], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that a deadlock is healed: locks are asked for in one order, so there is none."""
    complaints = listen(monkeypatch)
    throw = dice("legs")
    transfers = [_random_transfer(throw) for _ in range(TRANSFERS)]
    calls: list[Call] = []
    for number, one in enumerate(transfers):
        units = both[number % 2]
        if number % 5 == 0:
            calls.append(lambda u=units, t=one: _alone(u, t))
        else:
            calls.append(lambda u=units, t=one: u.decide(Which.LEDGER, Post(BOOK, t)))
    heard = storm(calls, CLIENTS)
    assert set(heard.refused) <= {"insufficient_funds"}
    assert complaints.heard == []
    with both[0].read(Which.LEDGER) as work:
        posted = {
            one.operation_id for one in transfers if BOOK.is_posted(work.rows, one.operation_id)
        }
        totals = reading.totals(work)
    assert len(posted) == len(heard.done) > 0
    wanted = dict.fromkeys(ACCOUNTS, START_FEN)
    for one in transfers:
        for leg in one.legs if one.operation_id in posted else ():
            wanted[leg.debit] -= leg.amount_fen
            wanted[leg.credit] += leg.amount_fen
    assert _balances(both[0]) == wanted
    assert totals.debits_fen == totals.credits_fen


def test_a_transfer_posted_from_both_sides_at_once_is_posted_once(
    both: tuple[Units, Units],
) -> None:
    transfers = [
        Transfer(f"same_{n}", "own_transfer", (Leg("wal_0", "wal_1", 7),)) for n in range(60)
    ]
    calls: list[Call] = [
        lambda u=units, t=one: u.decide(Which.LEDGER, Post(BOOK, t))
        for one in transfers
        for units in (*both, *both)
    ]
    dice("same").shuffle(calls)
    heard = storm(calls, CLIENTS)
    assert not heard.refused
    assert sum(not one.is_repeated for one in heard.done) == 60
    assert _balances(both[0])["wal_0"] == START_FEN - 420


def test_the_last_fen_of_a_day_is_used_once(both: tuple[Units, Units]) -> None:
    """Goal: two processes race for what a day's limit leaves: exactly the limit is spent."""
    throw = dice("limit")
    for round_number in range(ROUNDS):
        name = ACCOUNTS[round_number % 10]
        if round_number >= 10:
            with both[0].write(Which.LEDGER) as work:
                work.execute(tables.usage.delete())
        fen = throw.choice([100, 300, 999, 2_500])
        before_fen = _balances(both[0])[name]
        calls: list[Call] = []
        for number in range(2 * (DAY_FEN // fen) + 8):
            leg = Leg(name, CHANNEL_BANK, fen)
            spent = Transfer(f"spend_{next(serial)}", "payment", (leg,), counts=("spend",))
            units = both[number % 2]
            calls.append(lambda u=units, t=spent: u.decide(Which.LEDGER, Post(BOOK, t)))
        heard = storm(calls, CLIENTS)
        assert set(heard.refused) == {"limit_exceeded"}
        assert len(heard.done) == DAY_FEN // fen
        assert _balances(both[0])[name] == before_fen - len(heard.done) * fen
        spent_fen = before_fen - _balances(both[0])[name]
        assert 0 < spent_fen <= DAY_FEN
        back = Transfer(f"back_{next(serial)}", "top_up", (Leg(CHANNEL_BANK, name, spent_fen),))
        both[1].decide(Which.LEDGER, Post(BOOK, back))
