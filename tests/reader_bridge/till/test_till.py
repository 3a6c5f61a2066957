"""Orders at the till: one at a time, told once, cancelled only while no money may have moved."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from card_protocol.mobile_card import MOBILE_CARD_AID
from reader_bridge import Outcome, ReaderFault, Receipt, TerminalFault
from reader_bridge.faults import CodeFault, SamFault
from reader_bridge.readers.event_values import (
    CardArrived,
    CodeRead,
    CodeUnread,
    ReaderGone,
    ReaderJoined,
    SeveralCards,
)
from reader_bridge.till import ResultState, Signal, Stage, Standing, Till, TillFault, Timings
from reader_bridge.till.orders import RESULTS_MAX
from tests.reader_bridge.support import PAY_CODE
from tests.reader_bridge.till.support import (
    HEADING,
    SOON_SECONDS,
    Hand,
    Pause,
    Slot,
    deny,
    left_early,
    moving_clock,
    wait_for,
    wait_for_stage,
)

SELECT_MOBILE = b"\x00\xa4\x04\x00" + bytes([len(MOBILE_CARD_AID)]) + MOBILE_CARD_AID + b"\x00"
GPO = bytes.fromhex("80A8000002830000")


def test_a_card_at_a_reader_pays(counter_till, counter, kit, backend):
    """Goal: the whole way through the reader set; which card, where, what is left."""
    result = counter_till.start_sale("R1", 1250, full_fare_fen=2500)
    assert (result.state, result.code) == (ResultState.OPEN, "show_card")
    counter.insert(kit.card().transmit)
    screen = wait_for_stage(counter_till, Stage.DONE)
    assert (screen.code, screen.signal, screen.balance) == ("paid", Signal.OK, 18_750)
    assert (screen.full_fare_fen, screen.concession_fen) == (2500, 1250)
    assert screen.card.aid == MOBILE_CARD_AID
    assert (screen.card.reader, screen.card.application) == ("counter", "CITY CARD")
    assert "backend" in dict(screen.card.steps)
    assert backend.charges() == [1250]
    assert counter_till.readers() == {"counter": True}


def test_the_same_reference_is_the_first_result(till, hand, kit, backend):
    till.start_sale("R1", 1250)
    assert till.start_sale("R1", 1250).state is ResultState.OPEN
    hand.present(kit.card().transmit)
    wait_for_stage(till, Stage.DONE)
    again = till.start_sale("R1", 1250)
    assert (again.state, again.receipt.balance_fen) == (ResultState.PAID, 18_750)
    with pytest.raises(TerminalFault) as refused:
        till.start_sale("R1", 1300)
    assert (refused.value.code, refused.value.data["field"]) == (
        "reference_used_differently",
        "amount",
    )
    assert backend.charges() == [1250]


def test_a_new_till_knows_what_the_journal_knows(till, hand, kit, acceptor, backend):
    till.start_sale("R1", 1250)
    hand.present(kit.card().transmit)
    wait_for_stage(till, Stage.DONE)
    with Till(acceptor, Hand(), moving_clock()) as second:
        assert second.start_sale("R1", 1250).state is ResultState.PAID
        assert second.last_result("R1").receipt.is_repeated
        with pytest.raises(TerminalFault, match="sale_unknown"):
            second.last_result("R2")
    assert backend.charges() == [1250]


def test_one_order_at_a_time(till):
    till.start_sale("R1", 1250)
    with pytest.raises(TillFault) as busy:
        till.start_sale("R2", 900)
    assert (busy.value.code, busy.value.data["reference"]) == ("till_busy", "R1")
    with pytest.raises(TillFault, match="till_busy"):
        till.reverse("R1")
    assert isinstance(busy.value, TerminalFault)


def test_a_cancelled_reference_may_start_again(till, hand, kit, backend):
    till.start_sale("R1", 1250)
    assert till.cancel("R1").state is ResultState.CANCELLED
    assert till.cancel("R1").state is ResultState.CANCELLED
    assert till.screen().code == "cancelled"
    till.start_sale("R1", 1250)
    hand.present(kit.card().transmit)
    assert wait_for_stage(till, Stage.DONE).signal is Signal.OK
    with pytest.raises(TillFault, match="cancel_too_late"):
        till.cancel("R1")
    with pytest.raises(TerminalFault, match="sale_unknown"):
        till.cancel("R9")
    assert backend.charges() == [1250]


def test_the_cancel_wins_before_the_cryptogram(till, hand, kit, acceptor, backend):
    """Goal: the card is selected already; its GET PROCESSING OPTIONS never leaves."""
    pause = Pause(before=lambda channel: channel.transmit(SELECT_MOBILE))
    acceptor.accidents.append(pause)
    seen: list[bytes] = []
    card = kit.card()
    till.start_sale("R1", 1250)
    hand.present(lambda command: seen.append(command) or card.transmit(command))
    assert pause.reached.wait(SOON_SECONDS)
    assert till.cancel("R1").state is ResultState.CANCELLED
    till.start_sale("R2", 300)  # the next customer need not wait
    pause.go_on.set()
    hand.present(kit.card().transmit)
    assert wait_for(till, lambda s: s.stage is Stage.DONE and s.order.reference == "R2")
    assert [command[1] for command in seen] == [0xA4]
    assert backend.charges() == [300]


def test_the_card_wins_once_the_cryptogram_may_exist(till, hand, kit, acceptor, backend):
    def past_the_gate(channel):
        channel.transmit(SELECT_MOBILE)
        channel.transmit(GPO)

    pause = Pause(before=past_the_gate)
    acceptor.accidents.append(pause)
    till.start_sale("R1", 1250)
    hand.present(kit.card().transmit)
    assert pause.reached.wait(SOON_SECONDS)
    with pytest.raises(TillFault, match="cancel_too_late"):
        till.cancel("R1")
    pause.go_on.set()
    assert wait_for_stage(till, Stage.DONE).code == "paid"
    assert backend.charges() == [1250]


def test_a_card_that_left_early_comes_again(till, hand, kit, acceptor, backend):
    acceptor.accidents.append(left_early)
    till.start_sale("R1", 1250)
    hand.present(kit.card().transmit)
    screen = wait_for(till, lambda s: s.code == "card_removed")
    assert (screen.stage, screen.signal) == (Stage.WAITING, Signal.AGAIN)
    hand.present(kit.card().transmit)
    wait_for_stage(till, Stage.DONE)
    assert backend.charges() == [1250]


def test_a_foreign_card_is_refused(till, hand):
    till.start_sale("R1", 1250)
    slot = hand.present(deny)
    screen = wait_for_stage(till, Stage.DONE)
    assert (screen.code, screen.signal) == ("card_foreign", Signal.NO)
    assert till.last_result("R1").state is ResultState.REFUSED
    assert slot.is_closed


def raising(failure):
    def accident(order, channel):
        raise failure

    return accident


FAILURES = [
    (SamFault("sam_locked"), (ResultState.FAILED, "sam_locked")),
    (TerminalFault("journal_full"), (ResultState.FAILED, "journal_full")),
    (ZeroDivisionError(), (ResultState.UNKNOWN, "terminal_failed")),
]


@pytest.mark.parametrize(("failure", "told"), FAILURES, ids=["sam", "journal", "bug"])
def test_what_the_acceptor_cannot_do(till, hand, acceptor, failure, told):
    acceptor.accidents.append(raising(failure))
    till.start_sale("R1", 1250)
    hand.present(deny)
    wait_for_stage(till, Stage.DONE)
    result = till.last_result("R1")
    assert (result.state, result.code) == told
    assert till.start_sale("R1", 1250).state is ResultState.OPEN  # the journal knows of no sale


def test_a_lost_answer_is_unknown_until_asked(till, hand, kit, backend):
    backend.script = ["lose_answer"] * 3
    till.start_sale("R1", 1250)
    hand.present(kit.card().transmit)
    screen = wait_for_stage(till, Stage.DONE)
    if screen.code == "outcome_unknown":
        assert screen.signal is Signal.AGAIN
    backend.script = []
    assert till.last_result("R1").state is ResultState.PAID
    assert backend.charges() == [1250]


def test_a_code_pays(till, hand, backend):
    till.start_sale("R1", 1250)
    hand.put(CodeUnread("scanner", CodeFault("code_not_found")))
    wait_for(till, lambda s: s.code == "code_not_found" and s.stage is Stage.WAITING)
    hand.put(CodeRead("scanner", PAY_CODE.encode()))
    screen = wait_for_stage(till, Stage.DONE)
    assert (screen.code, screen.card.reader) == ("paid", "scanner")
    assert backend.charges() == [1250]


def test_without_an_order_nothing_is_read(till, hand, acceptor):
    slot = hand.present(deny)
    hand.put(CodeRead("scanner", PAY_CODE.encode()))
    hand.put(ReaderJoined("counter"))
    wait_for(till, lambda s: till.readers() == {"counter": True})
    assert slot.is_closed
    assert acceptor.taps == 0
    assert till.screen().stage is Stage.IDLE


def test_readers_speak_while_a_card_is_waited_for(till, hand):
    till.start_sale("R1", 1250)
    hand.put(SeveralCards("counter"))
    wait_for(till, lambda s: s.code == "several_cards" and s.stage is Stage.WAITING)
    hand.put(ReaderGone("counter", ReaderFault("reader_missing", name=": {odd}")))
    screen = wait_for(till, lambda s: s.code == "reader_missing")
    assert screen.message.read("en") == "No reader found: {odd}"
    assert till.readers() == {"counter": False}


def test_nobody_comes(acceptor, hand):
    timings = Timings(show_card_seconds=0.05, done_seconds=0.05, look_seconds=0.01)
    with Till(acceptor, hand, moving_clock(), timings=timings) as till:
        till.start_sale("R1", 1250)
        assert wait_for_stage(till, Stage.DONE).code == "timed_out"
        assert till.last_result("R1").state is ResultState.TIMED_OUT
        assert wait_for_stage(till, Stage.IDLE).order is None


def test_a_validator_serves_one_after_the_other(acceptor, hand, kit, backend):
    numbers = iter(range(1, 1000))
    standing = Standing(200, lambda: f"bus-{next(numbers)}")
    with Till(acceptor, hand, moving_clock(), standing=standing) as till:
        wait_for_stage(till, Stage.WAITING)
        hand.present(kit.card().transmit)
        wait_for(till, lambda s: s.stage is Stage.DONE and s.order.reference == "bus-1")
        hand.present(kit.card().transmit)
        wait_for(till, lambda s: s.stage is Stage.DONE and s.order.reference == "bus-2")
        with pytest.raises(TerminalFault, match="amount_malformed"):
            till.start_sale("R1", 0)
    assert backend.charges() == [200, 200]


def test_money_back(till, hand, kit):
    till.start_sale("R1", 1250)
    hand.present(kit.card().transmit)
    wait_for_stage(till, Stage.DONE)
    receipt = till.refund("R1", 250, refund_reference="F1", reason="too cold")
    assert (receipt.outcome, receipt.amount_fen) == (Outcome.POSTED, 250)
    assert till.reverse("R1").state in {ResultState.REVERSED, ResultState.REFUSED}
    assert till.last_results(5)[0].order.reference == "R1"


def test_a_balance_has_no_amount(till, hand, acceptor):
    def told(order, channel):
        return Receipt(HEADING, Outcome.CAPTURED, 0, order.reference, balance_fen=4321)

    acceptor.accidents.append(told)
    started = till.balance()
    assert (started.order.amount_fen, started.order.reference[:4]) == (None, "bal_")
    hand.present(deny)
    screen = wait_for_stage(till, Stage.DONE)
    assert (screen.code, screen.balance, screen.amount_fen) == ("balance_read", 4321, None)


def test_a_receipt_after_the_cancel_is_believed(till, hand, acceptor):
    """Goal: what says that money moved is shown, even when everybody thought it was over."""
    paid = Receipt(HEADING, Outcome.CAPTURED, 1250, "R1")
    pause = Pause()
    acceptor.accidents.append(lambda order, channel: pause(order, channel) or paid)
    till.start_sale("R1", 1250)
    hand.present(deny)
    assert pause.reached.wait(SOON_SECONDS)
    assert till.cancel("R1").state is ResultState.CANCELLED
    pause.go_on.set()
    wait_for(till, lambda s: s.code == "paid")
    assert till.last_result("R1").state is ResultState.PAID


def test_waiting_for_a_result(till, hand, kit):
    till.start_sale("R1", 1250)
    assert till.wait_result("R1", 0.01).state is ResultState.OPEN
    timer = threading.Timer(0.05, lambda: hand.present(kit.card().transmit))
    timer.start()
    assert till.wait_result("R1", SOON_SECONDS).state is ResultState.PAID
    timer.join()


def test_a_closed_till_takes_no_order(acceptor, hand):
    till = Till(acceptor, hand, moving_clock())
    till.start_sale("R1", 1250)
    till.close()
    assert till.last_result("R1").state is ResultState.CANCELLED
    with pytest.raises(TillFault, match="till_closed"):
        till.start_sale("R2", 1)
    assert replace(till.screen(), version=0).code == "cancelled"


def test_a_card_that_left_meanwhile_is_not_served(till, hand, kit, backend):
    till.start_sale("R1", 1250)
    gone = Slot(kit.card().transmit, is_there=False)
    hand.put(CardArrived("counter", gone))
    hand.put(ReaderJoined("counter"))
    wait_for(till, lambda s: till.readers() == {"counter": True})
    assert (gone.is_closed, till.screen().stage) == (True, Stage.WAITING)
    assert backend.charges() == []


def test_the_memory_is_bounded(acceptor, hand):
    with Till(acceptor, hand, moving_clock()) as till:
        for number in range(RESULTS_MAX + 5):
            till.start_sale(f"R{number}", 1)
            till.cancel(f"R{number}")
        assert len(till.last_results(1000)) == RESULTS_MAX
        with pytest.raises(TerminalFault, match="sale_unknown"):
            till.last_result("R0")


def test_a_flat_fare_is_told_after_the_tap(acceptor, hand):
    numbers = iter(range(1, 1000))
    standing = Standing(None, lambda: f"bus-{next(numbers)}", full_fare_fen=200)
    accepted = Receipt(HEADING, Outcome.CAPTURED, 100, "bus-1", balance_fen=900)
    acceptor.accidents.append(lambda order, channel: accepted)
    with Till(acceptor, hand, moving_clock(), standing=standing) as till:
        assert wait_for_stage(till, Stage.WAITING).amount_fen is None
        hand.present(deny)
        screen = wait_for_stage(till, Stage.DONE)
    assert (screen.amount_fen, screen.concession_fen, screen.balance) == (100, 100, 900)
