"""The outbox: nothing told is lost, nothing told stops another, giving up is seen."""

# ruff: noqa: PT012 - what a block does before it is left by an error is the subject here

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from db_world import ON_POSTGRES, PATIENCE_SECONDS, WHICH, together
from sqlalchemy import select
from structlog.testing import capture_logs

from backend.db import METADATA, Event, OutboxWorker, Units, Which
from backend.db.outbox import ATTEMPTS_MAX, BATCH_MAX, LEASE_SECONDS, AskAgain
from backend.kernel import ManualClock

OUTBOX = METADATA[WHICH].tables["outbox"]


class Died(BaseException):
    """The worker's process ends in the middle of a delivery."""


def _tell(units: Units, *numbers: int, topic: str = "t", which: Which = WHICH) -> None:
    with units.write(which) as work:
        for number in numbers:
            work.tell(topic, number=number)


def _rows(units: Units) -> list[object]:
    with units.read(WHICH) as work:
        return list(work.execute(select(OUTBOX).order_by(OUTBOX.c.event_id)).all())


class Listener:
    """Remembers what it heard; `fails` of the first deliveries raise `error`."""

    def __init__(self, fails: int = 0, error: BaseException | None = None) -> None:
        self.heard: list[int] = []
        self.events: list[Event] = []
        self.fails = fails
        self.error = error or RuntimeError("no")

    def __call__(self, event: Event) -> None:
        self.heard.append(event.payload["number"])
        self.events.append(event)
        if len(self.heard) <= self.fails:
            raise self.error


def test_every_event_is_heard_once_in_the_order_told(units: Units) -> None:
    numbers = list(range(BATCH_MAX * 2 + 7))
    for start in range(0, len(numbers), 20):
        _tell(units, *numbers[start : start + 20])
    listener = Listener()
    worker = OutboxWorker(units, {"t": listener})
    while worker.deliver_due():
        pass
    assert listener.heard == numbers
    assert worker.deliver_due() == 0
    assert all(row.delivered_at and row.due_at is None for row in _rows(units))  # type: ignore[attr-defined]
    assert worker.parked() == 0


def test_an_event_is_handed_over_whole(units: Units, clock: ManualClock) -> None:
    with units.write(WHICH) as work:
        work.tell("t", number=1, text="付款", nested={"a": [1, None]})
    listener = Listener()
    OutboxWorker(units, {"t": listener}).deliver_due()
    (event,) = listener.events
    assert event.payload == {"number": 1, "text": "付款", "nested": {"a": [1, None]}}
    assert (event.topic, event.created_at, event.attempts) == ("t", clock.now(), 0)


def test_all_three_databases_are_served(units: Units) -> None:
    for number, which in enumerate(Which):
        _tell(units, number, which=which)
    listener = Listener()
    assert OutboxWorker(units, {"t": listener}).deliver_due() == 3
    assert sorted(listener.heard) == [0, 1, 2]


def test_what_was_rolled_back_is_never_heard(units: Units) -> None:
    with pytest.raises(RuntimeError), units.write(WHICH) as work:
        work.tell("t", number=1)
        raise RuntimeError
    assert OutboxWorker(units, {"t": Listener(fails=1)}).deliver_due() == 0


def test_an_event_for_later_waits_for_its_moment(units: Units, clock: ManualClock) -> None:
    with units.write(WHICH) as work:
        work.tell("t", number=1, due_at=work.now + timedelta(minutes=5))
    listener = Listener()
    worker = OutboxWorker(units, {"t": listener})
    clock.advance(timedelta(minutes=5, microseconds=-1))
    assert worker.deliver_due() == 0
    clock.advance(timedelta(microseconds=1))
    assert worker.deliver_due() == 1
    assert listener.heard == [1]


