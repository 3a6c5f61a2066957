"""Log-in against the real city: wrong codes, copied tokens, wrong clocks; each says what it is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backend.kernel import DomainError
from sdk_mobile import ClockWrong, LoginLocked, MemoryStorage, NotReady, Refused, SignedOut, Wallet
from tests.docs.city import CITIZEN
from tests.sdk_mobile.real_city import phone_of

PHONE = CITIZEN[0]
DAY_SECONDS = 86_400.0


class Ahead:
    """How wrong a phone's clock is; it may be set while the phone lives."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


def another(code: str, number: int) -> str:
    """A wrong code of the same form."""
    return f"{(int(code) + number) % 10**6:06d}"


@pytest.fixture
def phone(city, city_clock):
    with phone_of(city, MemoryStorage(), city_clock) as made:
        yield made


def test_five_wrong_codes_lock_the_code_and_say_until_when(city, city_clock, phone):
    sent = phone.request_login_code(PHONE)
    right = city.last_code(PHONE)
    for number in range(1, 5):
        with pytest.raises(Refused, match="login_code_wrong") as wrong:
            phone.log_in(PHONE, another(right, number))
        assert not isinstance(wrong.value, LoginLocked)
        assert wrong.value.data["tries_left"] == 5 - number
    with pytest.raises(LoginLocked) as fifth:
        phone.log_in(PHONE, another(right, 5))
    with pytest.raises(LoginLocked) as right_one:
        phone.log_in(PHONE, right)
    assert (fifth.value.code, right_one.value.code) == ("login_code_wrong", "login_locked")
    for locked in (fifth.value, right_one.value):
        assert abs(locked.until - sent.expires_at) < timedelta(seconds=2)
        assert locked.new_code_at == sent.resend_at
        assert locked.detail
    assert phone.open_operations() == ()
    city_clock.advance(sent.resend_at - city_clock.now() + timedelta(seconds=1))
    city.log_in(phone)  # the way out
    assert phone.person().registered is False


def test_a_right_code_after_four_wrong_ones_opens(city, phone):
    phone.request_login_code(PHONE)
    right = city.last_code(PHONE)
    for number in range(1, 5):
        with pytest.raises(Refused, match="login_code_wrong"):
            phone.log_in(PHONE, another(right, number))
    phone.log_in(PHONE, right)
    assert phone.person().registered is False


def copied(storage: MemoryStorage) -> MemoryStorage:
    """What a thief of the phone's files has, the device key among them."""
    copy = MemoryStorage()
    for name in ("state", "device_signing_key"):
        content = storage.read(name)
        assert content is not None
        copy.write(name, content)
    return copy


def test_a_copied_refresh_token_used_twice_ends_the_whole_session(city, city_clock):
    """Goal: thief and holder are both out, and the holder hears that it was a copy."""
    storage = MemoryStorage()
    holder = phone_of(city, storage, city_clock)
    city.log_in(holder)
    thief = phone_of(city, copied(storage), city_clock)
    city_clock.advance(timedelta(hours=1))
    assert thief.person().registered is False  # rotates first
    city_clock.advance(timedelta(minutes=2))
    with pytest.raises(SignedOut) as told:
        holder.person()
    assert told.value.reason == "refresh_reused"
    assert told.value.was_copied
    assert told.value.detail
    city_clock.advance(timedelta(hours=1))
    with pytest.raises(SignedOut) as ended:
        thief.person()
    assert (ended.value.reason, ended.value.was_copied) == ("session_ended", False)
    with pytest.raises(SignedOut) as later:
        holder.person()
    assert later.value.reason == "no_session"
    city.log_in(holder)
    assert holder.person().registered is False


# The clock


def ready_phone(city, clock, ahead: Ahead, storage: MemoryStorage) -> Wallet:
    wallet = phone_of(city, storage, clock, ahead_seconds=ahead)
    city.set_up(wallet, 20_000, lambda: clock.advance(timedelta(seconds=5)))
    wallet.ride.refresh_if_needed()
    return wallet


def use_code(city, clock, digits: str) -> None:
    city.parts.sales.verifier.verify_pay_code(digits, clock.now())


