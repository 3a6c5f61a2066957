"""The background thread: wakes for a sale and for the network, waits longer each time, ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from reader_bridge.backend_client import Unreachable
from reader_bridge.faults import TerminalFault
from reader_bridge.forward import Pace, Sender, Uploader
from reader_bridge.forward.uploader import STRIKES_MAX
from reader_bridge.journal import Atc, Journal
from reader_bridge.journal.journal import SWEEP_SPARE_SECONDS
from tests.reader_bridge.forward.support import AT, UploadDesk, sell, unreadable

GONE = Unreachable("no_connection", sent=False)
NEVER = Pace(base_seconds=600, busy_seconds_max=600, gone_seconds_max=600, idle_seconds=600)
SOON = Pace(base_seconds=0.001, busy_seconds_max=0.002, gone_seconds_max=0.002, idle_seconds=0.01)
PATIENCE_SECONDS = 10.0


class Watched(UploadDesk):
    """Says when a request came."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = threading.Condition()
        self.on_upload = self._tell

    def _tell(self) -> None:
        with self.seen:
            self.seen.notify_all()

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        with self.seen:
            while not is_so():
                assert self.seen.wait(PATIENCE_SECONDS), f"only {self.uploads}"


@pytest.fixture
def desk() -> Watched:
    return Watched()


@pytest.fixture
def start(journal: Journal, uploader: Uploader, clock) -> Iterator[Callable[[Pace], Sender]]:
    started = []

    def begin(pace: Pace) -> Sender:
        sender = Sender(journal, uploader, clock, pace)
        sender.start()
        started.append(sender)
        return sender

    yield begin
    for sender in started:
        sender.close()
        assert not sender._thread.is_alive()


def until(is_so: Callable[[], bool]) -> None:
    """Something the thread does soon, after the request the test has seen."""
    tick = threading.Event()
    for _ in range(int(PATIENCE_SECONDS / 0.005)):
        if is_so():
            return
        tick.wait(0.005)
    raise AssertionError("it did not come about")


@pytest.mark.parametrize("was_sent", [True, False])
def test_waits_grow_and_are_bounded(was_sent):
    pace = Pace()
    longest = pace.busy_seconds_max if was_sent else pace.gone_seconds_max
    whole = [pace.after_failure(n, lambda: 1.0, was_sent=was_sent) for n in range(1, 200)]
    half = [pace.after_failure(n, lambda: 0.0, was_sent=was_sent) for n in range(1, 200)]
    assert whole[:4] == [1, 2, 4, 8]
    assert whole == sorted(whole)
    assert whole[-1] == longest
    assert half == [seconds / 2 for seconds in whole]


def test_a_new_sale_wakes_an_idle_sender(journal, desk, start):
    sell(journal, 0)
    sender = start(NEVER)
    until(lambda: sender.status().captured == 1 and not sender._is_untidy)
    sell(journal, 1)
    sender.wake()
    desk.wait_for(lambda: len(desk.uploads) == 2)
    until(lambda: sender.status().captured == 2)
    status = sender.status()
    assert (status.failure, status.failures, status.last_answer_at) == (None, 0, AT + 5000)
    assert status.backlog.count == 0


def test_what_an_earlier_run_left_is_uploaded_at_once(journal, desk, start):
    sell(journal, 1)
    start(NEVER)
    desk.wait_for(lambda: len(desk.uploads) == 1)


def test_another_process_s_sale_is_found_without_a_word(journal, desk, start):
    start(SOON)
    sell(journal, 1)
    desk.wait_for(lambda: len(desk.uploads) == 1)


def test_the_network_s_return_ends_the_waiting(journal, desk, start):
    desk.faults = [GONE]
    sell(journal, 1)
    sender = start(NEVER)
    until(lambda: sender.status().failure == "no_connection")
    assert len(desk.uploads) == 1
    sender.network_returned()
    until(lambda: sender.status().captured == 1)


def test_a_new_sale_shortens_the_waiting_but_does_not_hammer(journal, desk, start, clock):
    least_seconds = 0.05
    desk.faults = [GONE] * 1000
    sell(journal, 0)
    started = clock.elapsed()
    sender = start(replace(NEVER, wake_seconds_min=least_seconds))
    for number in range(1, 60):
        sell(journal, number)
        sender.wake()
    desk.wait_for(lambda: sender.wake() or len(desk.uploads) >= 3)
    seconds = clock.elapsed() - started
    assert len(desk.uploads) <= 2 + seconds / least_seconds, "not a try for each sale"
    desk.faults.clear()
    sender.network_returned()
    until(lambda: sender.status().captured == 60)


def test_a_long_outage_is_tried_again_and_again(journal, desk, start):
    desk.faults = [GONE] * 20
    names = [sell(journal, number) for number in range(5)]
    sender = start(SOON)
    until(lambda: sender.status().captured == 5)
    assert desk.charges == dict.fromkeys(names, 250)


def test_a_bug_does_not_end_the_thread(journal, desk, start, caplog):
    desk.faults = [ZeroDivisionError()]
    sell(journal, 1)
    sender = start(SOON)
    until(lambda: sender.status().captured == 1)
    assert "unforeseen" in caplog.text


def test_a_journal_that_fails_does_not_end_the_thread(journal, desk, start, monkeypatch):
    def unusable(*_: object) -> None:
        monkeypatch.undo()
        raise TerminalFault("state_unusable", reason="locked")

    monkeypatch.setattr(journal, "to_upload", unusable)
    sell(journal, 1)
    sender = start(SOON)
    until(lambda: sender.status().captured == 1)


def test_what_was_aside_is_tried_again_by_the_next_start(journal, desk, start):
    sell(journal, 1)
    desk.poison["pay_0001"] = unreadable()
    sender = start(SOON)
    until(lambda: sender.status().backlog.aside_count == 1)
    assert len(desk.uploads) == STRIKES_MAX
    desk.poison.clear()
    again = Sender(journal, sender._uploader, sender._clock, SOON)
    again.start()
    until(lambda: again.status().captured == 1)
    again.close()


def test_counters_of_expired_cards_go_once_the_backend_was_reached(journal, desk, start, clock):
    now = int(clock.unix_now())
    sell(journal, 1)
    journal.store(
        replace(journal.to_upload(1)[0].draft, entry_id="pay_o", reference="Ro"),
        lambda counter: b"{}",
        AT,
        card_key="token:old",
        atc=Atc(3, now - SWEEP_SPARE_SECONDS - 1),
    )
    start(SOON)
    until(lambda: journal.usage("token:old", AT).last_atc is None)
    assert journal.usage("token:1", AT).last_atc == 2


def test_closing_does_not_wait_for_the_back_off(journal, desk, start):
    desk.faults = [GONE]
    sell(journal, 1)
    sender = start(NEVER)
    until(lambda: sender.status().failures == 1)
    sender.close()
    sender.close()
    assert not sender._thread.is_alive()