def test_failures_back_off_then_park(units: Units, clock: ManualClock) -> None:
    _tell(units, 1)
    listener = Listener(fails=99)
    worker = OutboxWorker(units, {"t": listener})
    waits = []
    for attempt in range(1, ATTEMPTS_MAX + 1):
        with capture_logs() as logs:
            assert worker.deliver_due() == 1
        assert [one["event"] for one in logs] == ["outbox_failed"]
        assert worker.deliver_due() == 0, "not again before its time"
        (row,) = _rows(units)
        assert row.attempts == attempt  # type: ignore[attr-defined]
        assert row.failure == "RuntimeError"  # type: ignore[attr-defined]
        if row.due_at is not None:  # type: ignore[attr-defined]
            waits.append((row.due_at - clock.now()).total_seconds())  # type: ignore[attr-defined]
            clock.advance(timedelta(seconds=waits[-1]))
    assert waits == sorted(waits)
    assert waits[0] <= 10
    assert waits[-1] <= 3600
    assert worker.parked() == 1
    clock.advance(timedelta(days=365))
    assert worker.deliver_due() == 0
    assert len(listener.heard) == ATTEMPTS_MAX


def test_after_a_failure_it_is_heard_and_done(units: Units, clock: ManualClock) -> None:
    _tell(units, 1)
    listener = Listener(fails=1)
    worker = OutboxWorker(units, {"t": listener})
    with capture_logs():
        worker.deliver_due()
    clock.advance(timedelta(hours=1))
    assert worker.deliver_due() == 1
    (row,) = _rows(units)
    assert row.failure is None  # type: ignore[attr-defined]
    assert row.delivered_at == clock.now()  # type: ignore[attr-defined]
    assert worker.deliver_due() == worker.parked() == 0


def test_asking_again_is_no_failure(units: Units, clock: ManualClock) -> None:
    _tell(units, 1)
    listener = Listener(fails=3 * ATTEMPTS_MAX, error=AskAgain(5))
    worker = OutboxWorker(units, {"t": listener})
    with capture_logs() as logs:
        for _ in range(3 * ATTEMPTS_MAX):
            assert worker.deliver_due() == 1
            clock.advance(timedelta(seconds=4.9))
            assert worker.deliver_due() == 0
            clock.advance(timedelta(seconds=0.1))
        assert worker.deliver_due() == 1
    assert logs == []
    assert (worker.parked(), worker.deliver_due()) == (0, 0)


def test_asking_again_at_once_means_at_once(units: Units) -> None:
    _tell(units, 1)
    listener = Listener(fails=1, error=AskAgain(0))
    worker = OutboxWorker(units, {"t": listener})
    assert [worker.deliver_due(), worker.deliver_due(), worker.deliver_due()] == [1, 1, 0]


def test_asking_again_forgets_no_failure_before_it(units: Units, clock: ManualClock) -> None:
    _tell(units, 1)
    failing, asking = Listener(fails=9), Listener(fails=9, error=AskAgain(1))
    with capture_logs():
        OutboxWorker(units, {"t": failing}).deliver_due()
    clock.advance(timedelta(hours=1))
    OutboxWorker(units, {"t": asking}).deliver_due()
    (row,) = _rows(units)
    assert row.attempts == 1  # type: ignore[attr-defined]


def test_an_unknown_topic_fails_loudly_and_stops_nobody(units: Units, clock: ManualClock) -> None:
    _tell(units, 1, topic="nobody hears")
    _tell(units, 2, 3)
    listener = Listener()
    worker = OutboxWorker(units, {"t": listener})
    with capture_logs() as logs:
        worker.deliver_due()
    assert listener.heard == [2, 3]
    assert [(one["log_level"], one["topic"]) for one in logs] == [("error", "nobody hears")]
    with capture_logs():
        for _ in range(ATTEMPTS_MAX):
            clock.advance(timedelta(hours=1))
            worker.deliver_due()
    assert worker.parked() == 1


def test_a_failing_event_stops_nobody(units: Units) -> None:
    _tell(units, *range(10))

    def consumer(event: Event) -> None:
        heard.append(event.payload["number"])
        if event.payload["number"] % 2:
            raise ValueError(event.payload)

    heard: list[int] = []
    with capture_logs():
        OutboxWorker(units, {"t": consumer}).deliver_due()
    assert heard == list(range(10))


