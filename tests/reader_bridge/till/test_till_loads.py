"""Loads at the till: who pays, the PIN, the torn card; and places where nobody presses a key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from card_protocol.terminal_profile import Mode
from reader_bridge import Order, OrderKind, ReaderFault, TerminalFault
from reader_bridge.loads import Funding, LoadPause
from reader_bridge.till import Post, ResultState, Signal, Stage, Till, TillFault, Timings
from tests.reader_bridge.till.support import (
    Hand,
    TerminalAcceptor,
    deny,
    given_back,
    left_early,
    loaded,
    moving_clock,
    passed,
    torn_load,
    wait_for,
    wait_for_stage,
    wants,
)

PIN = b"\x12\x34\x56"
QUICK = Timings(
    done_seconds=0.2,
    look_seconds=0.02,
    standing_pause_seconds=0.05,
    standing_again_seconds=0.2,
    standing_done_seconds=0.1,
)


def wait_for_code(till: Till, code: str) -> Any:
    return wait_for(till, lambda screen: screen.code == code)


@pytest.mark.parametrize(
    "end",
    [
        (loaded, ResultState.LOADED, 3_250, Signal.OK),
        (given_back, ResultState.RETURNED, 1_250, Signal.NO),
    ],
)
def test_a_load_and_how_it_ends(
    till: Till, hand: Hand, acceptor: TerminalAcceptor, end: tuple[Any, ResultState, int, Signal]
) -> None:
    accident, state, balance_fen, signal = end
    acceptor.accidents += [accident]
    assert till.start_load("L1", 2_000, Funding.CASH).code == "show_purse"
    hand.present(deny)
    screen = wait_for_stage(till, Stage.DONE)
    assert (screen.signal, screen.balance) == (signal, balance_fen)
    assert till.wait_result("L1", 5).state is state
    again = till.start_load("L1", 2_000, Funding.CASH)
    assert again.state is state
    for other in (
        lambda: till.start_load("L1", 2_000, Funding.WALLET),
        lambda: till.start_load("L1", 1, Funding.CASH),
        lambda: till.start_sale("L1", 2_000),
    ):
        with pytest.raises(TerminalFault) as used:
            other()
        assert used.value.code == "reference_used_differently"


def test_the_payer_the_pin_and_then_the_card(
    till: Till, hand: Hand, acceptor: TerminalAcceptor
) -> None:
    """Goal: the PIN goes to the one next tap, and is nowhere else."""
    taps: list[Order] = []

    def noting(order: Order, channel: Any) -> Any:
        taps.append(order)
        return loaded(order, channel)

    acceptor.accidents += [wants("load_show_purse"), wants("load_pin_wanted"), left_early, noting]
    assert till.start_load("L2", 2_000, Funding.WALLET).code == "show_payer"
    with pytest.raises(TillFault) as early:
        till.give_pin("L2", PIN)
    assert early.value.code == "pin_not_wanted"
    hand.present(deny)
    assert wait_for_code(till, "load_show_purse").signal is Signal.NONE
    hand.present(deny)
    assert wait_for_code(till, "load_pin_wanted").signal is Signal.NONE
    assert till.give_pin("L2", PIN).code == "pin_taken"
    assert repr(PIN) not in repr(till._desk.active)
    hand.present(deny)
    wait_for_code(till, "card_removed")
    assert till._desk.active is not None
    assert till._desk.active.pin is None
    hand.present(deny)
    wait_for_stage(till, Stage.DONE)
    assert [order.pin for order in taps] == [None]
    with pytest.raises(TillFault):
        till.give_pin("L2", PIN)
    with pytest.raises(TerminalFault) as unknown:
        till.give_pin("nobody", PIN)
    assert unknown.value.code == "sale_unknown"


def test_the_pin_reaches_the_acceptor_once(
    till: Till, hand: Hand, acceptor: TerminalAcceptor
) -> None:
    pins: list[bytes | None] = []

    def noting(order: Order, channel: Any) -> Any:
        pins.append(order.pin)
        raise LoadPause("load_pin_wrong")

    acceptor.accidents += [wants("load_pin_wanted"), noting, noting]
    till.start_load("L3", 2_000, Funding.CASH)
    hand.present(deny)
    wait_for_code(till, "load_pin_wanted")
    till.give_pin("L3", PIN)
    hand.present(deny)
    assert wait_for_code(till, "load_pin_wrong").signal is Signal.AGAIN
    before = till.screen().version
    hand.present(deny)
    wait_for(till, lambda screen: screen.version > before + 1 and len(pins) == 2)
    assert pins == [PIN, None]
    assert till.cancel("L3").state is ResultState.CANCELLED


def test_a_torn_load_set_aside_is_said_to_the_clerk(
    till: Till, hand: Hand, acceptor: TerminalAcceptor
) -> None:
    acceptor.accidents += [torn_load]
    till.start_load("L4", 2_000, Funding.CASH)
    hand.present(deny)
    screen = wait_for_stage(till, Stage.AGAIN)
    assert screen.code == "credit_unknown"
    aside = till.cancel("L4")
    assert (aside.state, aside.code) == (ResultState.UNKNOWN, "load_left")
    assert "请勿重复充值" in aside.message.read("zh-CN")


BUS = Post(Mode.BUS, fare_fen=200)


@pytest.fixture
def bus(acceptor: TerminalAcceptor, hand: Hand) -> Iterator[Till]:
    acceptor.stands_at = BUS
    with Till(acceptor, hand, moving_clock(), timings=QUICK) as opened:
        yield opened


@pytest.mark.parametrize("mode", list(Mode))
def test_the_mode_says_who_re_arms(acceptor: TerminalAcceptor, hand: Hand, mode: Mode) -> None:
    acceptor.stands_at = Post(mode)
    is_standing = mode in {Mode.BUS, Mode.GATE, Mode.PARKING, Mode.BICYCLE}
    with Till(acceptor, hand, moving_clock(), timings=QUICK) as till:
        if is_standing:
            assert wait_for_stage(till, Stage.WAITING).code == "show_tap"
            return
        assert till.wait_screen(till.screen().version, 0.15) is None
        assert till.screen().stage is Stage.IDLE


def test_a_bus_serves_one_after_the_other(
    bus: Till, hand: Hand, acceptor: TerminalAcceptor
) -> None:
    """Goal: each tap is an order of its own; a card need not wait for the light to go out."""
    first = wait_for_stage(bus, Stage.WAITING)
    assert (first.amount_fen, first.order and first.order.amount_fen) == (200, None)
    acceptor.accidents += [passed(200, 4_800), passed(100, 4_700)]
    hand.present(deny)
    hand.present(deny)
    wait_for(bus, lambda screen: screen.balance == 4_700)
    results = bus.last_results(5)
    assert [result.state for result in results] == [ResultState.PAID] * 2
    assert len({result.order.reference for result in results}) == 2
    wait_for_stage(bus, Stage.WAITING)


def test_a_storm_of_cards_is_slowed_down(acceptor: TerminalAcceptor, hand: Hand) -> None:
    acceptor.stands_at = BUS
    timings = replace(QUICK, standing_pause_seconds=0.1)
    starts: list[float] = []
    clock = moving_clock()

    def noting(order: Order, channel: Any) -> Any:
        starts.append(clock.elapsed())
        return passed(200)(order, channel)

    acceptor.accidents += [noting] * 5
    with Till(acceptor, hand, clock, timings=timings) as till:
        for _ in range(5):
            hand.present(deny)
        wait_for(till, lambda screen: len(till.last_results(9)) == 5)
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert min(gaps) >= 0.09


def test_a_torn_ride_does_not_hold_the_queue_for_long(
    bus: Till, hand: Hand, acceptor: TerminalAcceptor
) -> None:
    def tearing(order: Order, channel: Any) -> None:
        raise ReaderFault("debit_unknown")

    acceptor.accidents += [tearing, passed(200, 100)]
    hand.present(deny)
    wait_for_stage(bus, Stage.AGAIN)
    wait_for_stage(bus, Stage.WAITING)
    assert bus.last_results(1)[0].code == "torn_left"
    hand.present(deny)
    wait_for(bus, lambda screen: screen.balance == 100)


def test_another_fare_or_mode_comes_with_the_profile(bus: Till, acceptor: TerminalAcceptor) -> None:
    assert wait_for_stage(bus, Stage.WAITING).amount_fen == 200
    acceptor.stands_at = replace(BUS, fare_fen=300)
    wait_for(bus, lambda screen: screen.amount_fen == 300)
    acceptor.stands_at = Post()
    wait_for_stage(bus, Stage.IDLE)


def test_an_order_that_somebody_asks_for_goes_before(
    bus: Till, hand: Hand, acceptor: TerminalAcceptor
) -> None:
    wait_for_stage(bus, Stage.WAITING)
    assert bus.start_sale("R1", 500).state is ResultState.OPEN
    with pytest.raises(TillFault) as busy:
        bus.start_sale("R2", 500)
    assert busy.value.code == "till_busy"
    bus.cancel("R1")
    wait_for_stage(bus, Stage.WAITING)
    assert bus.screen().order is not None
    assert bus.screen().order.kind is OrderKind.SALE
