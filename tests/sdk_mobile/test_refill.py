"""Keys refilled by a thread: never two at once, nobody waits for it, it ends when told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from sdk_mobile import FileStorage, Offline, Refused, SignedOut, Wallet
from sdk_mobile.errors import Problem
from sdk_mobile.refill import CLOSE_WAIT_SECONDS, TRIES_MAX, WAIT_MAX_SECONDS, Refiller
from tests.sdk_mobile.fake_server import Fault
from tests.sdk_mobile.test_flows import NOWHERE
from tests.sdk_mobile.test_hostile_network import always
from tests.sdk_mobile.test_taps import tap

MakeWallet = Callable[..., Wallet]
PATIENCE_SECONDS = 10.0


class Work:
    """A refill that lasts until it is let go, and counts."""

    def __init__(self) -> None:
        self.begun, self.at_once, self.at_once_max = 0, 0, 0
        self.go, self.done = threading.Semaphore(0), threading.Semaphore(0)
        self.started = threading.Semaphore(0)
        self.errors: list[Exception] = []

    def __call__(self) -> None:
        self.begun += 1
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        self.started.release()
        assert self.go.acquire(timeout=PATIENCE_SECONDS)
        self.at_once -= 1
        self.done.release()
        if self.errors:
            raise self.errors.pop(0)


def wait_for(semaphore: threading.Semaphore) -> None:
    assert semaphore.acquire(timeout=PATIENCE_SECONDS)


def until(is_so: Callable[[], bool]) -> None:
    """Polls what a thread brings about."""
    pause, give_up_at = threading.Event(), time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < give_up_at
        pause.wait(0.005)


def test_many_nudges_are_one_more_round_and_never_two_at_once():
    work = Work()
    refiller = Refiller(work)
    refiller.nudge()
    wait_for(work.started)
    began = time.monotonic()
    for _ in range(1_000):
        refiller.nudge()
    assert time.monotonic() - began < 1.0  # the first round still hangs
    work.go.release(2)
    wait_for(work.done)
    wait_for(work.done)
    refiller.close()
    assert (work.begun, work.at_once_max) == (2, 1)


def test_without_network_it_tries_again_so_often_and_waits_longer_each_time():
    waits: list[float] = []
    tried = threading.Semaphore(0)

    def offline() -> None:
        tried.release()
        raise Offline("no network")

    def wait(stop: threading.Event, seconds: float) -> bool:
        waits.append(seconds)
        return stop.is_set()

    refiller = Refiller(offline, wait=wait, jitter=lambda: 0.0)
    refiller.nudge()
    for _ in range(TRIES_MAX):
        wait_for(tried)
    assert waits == [7.5, 15.0, 30.0]
    refiller.nudge()  # the network may be back: a new round
    wait_for(tried)
    refiller.close()
    assert isinstance(refiller.last_error, Offline)
    assert max(waits) <= WAIT_MAX_SECONDS


@pytest.mark.parametrize(
    "error", [SignedOut("over", "session_ended"), Refused(Problem(403, "no", "no"))]
)
def test_what_trying_again_does_not_mend_is_tried_once_a_nudge(error):
    work = Work()
    work.errors.append(error)
    refiller = Refiller(work)
    work.go.release(2)
    refiller.nudge()
    wait_for(work.done)
    until(lambda: refiller.last_error is error)
    refiller.nudge()
    wait_for(work.done)
    until(lambda: refiller.last_error is None)
    refiller.close()
    assert work.begun == 2


def test_close_does_not_wait_for_ever_and_nothing_begins_after_it():
    work = Work()
    refiller = Refiller(work)
    refiller.nudge()
    wait_for(work.started)
    began = time.monotonic()
    refiller.close()
    assert time.monotonic() - began < CLOSE_WAIT_SECONDS + 1.0
    work.go.release(5)
    refiller.nudge()
    refiller._thread.join(PATIENCE_SECONDS)
    assert not refiller._thread.is_alive()
    assert work.begun == 1


def test_close_ends_a_wait_between_two_tries():
    tried = threading.Semaphore(0)

    def offline() -> None:
        tried.release()
        raise Offline("no network")

    refiller = Refiller(offline)  # really waits: 7 s at least
    refiller.nudge()
    wait_for(tried)
    refiller.close()
    assert not refiller._thread.is_alive()


# In a wallet


def test_taps_below_a_third_bring_new_keys_by_themselves(ready, backend):
    """Goal: the holder taps on, twice the keys' uses, and never calls for keys."""
    ready.ride.refresh_if_needed = lambda: False  # the fake backend has no ride codes
    ready.start_refilling()
    card = ready.card()
    for number in range(2 * backend.keys_uses_max):
        assert tap(card).atc == number + 1
        if ready.offline_view().is_refill_due:
            until(lambda: not ready.offline_view().is_refill_due)
    assert backend.done["refill"] == 2
    assert ready.last_refill_error is None


