"""Top-ups against the sandbox bank: credited exactly once, whatever comes first or twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from backend.db import Units, Which
from backend.kernel import DomainError, ManualClock, new_id
from backend.wallet import AccountClosed, CeilingExceeded, WalletUnknown
from backend.wallet.bank import ChargeOutcome, ChargeState
from backend.wallet.ledger import AccountState
from backend.wallet.topups import RequestTopUp, TopUp, TopUpState, TopUpUnknown
from backend.wallet.topups.model import BankCardInvalid, TopUpExists
from backend.wallet.topups.tables import topup as topup_table
from tests.simulation.books import dump
from tests.simulation.money_world import BANK_CARD, Citizen, World, luhn_ended, operation

PAYS, LATE, DECLINES, LATE_DECLINE, TWICE, UNREACHABLE = 20_000, 101, 102, 103, 104, 105


@pytest.fixture
def citizen(world: World) -> Citizen:
    return world.citizen()


@dataclass
class Inbox:
    """Takes the bank's notices and keeps them; hands them on when told."""

    world: World
    kept: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)

    def collect(self) -> int:
        """What the bank sends now, not yet handed on."""

        def take(body: bytes, headers: Mapping[str, str]) -> bool:
            self.kept.append((body, dict(headers)))
            return True

        return self.world.bank.tick(take)

    def deliver(self) -> None:
        for body, headers in self.kept:
            self.world.topups.receive_notice(headers, body)


def seen(world: World, topup: TopUp) -> TopUp:
    return world.topups.get(topup.topup_id, topup.person_id)


def later(world: World, seconds: float = 5.0) -> None:
    world.clock.advance(timedelta(seconds=seconds))


# --- what the bank may do ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fen", "rounds", "failure_code"),
    [
        (PAYS, 1, None),
        (LATE, 2, None),
        (DECLINES, 1, "bank_insufficient_funds"),
        (LATE_DECLINE, 2, "bank_card_blocked"),
        (TWICE, 1, None),
        (UNREACHABLE, 3, None),
    ],
)
def test_every_manner_of_the_bank(
    world: World, citizen: Citizen, fen: int, rounds: int, failure_code: str | None
) -> None:
    state = TopUpState.FAILED if failure_code else TopUpState.SUCCEEDED
    asked = world.request_topup(citizen, fen)
    assert (asked.state, asked.bank_card_masked) == (TopUpState.PROCESSING, "····" + BANK_CARD[-4:])
    assert asked.ask_again_at is not None
    for _ in range(rounds):
        assert seen(world, asked).state is TopUpState.PROCESSING
        assert world.balance(citizen) == (0, 0)
        world.worker.deliver_due()
        later(world)
    done = seen(world, asked)
    assert (done.state, done.failure_code, done.ask_again_at) == (state, failure_code, None)
    credited = fen if state is TopUpState.SUCCEEDED else 0
    assert world.balance(citizen) == (credited, credited)
    for _ in range(3):  # notices, once or twice, and the worker again: nothing more happens
        world.take_notices()
        world.worker.deliver_due()
        later(world, 400)
    assert world.balance(citizen) == (credited, credited)
    assert seen(world, asked) == done
    assert world.bank.custody_balance_fen() == credited


def test_a_duplicate_notice_is_really_sent_twice(world: World, citizen: Citizen) -> None:
    world.request_topup(citizen, TWICE)
    world.worker.deliver_due()
    assert [world.take_notices() for _ in range(3)] == [1, 1, 0]
    assert world.balance(citizen) == (TWICE, TWICE)


def test_a_notice_the_receiver_did_not_take_is_sent_again(world: World, citizen: Citizen) -> None:
    world.request_topup(citizen, PAYS)
    world.worker.deliver_due()
    assert world.bank.tick(lambda _body, _headers: False) == 0
    assert world.take_notices() == 1


@pytest.mark.parametrize("fen", [LATE, LATE_DECLINE])
@pytest.mark.parametrize("order", list(permutations(["notice", "query", "crash"])))
def test_credited_once_in_any_order_of_notice_query_and_crash(
    world: World, citizen: Citizen, fen: int, order: tuple[str, ...]
) -> None:
    asked = world.request_topup(citizen, fen)
    world.worker.deliver_due()  # the order is out; no answer came
    later(world)
    inbox = Inbox(world)
    assert inbox.collect() == 1
    steps: dict[str, Callable[[], object]] = {
        "notice": inbox.deliver,
        "query": world.worker.deliver_due,
        "crash": lambda: world.bank.query(asked.topup_id),  # it asked, and died before settling
    }
    for step in order:
        steps[step]()
        later(world, 61)
    credited = fen if fen == LATE else 0
    assert world.balance(citizen) == (credited, credited)
    assert seen(world, asked).state is not TopUpState.PROCESSING


