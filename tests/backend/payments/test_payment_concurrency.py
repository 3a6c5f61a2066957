"""Many at once, in threads, on both engines: money is spent once and nobody meets a deadlock."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest

from backend.db import Units
from backend.kernel import DomainError, ManualClock, new_id
from backend.keys import SoftwareKeys
from backend.merchants import MakeCode, TerminalFacts
from backend.payments import admission
from backend.payments.model import RefundPayment
from backend.payments.states import State
from tests.simulation.money_world import Citizen, World, join, operation, owner_of

THREADS = 12


def at_once(calls: Sequence[Callable[[], Any]]) -> tuple[list[Any], Counter[str]]:
    """Run the calls on threads that start together: what succeeded, and refusals by code.

    Anything but a refusal (a deadlock, a driver's error) fails the test.
    """
    threads = min(THREADS, len(calls))
    start = Barrier(threads)
    done: list[Any] = []
    refused: Counter[str] = Counter()

    def work(share: Sequence[Callable[[], Any]]) -> None:
        start.wait(timeout=30)
        for call in share:
            try:
                done.append(call())
            except DomainError as refusal:
                refused[refusal.code] += 1

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(work, calls[number::threads]) for number in range(threads)]:
            future.result(timeout=60)
    assert "database_unavailable" not in refused
    return done, refused


def again_while_busy(call: Callable[[], Any]) -> Any:
    """What a terminal does with a refusal that says `retryable`: ask again, a few times."""
    for _ in range(20):
        try:
            return call()
        except DomainError as refusal:
            if refusal.code not in ("concurrent_change", "operation_running"):
                raise
    raise AssertionError("busy for twenty times")


@pytest.fixture
def world(units: Units, keys: SoftwareKeys, clock: ManualClock, tmp_path: Any) -> World:
    return join(units, keys, clock, tmp_path, uses_max=1_000)


def test_a_hundred_yuan_are_spent_a_hundred_times(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    content = world.codes.make_for_shop(till.shop_id).content
    done, refused = at_once([lambda: world.pay_code_of(citizen, content, 100)] * 200)
    assert (len(done), dict(refused)) == (100, {"insufficient_funds": 100})
    assert world.balance(citizen) == (0, 0)
    assert world.payable_fen(till.merchant_id) == 10_000
    assert sorted(one.balance_fen for one in done) == [100 * number for number in range(100)]


def test_taps_and_holds_together_never_exceed_the_balance(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    taps = [citizen.card.tap(till, 900) for _ in range(30)]
    calls = [
        lambda tap=tap, capture=bool(number % 2): world.sell(till, tap, 900, capture=capture)
        for number, tap in enumerate(taps)
    ]
    done, refused = at_once(calls)
    assert (len(done), dict(refused)) == (11, {"insufficient_funds": 19})
    captured = sum(one.captured_fen for one in done)
    assert world.balance(citizen) == (10_000 - captured, 100)


def test_a_storm_of_refunds_gives_back_what_was_paid(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    paid = world.tap_sale(till, citizen, 1_000).payment_id

    def give_back() -> Any:
        wanted = RefundPayment(paid, new_id("ref"), 150, "")
        return world.sales.refund(wanted, owner_of(till), operation())

    done, refused = at_once([give_back] * 40)
    assert (len(done), dict(refused)) == (6, {"refund_exceeds_remaining": 34})
    assert sorted(one.remaining_fen for one in done) == [100, 250, 400, 550, 700, 850]
    assert world.balance(citizen) == (9_900, 9_900)


def test_one_refund_id_in_many_hands_is_one_refund(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    first, second = (world.tap_sale(till, citizen, 1_000).payment_id for _ in range(2))
    refund_id = new_id("ref")

    def give_back(payment_id: str) -> Any:
        wanted = RefundPayment(payment_id, refund_id, 100, "")
        return again_while_busy(lambda: world.sales.refund(wanted, owner_of(till), operation()))

    calls = [lambda one=one: give_back(one) for one in (first, second) * 8]
    done, refused = at_once(calls)
    assert len({one.payment_id for one in done}) == 1
    assert set(refused) == {"refund_exists"}
    assert world.balance(citizen) == (8_100, 8_100)


def test_one_payment_id_in_many_hands_is_one_payment(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    """Goal: an upload repeated from every side hears one answer and charges once."""
    taps = [citizen.card.tap(till, 700) for _ in range(24)]
    named: dict[str, Any] = {"payment_id": new_id("pay"), "counter": 4_000}
    done, refused = at_once([lambda tap=tap: world.sell(till, tap, 700, **named) for tap in taps])
    assert not refused
    assert len(done) == 24
    assert len(set(done)) == 1
    assert world.balance(citizen) == (9_300, 9_300)


def test_one_link_payment_in_many_hands_is_one_payment(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    content = world.codes.make_for_shop(till.shop_id).content
    payment_id = new_id("pay")
    done, refused = at_once([lambda: world.pay_code_of(citizen, content, 700, payment_id)] * 24)
    assert (len(done), len(set(done)), dict(refused)) == (24, 1, {})
    assert world.balance(citizen) == (9_300, 9_300)


def test_one_key_in_many_hands_is_one_command(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    """Goal: the second with a key is told to wait or hears the answer; it never runs again."""
    tap = citizen.card.tap(till, 700)
    outcomes: Counter[str] = Counter()

    def ask() -> None:
        try:
            world.sell(till, tap, 700, payment_id=payment_id, counter=9, key="k")
            outcomes["done"] += 1
        except DomainError as refusal:
            outcomes[refusal.code] += 1
        except Exception as other:
            outcomes[type(other).__name__] += 1

    payment_id = new_id("pay")
    at_once([ask] * 24)
    assert outcomes["done"] == 1
    assert set(outcomes) <= {"done", "operation_running", "AnsweredBefore"}
    assert world.balance(citizen) == (9_300, 9_300)


@pytest.mark.parametrize("what", ["counter", "tap", "pay_code", "bill"])
def test_what_is_good_once_is_used_once(
    world: World, till: TerminalFacts, citizen: Citizen, what: str
) -> None:
    """Goal: a terminal's counter, an ATC, a pay code, a bill: two sales at once, one payment."""
    neighbour = world.terminal(till.shop_id)
    tap, shown = citizen.card.tap(till, 700), citizen.card.pay_code(world.clock.now())
    taps = iter([citizen.card.tap(till, 700) for _ in range(16)])
    bill = world.codes.make_for_terminal(MakeCode(till.terminal_id, "B1", 700), operation())
    payers = [citizen, world.citizen(10_000)]
    pays: dict[str, Callable[[int], Any]] = {
        "counter": lambda _: world.sell(till, next(taps), 700, counter=4_000),
        "tap": lambda _: world.sell(till, tap, 700),
        "pay_code": lambda number: world.sell((till, neighbour)[number % 2], shown, 700),
        "bill": lambda number: world.pay_code_of(payers[number % 2], bill.content, 700),
    }
    code = {
        "counter": "terminal_counter_seen",
        "tap": "atc_seen",
        "pay_code": "pay_code_used",
        "bill": "bill_paid",
    }[what]
    pay = pays[what]
    done, refused = at_once(
        [lambda number=number: again_while_busy(lambda: pay(number)) for number in range(16)]
    )
    assert (len(done), dict(refused)) == (1, {code: 15})
    assert sum(world.balance(one)[0] for one in payers) == 19_300


def test_a_sale_and_its_reversal_at_once_charge_nothing(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    """Goal: whichever comes first, who heard "reversed" is never charged."""
    for _ in range(12):
        tap, payment_id = citizen.card.tap(till, 700), new_id("pay")
        calls = [
            lambda tap=tap, one=payment_id: world.sell(till, tap, 700, payment_id=one),
            lambda one=payment_id: world.sales.reverse(one, owner_of(till), operation()),
        ]
        done, refused = at_once(calls)
        assert set(refused) <= {"payment_reversed"}
        assert len(done) + refused.total() == 2
    assert world.balance(citizen) == (10_000, 10_000)
    assert world.payable_fen(till.merchant_id) == 0


def test_a_hold_is_decided_once_by_many(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    held = world.tap_sale(till, citizen, 900, capture=False).payment_id
    owner = owner_of(till)
    calls: list[Callable[[], Any]] = [
        lambda: world.sales.capture(held, 400, owner, operation()),
        lambda: world.sales.void(held, owner, operation()),
    ] * 8
    done, refused = at_once(calls)
    assert (len(done), dict(refused)) == (1, {"payment_state_conflict": 15})
    assert world.balance(citizen)[0] == (9_600 if done[0].state is State.CAPTURED else 10_000)


def test_everything_at_once_over_few_accounts(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    """Goal: payments, captures, refunds, reversals and top-ups in any order; the books are right.

    The audit after the test derives every balance again.
    """
    citizens = [citizen, world.citizen(10_000), world.citizen(10_000)]
    tills = [till, world.terminal(world.shop(world.merchant("城西超市")))]
    contents = [world.codes.make_for_shop(one.shop_id).content for one in tills]
    dice = random.Random(20261123)
    calls: list[Callable[[], Any]] = []

    def sale(payer: Citizen, at: TerminalFacts, fen: int) -> None:
        tap, owner = payer.card.tap(at, fen), owner_of(at)
        then = dice.choice(("keep", "refund", "capture", "void", "reverse"))

        def run() -> Any:
            capture = then in ("keep", "refund", "reverse")
            paid = world.sell(at, tap, fen, capture=capture).payment_id
            if then == "refund":
                wanted = RefundPayment(paid, new_id("ref"), fen // 2, "")
                return world.sales.refund(wanted, owner, operation())
            if then == "capture":
                return world.sales.capture(paid, fen // 2, owner, operation())
            if then == "void":
                return world.sales.void(paid, owner, operation())
            if then == "reverse":
                return world.sales.reverse(paid, owner, operation())
            return paid

        calls.append(run)

    for _ in range(60):
        sale(dice.choice(citizens), dice.choice(tills), dice.randint(2, 900))
    for payer in citizens * 6:
        fen = dice.randint(1, 9) * 100
        calls.append(lambda payer=payer, fen=fen: world.fund(payer, fen))
        content = dice.choice(contents)
        calls.append(lambda payer=payer, text=content: world.pay_code_of(payer, text, 333))
    dice.shuffle(calls)
    done, refused = at_once(calls)
    assert set(refused) <= {"insufficient_funds"}
    assert len(done) + refused.total() == len(calls)
    world.worker.deliver_due()
    proof = world.proof.prove()
    assert proof.balanced
    assert proof.owed_fen == proof.channel_receivable_fen == proof.bank_reported_fen
    owed = sum(world.balance(one)[0] for one in citizens)
    owed += sum(world.payable_fen(one.merchant_id) for one in tills)
    assert owed == proof.owed_fen


def test_a_reversal_in_the_middle_of_its_sale_waits_for_it(
    world: World, till: TerminalFacts, citizen: Citizen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: the sale has looked for a reversal and found none; the reversal comes at that moment.

    Deciding side by side, both would succeed: "reversed" printed, and the citizen charged.
    """
    payment_id, tap = new_id("pay"), citizen.card.tap(till, 700)
    inside, reversed_ = Event(), Event()
    check_unused = admission.check_unused

    def paused(*arguments: Any) -> None:
        inside.set()
        reversed_.wait(timeout=0.4)  # long enough for a reversal that does not wait for us
        check_unused(*arguments)

    def reverse() -> None:
        assert inside.wait(timeout=30)
        world.sales.reverse(payment_id, owner_of(till), operation())
        reversed_.set()

    monkeypatch.setattr(admission, "check_unused", paused)
    at_once([lambda: world.sell(till, tap, 700, payment_id=payment_id), reverse])
    assert reversed_.is_set()
    assert world.balance(citizen) == (10_000, 10_000)
    assert world.sales.get(payment_id, owner_of(till)).state is State.REVERSED