def test_a_tap_does_not_wait_for_a_slow_refill(ready, backend):
    """Goal: while a refill hangs in the network, taps and codes are made at once."""
    arrived, go = threading.Event(), threading.Event()

    def slow(method: str, path: str) -> Fault | None:
        if path.endswith("/keys"):
            arrived.set()
            assert go.wait(PATIENCE_SECONDS)
        return None

    ready.ride.refresh_if_needed = lambda: False
    card = ready.card()
    while not ready.offline_view().is_refill_due:
        tap(card)
    backend.fault = slow
    ready.start_refilling()
    assert arrived.wait(PATIENCE_SECONDS)
    before = ready.offline_view().taps_left
    began = time.monotonic()
    tap(card)
    ready.pay_code()
    assert time.monotonic() - began < 2.0
    assert ready.offline_view().taps_left == before - 1
    assert not go.is_set()
    go.set()
    until(lambda: ready.offline_view().taps_left > before)


def test_a_foreground_refill_and_the_thread_s_are_one(ready, backend):
    arrived, go = threading.Event(), threading.Event()

    def slow(method: str, path: str) -> Fault | None:
        if path.endswith("/keys"):
            arrived.set()
            assert go.wait(PATIENCE_SECONDS)
        return None

    ready.ride.refresh_if_needed = lambda: False
    card = ready.card()
    while not ready.offline_view().is_refill_due:
        tap(card)
    backend.fault = slow
    ready.start_refilling()
    ready.start_refilling()
    assert arrived.wait(PATIENCE_SECONDS)
    answers: list[bool] = []
    foreground = threading.Thread(target=lambda: answers.append(ready.refill_keys_if_needed()))
    foreground.start()
    go.set()
    foreground.join(PATIENCE_SECONDS)
    assert answers == [False]
    assert backend.done["refill"] == 1


def test_offline_the_thread_is_quiet_and_close_ends_it(ready, make_wallet, storage):
    away = make_wallet(storage, NOWHERE)
    away.start_refilling()
    card = away.card()
    while not away.offline_view().is_refill_due:
        tap(card)
    until(lambda: isinstance(away.last_refill_error, Offline))
    thread = away._refiller._thread
    away.close()
    assert not thread.is_alive()
    assert away.last_refill_error is None


def test_closing_storage_and_wallet_under_a_refill_breaks_nothing(
    ready, backend, make_wallet, tmp_path
):
    """Goal: a thread that is cut off by the end of the app leaves whole files, and no traceback."""
    del ready
    files = FileStorage(tmp_path / "phone")
    phone = make_wallet(files)
    phone.request_login_code("13800000001")
    phone.log_in("13800000001", "246810")
    phone.open_wallet()
    phone.enrol_device("my phone")
    phone.provision_card()
    card = phone.card()
    while not phone.offline_view().is_refill_due:
        tap(card)
    arrived, go = threading.Event(), threading.Event()

    def slow(method: str, path: str) -> Fault | None:
        arrived.set()
        assert go.wait(PATIENCE_SECONDS)
        return None

    backend.fault = slow
    phone.start_refilling()
    assert arrived.wait(PATIENCE_SECONDS)
    thread = phone._refiller._thread
    phone.close()
    files.close()
    backend.fault = always(None)
    go.set()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    again = FileStorage(tmp_path / "phone")
    assert make_wallet(again).phone_card().state == "active"
    again.close()
