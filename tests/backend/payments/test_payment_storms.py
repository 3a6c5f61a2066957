"""Storms over two processes: the last fen is spent once, and never more comes back than was paid.

Short in the normal run; CITY_STORM=long for the figures of a night.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.db import Databases, Units
from backend.kernel import ManualClock, new_id
from backend.keys import SoftwareKeys
from backend.merchants import TerminalFacts
from backend.payments.model import Owner, RefundPayment
from backend.payments.states import State
from tests.simulation.books import dump
from tests.simulation.money_world import Citizen, World, join, operation, owner_of
from tests.simulation.storm import IS_LONG, Call, another_process, dice, listen, storm

CLIENTS = 32
ROUNDS = 200 if IS_LONG else 6
PAYMENTS = 5_000 if IS_LONG else 60
REFUNDS_EACH = 8
HOLDS = 60  # of 200; taps arrive in any order inside their window
Both = tuple[World, World]


@pytest.fixture
def world(units: Units, keys: SoftwareKeys, clock: ManualClock, tmp_path: Path) -> World:
    return join(units, keys, clock, tmp_path, uses_max=10_000)


@pytest.fixture
def both(
    world: World, databases: Databases, keys: SoftwareKeys, clock: ManualClock, tmp_path: Path
) -> Iterator[Both]:
    """The same city in two processes."""
    with another_process(databases, clock) as elsewhere:
        yield world, join(elsewhere, keys, clock, tmp_path, uses_max=10_000)


def _two_hundred(both: Both, till: TerminalFacts, payer: Citizen, content: str) -> list[Call]:
    """200 payments of 1 元: holds, taps and codes, at either process in turn."""
    calls: list[Call] = []
    for number in range(200):
        at = both[number % 2]
        if number < HOLDS:
            tap = payer.card.tap(till, 100)
            capture = number % 6 == 0
            calls.append(lambda at=at, tap=tap, now=capture: at.sell(till, tap, 100, capture=now))
        else:
            calls.append(lambda at=at: at.pay_code_of(payer, content, 100))
    return calls


def test_a_hundred_yuan_are_spent_a_hundred_times_holds_included(
    both: Both, till: TerminalFacts
) -> None:
    world = both[0]
    throw = dice("a hundred yuan")
    content = world.codes.make_for_shop(till.shop_id).content
    for _ in range(ROUNDS):
        payer = world.citizen(10_000)
        owed_fen = world.payable_fen(till.merchant_id)
        calls = _two_hundred(both, till, payer, content)
        throw.shuffle(calls)
        heard = storm(calls, CLIENTS)
        assert (len(heard.done), heard.refused) == (100, Counter(insufficient_funds=100))
        held = [one for one in heard.done if one.state is State.AUTHORISED]
        taken_fen = 100 * (100 - len(held))
        assert world.balance(payer) == (10_000 - taken_fen, 0)
        assert world.payable_fen(till.merchant_id) == owed_fen + taken_fen
        _decide_holds(both, till, held, throw)
        captured = [world.sales.get(one.payment_id, owner_of(till)) for one in held]
        taken_fen += sum(one.captured_fen for one in captured)
        assert world.balance(payer) == (10_000 - taken_fen, 10_000 - taken_fen)


def _decide_holds(both: Both, till: TerminalFacts, held: list[Any], throw: random.Random) -> None:
    """Capture and void every hold from both sides at once: one of them wins, once."""
    calls: list[Call] = []
    for one in held:
        fen = throw.choice([None, 1, 99])
        for number, at in enumerate(both):
            sales, name = at.sales, one.payment_id
            if number:
                calls.append(
                    lambda s=sales, n=name, f=fen: s.capture(n, f, owner_of(till), operation())
                )
            else:
                calls.append(lambda s=sales, n=name: s.void(n, owner_of(till), operation()))
    if calls:
        heard = storm(calls, CLIENTS)
        assert len(heard.done) == len(held)
        assert set(heard.refused) <= {"payment_state_conflict"}


def _sell_many(world: World, tills: list[TerminalFacts], throw: random.Random) -> dict[str, int]:
    """Payments by id, each a few yuan of one of ten citizens."""
    payers = [world.citizen(490_000) for _ in range(10)]
    contents = [world.codes.make_for_shop(one.shop_id).content for one in tills]
    paid: dict[str, int] = {}
    for number in range(PAYMENTS):
        fen = throw.randint(1, 900)
        content = contents[number % len(contents)]
        sold = world.pay_code_of(payers[number % 10], content, fen)
        paid[sold.payment_id] = fen
    return paid


def test_a_storm_of_refunds_never_gives_back_more_than_was_paid(both: Both) -> None:
    """Each payment is refunded eight times at once, in parts, at both processes; and refunds of
    refunds are tried in between."""
    world = both[0]
    throw = dice("refunds")
    tills = [world.terminal(world.shop(world.merchant(name))) for name in ("甲", "乙", "丙")]
    paid = _sell_many(world, tills, throw)
    owners = [Owner(merchant_id=one.merchant_id) for one in tills]
    made: list[RefundPayment] = []
    calls: list[Call] = []
    for number, (payment_id, fen) in enumerate(paid.items()):
        for turn in range(REFUNDS_EACH):
            part = max(1, throw.choice([fen // 2, fen // 3, fen, throw.randint(1, fen)]))
            wanted = RefundPayment(payment_id, new_id("ref"), part, "")
            made.append(wanted)
            at, owner = both[(number + turn) % 2], owners[number % len(owners)]
            calls.append(lambda a=at, w=wanted, o=owner: a.sales.refund(w, o, operation()))
            if turn == 0:
                again = RefundPayment(wanted.refund_id, new_id("ref"), 1, "")
                calls.append(lambda a=at, w=again, o=owner: a.sales.refund(w, o, operation()))
    throw.shuffle(calls)
    heard = storm(calls, CLIENTS)
    assert heard.refused["payment_unknown"] == PAYMENTS  # a refund is no payment
    assert set(heard.refused) <= {
        "payment_unknown",
        "refund_exceeds_remaining",
        "payment_state_conflict",
    }
    back: dict[str, int] = defaultdict(int)
    for one in heard.done:
        back[one.payment_id] += one.amount_fen
    for number, (payment_id, fen) in enumerate(paid.items()):
        payment = world.sales.get(payment_id, owners[number % len(owners)])
        assert payment.refunded_fen == back[payment_id] <= fen
    assert {one.refund_id for one in heard.done} == _refund_ids(world)
    _every_refusal_changes_nothing(both, paid, owners, throw)


def _refund_ids(world: World) -> set[str]:
    rows = dump(world.units)["ledger.refund"]
    return {row.split("'")[3] for row in rows}


def _every_refusal_changes_nothing(
    both: Both, paid: dict[str, int], owners: list[Any], throw: random.Random
) -> None:
    """What is left of each payment, and one fen more: refused at once from both sides."""
    world = both[0]
    calls: list[Call] = []
    for number, payment_id in enumerate(list(paid)[:60]):
        owner = owners[number % len(owners)]
        left_fen = world.sales.get(payment_id, owner).refundable_fen
        for at in both:
            wanted = RefundPayment(payment_id, new_id("ref"), left_fen + throw.randint(1, 9), "")
            calls.append(lambda a=at, w=wanted, o=owner: a.sales.refund(w, o, operation()))
    before = dump(world.units)
    heard = storm(calls, CLIENTS)
    assert heard.done == []
    assert dump(world.units) == before


def test_money_goes_round_in_both_processes_and_none_is_lost(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sales, holds, captures, refunds and reversals of few wallets and shops, in any order: ranks
    and orders of locks let nobody wait in a circle."""
    world, complaints = both[0], listen(monkeypatch)
    throw = dice("round")
    tills = [world.terminal(world.shop(world.merchant(name))) for name in ("甲", "乙")]
    contents = [world.codes.make_for_shop(one.shop_id).content for one in tills]
    payers = [world.citizen(20_000) for _ in range(3)]
    calls: list[Call] = []

    def life(at: World, payer: Citizen, number: int, fen: int, then: str) -> Call:
        till, owner = tills[number], owner_of(tills[number])
        tap = payer.card.tap(till, fen)

        def run() -> Any:
            if then == "code":
                return at.pay_code_of(payer, contents[number], fen)
            sold = at.sell(till, tap, fen, capture=then not in ("capture", "void")).payment_id
            other = both[0] if at is both[1] else both[1]
            if then == "refund":
                wanted = RefundPayment(sold, new_id("ref"), max(1, fen // 2), "")
                return other.sales.refund(wanted, owner, operation())
            if then == "capture":
                return other.sales.capture(sold, max(1, fen // 2), owner, operation())
            if then == "void":
                return other.sales.void(sold, owner, operation())
            return other.sales.reverse(sold, owner, operation())

        return run

    for number in range(3_000 if IS_LONG else 150):
        then = ("code", "refund", "capture", "void", "reverse", "code")[number % 6]
        payer = payers[number % 3]
        calls.append(life(throw.choice(both), payer, number % 2, throw.randint(1, 300), then))
    heard = storm(calls, 64)
    assert set(heard.refused) <= {"insufficient_funds", "atc_out_of_window"}
    assert complaints.heard == []
    owed = sum(world.balance(one)[0] for one in payers)
    owed += sum(world.payable_fen(one.merchant_id) for one in tills)
    assert owed == 60_000


def test_one_id_at_two_processes_at_once_is_one_payment(both: Both, till: TerminalFacts) -> None:
    """Goal: an upload that is repeated at another process while the first is under way."""
    world = both[0]
    payer = world.citizen(10_000)
    content = world.codes.make_for_shop(till.shop_id).content
    ids = [new_id("pay") for _ in range(40)]
    calls: list[Call] = [
        lambda at=at, name=name: at.pay_code_of(payer, content, 10, name)
        for name in ids
        for at in (*both, *both)
    ]
    dice("one id").shuffle(calls)
    heard = storm(calls, CLIENTS)
    assert len(heard.done) == 160
    assert len(set(heard.done)) == 40
    assert world.balance(payer) == (9_600, 9_600)