@pytest.mark.parametrize("ahead_seconds", [-DAY_SECONDS, 0.0, DAY_SECONDS])
def test_a_phone_a_day_off_makes_codes_that_count(city, city_clock, ahead_seconds):
    ahead = Ahead(ahead_seconds)
    wallet = ready_phone(city, city_clock, ahead, MemoryStorage())
    shown = wallet.pay_code()
    use_code(city, city_clock, shown.digits)
    phone_now = city_clock.now().timestamp() + ahead_seconds
    assert 0 < shown.valid_until.timestamp() - phone_now <= 31
    view = wallet.clock_view()
    assert abs(view.skew_seconds + ahead_seconds) <= 2.0
    assert view.is_wrong is (ahead_seconds != 0.0)
    assert view.read_at is not None
    assert abs(view.read_at - city_clock.now()) < timedelta(seconds=10)


@pytest.mark.parametrize("change_seconds", [-DAY_SECONDS, DAY_SECONDS])
def test_a_clock_set_wrong_later_is_learnt_with_the_next_answer(city, city_clock, change_seconds):
    """Goal: tokens and proofs look old or early, and the session lives on all the same."""
    ahead = Ahead(0.0)
    wallet = ready_phone(city, city_clock, ahead, MemoryStorage())
    ahead.seconds = change_seconds
    assert wallet.balance().is_fresh
    use_code(city, city_clock, wallet.pay_code().digits)
    assert wallet.clock_view().is_wrong


def test_a_clock_set_back_offline_says_so_before_a_code_is_shown(city, city_clock):
    ahead, storage = Ahead(0.0), MemoryStorage()
    wallet = ready_phone(city, city_clock, ahead, storage)
    ahead.seconds = -DAY_SECONDS
    restarted = phone_of(city, storage, city_clock, ahead_seconds=ahead)
    for phone in (wallet, restarted):
        for make in (phone.pay_code, phone.ride.show):
            with pytest.raises(ClockWrong) as wrong:
                make()
            assert wrong.value.code == "clock_wrong"
            assert wrong.value.back_seconds > DAY_SECONDS - 7_200
    restarted.balance()
    use_code(city, city_clock, restarted.pay_code().digits)


@pytest.mark.parametrize(
    ("forward_seconds", "code"),
    [
        (1_800.0, "pay_code_not_yet_valid"),
        (8 * 3_600.0, "pay_code_clock_wrong"),
        (DAY_SECONDS, "pay_code_altered"),  # the city searches no further than that
    ],
)
def test_a_clock_set_forward_offline_makes_a_code_that_is_refused(
    city, city_clock, forward_seconds, code
):
    """Goal: what the phone cannot know the city refuses; after one answer the phone knows."""
    ahead = Ahead(0.0)
    wallet = ready_phone(city, city_clock, ahead, MemoryStorage())
    ahead.seconds = forward_seconds
    with pytest.raises(DomainError) as refused:
        use_code(city, city_clock, wallet.pay_code().digits)
    assert refused.value.code == code
    wallet.balance()
    use_code(city, city_clock, wallet.pay_code().digits)


def test_keys_bound_what_a_clock_set_forward_can_do(city, city_clock):
    ahead = Ahead(0.0)
    wallet = ready_phone(city, city_clock, ahead, MemoryStorage())
    ahead.seconds = 6 * DAY_SECONDS
    with pytest.raises(NotReady, match="keys_expired"):
        wallet.pay_code()


def test_each_answer_says_how_old_it_is_offline(city, city_clock):
    ahead, storage = Ahead(-DAY_SECONDS), MemoryStorage()
    wallet = ready_phone(city, city_clock, ahead, storage)
    answers = (
        wallet.balance(),
        wallet.history(),
        wallet.person(),
        wallet.phone_card(),
        *wallet.cards(),
    )
    assert len(answers) == 5
    assert all(wallet.age_of(one) < timedelta(seconds=10) for one in answers)
    city_clock.advance(timedelta(hours=3))
    away = Wallet(
        "http://127.0.0.1:9",
        storage,
        clock=lambda: city_clock.now().timestamp() + ahead.seconds,
        sleep=lambda seconds: None,
    )
    answers = (away.balance(), away.history(), away.person(), away.phone_card(), *away.cards())
    assert len(answers) == 5
    for one in answers:
        age = away.age_of(one)
        assert age is not None
        assert timedelta(hours=3) <= age < timedelta(hours=3, minutes=1), one
    assert not away.balance().is_fresh
    offline = away.offline_view()
    assert offline.taps_left == 20
    assert offline.keys_until is not None
    assert offline.keys_until > city_clock.now() + timedelta(days=4)
    assert offline.ride_until is not None
    assert offline.identity_until is None
    assert not offline.is_refill_due
    city_clock.advance(timedelta(days=6))
    over = away.offline_view()
    assert (over.taps_left, over.keys_until, over.is_refill_due) == (0, None, True)
    away.close()