def test_a_worker_that_died_leaves_its_events_to_the_next(units: Units, clock: ManualClock) -> None:
    _tell(units, 1, 2)
    with pytest.raises(Died):
        OutboxWorker(units, {"t": Listener(fails=1, error=Died())}).deliver_due()
    listener = Listener()
    worker = OutboxWorker(units, {"t": listener})
    clock.advance(timedelta(seconds=LEASE_SECONDS - 1))
    assert worker.deliver_due() == 0, "the lease of the dead still runs"
    clock.advance(timedelta(seconds=1))
    assert worker.deliver_due() == 2
    assert listener.heard == [1, 2]


def test_a_slow_worker_lets_go_of_what_its_lease_no_longer_covers(
    units: Units, clock: ManualClock
) -> None:
    """Else two workers would hand over the same event at the same time."""
    _tell(units, 1, 2, 3)
    other = Listener()
    heard: list[int] = []

    def slow(event: Event) -> None:
        heard.append(event.payload["number"])
        clock.advance(timedelta(seconds=LEASE_SECONDS + 1))
        assert OutboxWorker(units, {"t": other}).deliver_due() == 3

    assert OutboxWorker(units, {"t": slow}).deliver_due() == 1
    assert (heard, other.heard) == ([1], [1, 2, 3])


def test_a_late_failure_does_not_undo_anothers_delivery(units: Units, clock: ManualClock) -> None:
    _tell(units, 1)
    other = Listener()

    def slow_and_wrong(event: Event) -> None:
        clock.advance(timedelta(seconds=LEASE_SECONDS + 1))
        OutboxWorker(units, {"t": other}).deliver_due()
        raise RuntimeError

    worker = OutboxWorker(units, {"t": slow_and_wrong})
    with capture_logs():
        worker.deliver_due()
    clock.advance(timedelta(days=1))
    assert OutboxWorker(units, {"t": other}).deliver_due() == 0
    assert other.heard == [1]
    (row,) = _rows(units)
    assert (row.failure, row.attempts) == (None, 1)  # type: ignore[attr-defined]


@ON_POSTGRES
def test_two_workers_never_hold_the_same_event(units: Units) -> None:
    numbers = list(range(BATCH_MAX * 4))
    _tell(units, *numbers)
    inside: set[int] = set()
    heard: list[int] = []
    lock = threading.Lock()

    def consumer(event: Event) -> None:
        number = event.payload["number"]
        with lock:
            assert number not in inside
            inside.add(number)
            heard.append(number)
        with lock:
            inside.remove(number)

    def work(_index: int) -> int:
        worker = OutboxWorker(units, {"t": consumer})
        total = 0
        while taken := worker.deliver_due():
            total += taken
        return total

    with capture_logs() as logs:
        totals = together(4, work)
    assert logs == []
    assert sum(totals) == len(numbers)
    assert sorted(heard) == numbers


@ON_POSTGRES
def test_a_worker_passes_by_what_another_is_taking(units: Units) -> None:
    """Rows locked by another worker's open transaction are skipped, not waited for."""
    _tell(units, 1, 2)
    listener = Listener()
    worker = OutboxWorker(units, {"t": listener})
    with units.write(WHICH) as work:
        first = select(OUTBOX.c.event_id).order_by(OUTBOX.c.event_id).limit(1).with_for_update()
        work.execute(first)
        assert worker.deliver_due() == 1
    assert listener.heard == [2]
    assert worker.deliver_due() == 1
    assert listener.heard == [2, 1]


def test_run_delivers_until_stopped_and_outlives_a_fault(
    units: Units, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = threading.Event()
    worker = OutboxWorker(units, {"t": lambda event: heard.set()})
    deliver, calls = OutboxWorker.deliver_due, []

    def faulty(self: OutboxWorker) -> int:
        calls.append(1)
        if len(calls) == 1:
            self.woken.set()  # do not idle: the test has nothing to wait for
            raise OSError("the database went away in a new way")
        return deliver(self)

    monkeypatch.setattr(OutboxWorker, "deliver_due", faulty)
    with capture_logs() as logs:
        runner = threading.Thread(target=worker.run)
        runner.start()
        _tell(units, 1)
        worker.woken.set()
        was_heard = heard.wait(PATIENCE_SECONDS)
        worker.stop()
        runner.join(PATIENCE_SECONDS)
    assert was_heard
    assert not runner.is_alive()
    assert [one["event"] for one in logs] == ["outbox_fails"]