@pytest.mark.parametrize("fen", [PAYS, LATE, TWICE, UNREACHABLE])
def test_a_worker_killed_between_charge_and_settle_is_repaired_by_asking(
    world: World, citizen: Citizen, fen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: the bank took the money, then the process died; the lease ends and nothing doubles."""
    asked = world.request_topup(citizen, fen)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(world.topups), "settle", killed)
        for _ in range(4):
            if world.bank.custody_balance_fen():
                break
            _run_until_killed(world)
            later(world, 61)
    assert world.bank.custody_balance_fen() == fen
    assert world.balance(citizen) == (0, 0)
    for _ in range(3):
        later(world, 61)
        world.worker.deliver_due()
    assert world.balance(citizen) == (fen, fen)
    assert seen(world, asked).state is TopUpState.SUCCEEDED
    assert world.bank.custody_balance_fen() == fen


def _run_until_killed(world: World) -> None:
    try:
        world.worker.deliver_due()
    except KeyboardInterrupt:
        return


# --- who may, and how much --------------------------------------------------------------------


def test_the_ceiling_counts_top_ups_under_way(world: World, citizen: Citizen) -> None:
    world.request_topup(citizen, 300_001)  # late: under way
    before = dump(world.units)
    with pytest.raises(CeilingExceeded) as refusal:
        world.request_topup(citizen, 200_000)
    assert refusal.value.data["room_fen"] == 199_999
    assert refusal.value.article
    assert dump(world.units) == before
    world.request_topup(citizen, 199_999)
    for _ in range(3):
        world.worker.deliver_due()
        later(world)
    assert world.balance(citizen) == (500_000, 500_000)


def test_a_declined_top_up_makes_room_again(world: World, citizen: Citizen) -> None:
    world.request_topup(citizen, 499_902)
    world.worker.deliver_due()
    world.request_topup(citizen, 499_900)
    world.worker.deliver_due()
    assert world.balance(citizen) == (499_900, 499_900)


def test_refusals_of_a_request_change_nothing(world: World, citizen: Citizen) -> None:
    other = world.citizen()
    made = world.request_topup(citizen, LATE)
    before = dump(world.units)
    wrong = BANK_CARD[:-1] + str((int(BANK_CARD[-1]) + 1) % 10)
    mine = (citizen.person_id, new_id("top"), citizen.wallet_id, 100, BANK_CARD)
    cases: list[tuple[type[DomainError], tuple[Any, ...]]] = [
        (BankCardInvalid, (*mine[:4], wrong)),
        (WalletUnknown, (other.person_id, *mine[1:])),
        (WalletUnknown, (mine[0], mine[1], new_id("wal"), *mine[3:])),
        (TopUpExists, (mine[0], made.topup_id, *mine[2:])),
        (TopUpExists, (other.person_id, made.topup_id, other.wallet_id, LATE, BANK_CARD)),
    ]
    for refusal, values in cases:
        with pytest.raises(refusal):
            world.topups.request(RequestTopUp(*values), operation())
    world.set_state(citizen.wallet_id, AccountState.CLOSED)
    with pytest.raises(AccountClosed):
        world.topups.request(RequestTopUp(*mine), operation())
    world.set_state(citizen.wallet_id, AccountState.OPEN)
    assert dump(world.units) == before


def test_the_same_top_up_asked_under_another_key_is_one_top_up(
    world: World, citizen: Citizen
) -> None:
    """Goal: the id of the top-up decides, not the header of the request (money.md, promise 3)."""
    first = world.request_topup(citizen, PAYS)
    assert world.request_topup(citizen, PAYS, first.topup_id) == first
    world.worker.deliver_due()
    assert world.request_topup(citizen, PAYS, first.topup_id).state is TopUpState.SUCCEEDED
    world.worker.deliver_due()
    assert world.balance(citizen) == (PAYS, PAYS)


def test_a_top_up_of_somebody_else_is_unknown(world: World, citizen: Citizen) -> None:
    made = world.request_topup(citizen, PAYS)
    for person_id, topup_id in (
        (world.citizen().person_id, made.topup_id),
        (citizen.person_id, new_id("top")),
        (citizen.person_id, "top_\x00"),
    ):
        with pytest.raises(TopUpUnknown):
            world.topups.get(topup_id, person_id)


def test_money_paid_before_the_wallet_was_closed_still_arrives(
    world: World, citizen: Citizen
) -> None:
    world.request_topup(citizen, LATE)
    world.worker.deliver_due()
    world.set_state(citizen.wallet_id, AccountState.CLOSED)
    later(world)
    world.worker.deliver_due()
    assert world.balance(citizen) == (LATE, LATE)


def test_settling_by_hand_twice_credits_once(world: World, citizen: Citizen) -> None:
    made = world.request_topup(citizen, LATE)
    for state, reference in product((ChargeState.PAID, ChargeState.DECLINED), ("a", "b")):
        said = ChargeOutcome(state, reference, amount_fen=LATE, card_end=BANK_CARD[-4:])
        world.topups.settle(made.topup_id, said)
    assert world.balance(citizen) == (LATE, LATE)


# --- what is kept -------------------------------------------------------------------------------


def test_the_card_number_cannot_be_read_anywhere(
    world: World, units: Units, tmp_path: Path, clock: ManualClock
) -> None:
    """Goal: in no table, no outbox row, no file of the bank, no text of a command."""
    number = luhn_ended("621799887766554433")
    owner = world.citizen()
    command = RequestTopUp(owner.person_id, new_id("top"), owner.wallet_id, PAYS, number)
    assert number not in repr(command)
    assert number not in repr(world.topups.request(command, operation()))
    assert number not in str(dump(units, but=()))
    world.worker.deliver_due()
    assert number not in str(dump(units, but=()))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "bank.db" for path in files)
    for path in files:
        assert number.encode() not in path.read_bytes(), path.name


def test_a_card_number_is_sealed_anew_for_each_top_up(world: World, citizen: Citizen) -> None:
    """Goal: nobody can tell from the rows that two top-ups came from one card."""
    made = [world.request_topup(citizen, PAYS) for _ in range(2)]
    with world.units.read(Which.LEDGER) as work:
        count = work.execute(
            select(func.count(topup_table.c.bank_card_sealed.distinct()))
        ).scalar_one()
    assert count == len(made)
