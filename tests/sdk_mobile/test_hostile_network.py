"""Lost requests, lost answers, doubles, portals, crashes: nothing twice, nothing lost."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from card_protocol import pay_code
from sdk_mobile import (
    MemoryStorage,
    OutcomeUnknown,
    Payment,
    Refused,
    Resumed,
    SdkError,
    SignedOut,
    TopUp,
    Wallet,
)
from sdk_mobile.client import ATTEMPTS_MAX
from tests.sdk_mobile.fake_backend import BANK_CARD, CODE, PHONE
from tests.sdk_mobile.fake_server import Fault
from tests.sdk_mobile.test_flows import NOWHERE, STATIC_CODE

Weather = Callable[[str, str], Fault | None]

DONE_THEN_LOST = [Fault.DROP_AFTER, Fault.HALF_ANSWER, Fault.ERROR_AFTER]


def scripted(*faults: Fault | None) -> Weather:
    """The next requests meet these faults (None: none), later ones meet nothing."""
    queue = list(faults)
    return lambda method, path: queue.pop(0) if queue else None


def always(fault: Fault | None, *paths: str) -> Weather:
    return lambda method, path: fault if not paths or path in paths else None


@pytest.mark.parametrize("fault", [one for one in Fault if one is not Fault.DUPLICATE])
def test_one_fault_is_ridden_out_with_the_same_bytes_and_key(ready, backend, clock, fault):
    backend.fault = scripted(fault)
    before, clock.slept[:] = len(backend.seen), []
    top_up = ready.top_up(700, BANK_CARD)
    assert backend.done[top_up.topup_id] == 1
    assert backend.balance_fen == 20_700
    sent = {(one.body, one.headers["idempotency-key"]) for one in backend.seen[before:]}
    assert len(sent) == 1
    assert len(clock.slept) == 1
    assert ready.open_operations() == ()


def test_a_request_the_network_doubles_is_done_once(ready, backend):
    backend.fault = always(Fault.DUPLICATE)
    payment = ready.pay_merchant_code(STATIC_CODE, 300)
    assert backend.done[payment.payment_id] == 1
    assert backend.balance_fen == 19_700


@pytest.mark.parametrize("fault", DONE_THEN_LOST)
def test_a_lost_answer_is_learnt_by_resume_also_after_a_restart(
    ready, backend, make_wallet, storage, fault
):
    backend.fault = always(fault)
    with pytest.raises(OutcomeUnknown) as unknown:
        ready.pay_merchant_code(STATIC_CODE, 300)
    backend.fault = always(None)
    ready.close()
    restarted = make_wallet(storage)
    (outcome,) = restarted.resume()
    assert outcome.operation_id == unknown.value.operation_id == outcome.result.payment_id
    assert backend.done[outcome.operation_id] == 1
    assert backend.balance_fen == 19_700
    assert restarted.resume() == ()


def test_while_an_outcome_is_unknown_no_second_one_is_begun(ready, backend):
    backend.fault = always(Fault.DROP_AFTER)
    with pytest.raises(OutcomeUnknown) as first:
        ready.pay_merchant_code(STATIC_CODE, 300)
    backend.fault = always(None)
    before = len(backend.seen)
    with pytest.raises(OutcomeUnknown) as second:
        ready.pay_merchant_code(STATIC_CODE, 300)
    assert second.value.operation_id == first.value.operation_id
    assert len(backend.seen) == before
    ready.resume()
    ready.pay_merchant_code(STATIC_CODE, 300)
    assert backend.balance_fen == 19_400


def test_a_refusal_whose_answer_was_lost_is_learnt_as_a_refusal(ready, backend):
    backend.fault = always(Fault.DROP_AFTER)
    with pytest.raises(OutcomeUnknown):
        ready.pay_merchant_code(STATIC_CODE, 99_999)
    backend.fault = always(None)
    backend.post("top_up", 100_000, "top_elsewhere")
    (outcome,) = ready.resume()
    assert isinstance(outcome.refusal, Refused)
    assert outcome.refusal.code == "insufficient_funds"
    assert ready.open_operations() == ()
    assert backend.balance_fen == 120_000


def test_resume_without_network_keeps_what_is_open(ready, backend, make_wallet, storage):
    backend.fault = always(Fault.DROP_AFTER)
    with pytest.raises(OutcomeUnknown):
        ready.top_up(700, BANK_CARD)
    (stored,) = ready.open_operations()
    away = make_wallet(storage, NOWHERE)
    assert away.resume() == ()
    assert away.open_operations()[0].body == stored.body
    assert away.open_operations()[0].idempotency_key == stored.idempotency_key
    backend.fault = always(None)
    assert ready.resume()[0].result.state == "succeeded"


def test_a_release_takes_the_place_of_a_loss_report_that_got_no_answer(ready, backend):
    backend.fault = always(Fault.DROP_BEFORE)
    with pytest.raises(OutcomeUnknown):
        ready.report_loss()
    backend.fault = always(None)
    assert ready.release().state == "active"
    assert ready.resume() == ()
    assert ready.refresh_card().state == "active"


def test_a_session_that_ends_before_resume_does_not_lose_the_operation(ready, backend):
    backend.fault = always(Fault.DROP_AFTER)
    with pytest.raises(OutcomeUnknown):
        ready.top_up(700, BANK_CARD)
    backend.fault = always(None)
    backend.ended |= set(backend.access.values())
    with pytest.raises(SignedOut):
        ready.resume()
    ready.request_login_code(PHONE)
    ready.log_in(PHONE, CODE)
    (outcome,) = ready.resume()
    assert outcome.result.state == "succeeded"
    assert backend.balance_fen == 20_700


def test_attempts_and_waits_are_bounded(ready, backend, clock):
    backend.fault = always(Fault.DROP_BEFORE)
    before, clock.slept[:] = len(backend.seen), []
    with pytest.raises(OutcomeUnknown):
        ready.top_up(700, BANK_CARD)
    assert len(backend.seen) == before
    assert len(clock.slept) == ATTEMPTS_MAX - 1
    assert sum(clock.slept) < 3


def test_too_many_requests_is_told_and_leaves_nothing_open(ready, backend):
    backend.fault = always(Fault.BUSY)
    with pytest.raises(Refused) as refused:
        ready.top_up(700, BANK_CARD)
    assert refused.value.code == "rate_limited"
    assert ready.open_operations() == ()
    assert backend.balance_fen == 20_000


def test_too_many_requests_after_a_lost_answer_does_not_lose_the_operation(ready, backend):
    backend.fault = scripted(Fault.DROP_AFTER, Fault.BUSY, Fault.BUSY, Fault.BUSY)
    with pytest.raises(OutcomeUnknown):
        ready.top_up(700, BANK_CARD)
    (outcome,) = ready.resume()
    assert outcome.result.state == "succeeded"
    assert backend.balance_fen == 20_700


def test_a_token_that_ends_between_attempts_does_not_hide_that_one_was_done(ready, backend):
    paths = []

    def weather(method: str, path: str) -> Fault | None:
        paths.append(path)
        if len(paths) == 1:
            return Fault.DROP_AFTER
        if path == "/v1/me/topups" and "/v1/login/refresh" in paths:
            return Fault.BUSY
        backend.access.clear()
        return None

    backend.fault = weather
    with pytest.raises(OutcomeUnknown) as unknown:
        ready.top_up(700, BANK_CARD)
    assert "/v1/login/refresh" in paths
    backend.fault = always(None)
    (outcome,) = ready.resume()
    assert outcome.operation_id == unknown.value.operation_id
    assert backend.balance_fen == 20_700


# Phone and log-in under fire


def test_an_enrolment_sent_again_after_a_day_is_the_same_phone(logged_in, backend, clock):
    backend.fault = always(Fault.DROP_BEFORE)
    with pytest.raises(OutcomeUnknown) as unknown:
        logged_in.enrol_device("my phone")
    backend.fault = always(None)
    clock.seconds += 86_400
    device = logged_in.enrol_device("my phone")
    assert device.device_id == unknown.value.operation_id
    assert list(backend.devices) == [device.device_id]


def test_a_lost_log_in_is_sent_again_with_the_same_code(wallet, backend):
    wallet.request_login_code(PHONE)
    backend.fault = always(Fault.DROP_AFTER)
    with pytest.raises(OutcomeUnknown):
        wallet.log_in(PHONE, CODE)
    backend.fault = always(None)
    assert wallet.log_in(PHONE, CODE) is False
    assert backend.done["log_in"] == 1


def in_threads(count: int, work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


def test_threads_that_find_the_token_old_rotate_it_once(ready, backend, clock):
    clock.seconds += backend.access_seconds
    fresh = []
    in_threads(4, lambda: fresh.append(ready.balance().is_fresh))
    assert fresh == [True] * 4
    assert backend.done["refresh"] == 1
    assert backend.ended == set()


def test_a_token_another_process_rotated_meanwhile_is_taken_as_it_is(ready, backend, clock):
    spent = ready._document.read().session.access_token
    clock.seconds += backend.access_seconds
    assert ready.balance().is_fresh
    assert ready._sessions._renew(spent) == ready._document.read().session.access_token != spent
    assert backend.done["refresh"] == 1


def test_threads_that_pay_at_once_open_one_payment_at_a_time(ready, backend):
    paid, held_back = [], []

    def pay():
        for _ in range(10):
            try:
                paid.append(ready.pay_merchant_code(STATIC_CODE, 10).payment_id)
            except OutcomeUnknown as unknown:
                held_back.append(unknown.operation_id)

    in_threads(4, pay)
    assert len(paid) + len(held_back) == 40
    assert set(paid) == set(backend.payments)
    assert set(held_back) <= set(paid)
    assert backend.balance_fen == 20_000 - 10 * len(paid)
    assert ready.open_operations() == ()


# The clock


@pytest.mark.parametrize("ahead_seconds", [-7_200.0, 5_000.0, 86_400.0 * 400])
def test_a_wrong_clock_is_learnt_from_the_backend(
    make_wallet, backend, clock, storage, ahead_seconds
):
    clock.phone_ahead_seconds = ahead_seconds
    phone = make_wallet(storage)
    phone.request_login_code(PHONE)
    phone.log_in(PHONE, CODE)
    phone.open_wallet()
    phone.enrol_device("my phone")
    card = phone.provision_card()
    shown = make_wallet(storage, NOWHERE).pay_code()
    batch = backend.batches[card.token_id][0]
    steps = [pay_code.step_at(int(clock.backend() + wrong)) for wrong in (-1, 0, 1)]
    codes = [pay_code.one_time_digits(batch.pay_code_key, step) for step in steps]
    assert pay_code.decode(shown.digits).one_time in codes
    on_this_phone = shown.valid_until.timestamp() - clock.phone()
    assert -1 <= on_this_phone <= 31


def test_a_portal_does_not_teach_the_time(ready, backend, clock):
    clock.phone_ahead_seconds = 0.0
    backend.fault = always(Fault.PORTAL)
    backend.clock = lambda: clock.seconds + 9_999
    with pytest.raises(SdkError):
        ready.top_up(100, BANK_CARD)
    assert ready._clock.skew_seconds == 0.0


# Anything, in any order


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_hundreds_of_operations_on_a_hostile_network(seed, ready, backend, make_wallet, storage):
    """Goal: every operation has one outcome, done once or refused, and the money adds up."""
    dice = random.Random(seed)
    weather = [None] * 6 + list(Fault) * 2
    backend.fault = lambda method, path: dice.choice(weather)
    phone, told, refused_codes = ready, {}, set()
    for _ in range(150):
        try:
            if dice.random() < 0.4:
                done = phone.top_up(dice.randrange(1, 900), BANK_CARD)
                told[done.topup_id] = done.amount_fen
            else:
                paid = phone.pay_merchant_code(STATIC_CODE, dice.randrange(1, 2_000))
                told[paid.payment_id] = -paid.amount_fen
        except OutcomeUnknown:
            if dice.random() < 0.5:
                phone.close()
                phone = make_wallet(storage)  # the app was killed and started again
            note(told, phone.resume())
        except Refused as refused:
            refused_codes.add(refused.code)
    backend.fault = always(None)
    note(told, phone.resume())
    assert phone.open_operations() == ()
    moved = {line["reference"]: line["amount_fen"] for line in backend.lines[1:]}
    assert refused_codes <= {"insufficient_funds", "rate_limited"}
    assert told == moved  # none lost, none invented
    assert Counter(line["reference"] for line in backend.lines).most_common(1)[0][1] == 1
    money = {ref: n for ref, n in backend.done.items() if ref.startswith(("top_", "pay_"))}
    assert set(money.values()) == {1}
    assert len(moved) > 60
    assert phone.balance().balance_fen == 20_000 + sum(told.values())


def note(told: dict[str, int], outcomes: tuple[Resumed, ...]) -> None:
    for outcome in outcomes:
        if isinstance(outcome.result, TopUp):
            told[outcome.operation_id] = outcome.result.amount_fen
        elif isinstance(outcome.result, Payment):
            told[outcome.operation_id] = -outcome.result.amount_fen
        else:
            assert isinstance(outcome.refusal, Refused)
            assert outcome.refusal.code == "insufficient_funds"


def test_set_up_on_a_hostile_network_makes_one_of_each(backend, make_wallet):
    dice = random.Random(7)
    backend.fault = lambda method, path: dice.choice([None, *Fault])
    storage = MemoryStorage()
    steps: tuple[Callable[[Wallet], object], ...] = (
        lambda phone: phone.request_login_code(PHONE),
        lambda phone: phone.log_in(PHONE, CODE),
        lambda phone: phone.register("张三", "110101199003070000"),
        lambda phone: phone.open_wallet(),
        lambda phone: phone.enrol_device("my phone"),
        lambda phone: phone.provision_card(),
    )
    for step in steps:
        for _ in range(30):
            phone = make_wallet(storage)
            try:
                step(phone)
            except SdkError:
                continue
            finally:
                phone.close()
            break
        else:
            pytest.fail("no try of thirty came through")
    assert (len(backend.wallets), len(backend.devices), len(backend.cards)) == (1, 1, 1)
    assert all(times == 1 for times in backend.done.values())
    assert len(make_wallet(storage, NOWHERE).pay_code().digits) == 19
