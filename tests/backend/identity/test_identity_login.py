"""Log-in by phone and one-time code, on real databases."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from backend.db import Which
from backend.identity import PersonUnknown
from backend.identity.errors import (
    LoginCodeExpired,
    LoginCodeForeign,
    LoginCodeUsed,
    LoginCodeWrong,
    LoginLocked,
    LoginTooOften,
    LoginUnknown,
    PhoneInvalid,
    RefreshInvalid,
    RefreshReused,
    SessionEnded,
)
from backend.identity.tables import login_challenge, login_session, person
from backend.kernel import Kind, new_id
from backend.web import ProofInvalid

CODES = {
    PhoneInvalid: ("phone_invalid", Kind.INVALID),
    LoginTooOften: ("login_too_often", Kind.LIMITED),
    LoginUnknown: ("login_unknown", Kind.UNKNOWN),
    LoginCodeForeign: ("login_code_foreign", Kind.UNAUTHENTICATED),
    LoginCodeUsed: ("login_code_used", Kind.UNAUTHENTICATED),
    LoginCodeExpired: ("login_code_expired", Kind.UNAUTHENTICATED),
    LoginCodeWrong: ("login_code_wrong", Kind.UNAUTHENTICATED),
    LoginLocked: ("login_locked", Kind.LIMITED),
    RefreshInvalid: ("refresh_invalid", Kind.UNAUTHENTICATED),
    RefreshReused: ("refresh_reused", Kind.UNAUTHENTICATED),
    SessionEnded: ("session_ended", Kind.UNAUTHENTICATED),
}


def count(city, table):
    with city.units.read(Which.IDENTITY) as work:
        return work.execute(select(func.count()).select_from(table)).scalar_one()


def wrong(code):
    return f"{(int(code) + 1) % 1_000_000:06d}"


@pytest.mark.parametrize(("error", "told"), CODES.items())
def test_codes_are_stable(error, told):
    assert (error.code, error.kind) == told


def test_a_phone_never_seen_becomes_a_person_once(city):
    phone = city.phone()
    first = city.log_in(phone)
    city.clock.advance(timedelta(seconds=60))
    second = city.log_in(phone)
    caller = city.tokens.check(first.access_token)
    assert caller.id == city.person_id(second)
    assert caller.scopes == {"me"}
    assert caller.context == {"session_id": first.session_id}
    assert first.session_id != second.session_id
    assert (first.registered, first.token_type, first.expires_in) == (False, "Bearer", 600)
    me = city.identity.get_person(caller.id)
    assert (me.registered, me.phone_masked) == (False, "138****0001")
    assert (me.name_masked, me.id_number_masked, me.matched_at) == (None, None, None)
    assert count(city, person) == 1
    assert city.person_id(city.log_in(city.phone("13800000002"))) != caller.id


def test_an_unknown_person(city):
    with pytest.raises(PersonUnknown):
        city.identity.get_person(new_id("per"))


@pytest.mark.parametrize("number", ["", "12800000001", "138000000010"])
def test_no_phone_no_code(city, number):
    with pytest.raises(PhoneInvalid):
        city.logins.ask_code(number)
    with pytest.raises(PhoneInvalid):
        city.logins.log_in(city.phone(number).log_in(new_id("otc"), "123456"))
    assert count(city, login_challenge) == 0


def test_codes_are_asked_for_every_60_s_and_5_times_an_hour(city):
    phone = city.phone().number
    start = city.clock.now()
    for asked in range(5):
        code = city.logins.ask_code(phone)
        wait = 60 if asked < 4 else 3600 - 240
        assert (code.resend_at - city.clock.now()).total_seconds() == wait
        assert (code.expires_at - city.clock.now()).total_seconds() == 300
        city.clock.advance(timedelta(seconds=59.5))
        with pytest.raises(LoginTooOften) as refusal:
            city.logins.ask_code(phone)
        assert refusal.value.data == {"retry_after_seconds": 1 if asked < 4 else 3301}
        city.clock.advance(timedelta(seconds=0.5))
    city.logins.ask_code(city.phone("13800000002").number)  # others are not concerned
    city.clock.advance(timedelta(seconds=3299.5))
    with pytest.raises(LoginTooOften):
        city.logins.ask_code(phone)
    city.clock.advance(timedelta(seconds=0.5))
    assert (city.clock.now() - start).total_seconds() == 3600
    city.logins.ask_code(phone)
    assert count(city, login_challenge) == 7


def test_old_challenges_are_forgotten(city):
    city.logins.ask_code("13800000001")
    city.clock.advance(timedelta(days=1, seconds=1))
    city.logins.ask_code("13800000001")
    assert count(city, login_challenge) == 1


def test_one_code_when_asked_for_by_many_at_once(city):
    """Goal: the limit holds when requests overlap."""
    outcomes = []

    def ask():
        try:
            outcomes.append(city.logins.ask_code("13800000001"))
        except LoginTooOften as refusal:
            outcomes.append(refusal)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(outcomes) == 6
    assert sum(isinstance(one, LoginTooOften) for one in outcomes) == 5
    assert count(city, login_challenge) == 1


def test_a_code_opens_one_session_for_requests_that_overlap(city):
    """Goal: usable once, also when two phones race with the same code."""
    number = city.phone()
    challenge_id, code = city.ask(number)
    outcomes = []

    def log_in():
        other = city.phone()
        try:
            outcomes.append(city.logins.log_in(other.log_in(challenge_id, code)))
        except LoginCodeUsed as refusal:
            outcomes.append(refusal)

    threads = [threading.Thread(target=log_in) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(outcomes) == 4
    assert sum(isinstance(one, LoginCodeUsed) for one in outcomes) == 3
    assert count(city, login_session) == count(city, person) == 1


def test_five_wrong_tries_lock_the_challenge(city):
    phone = city.phone()
    challenge_id, code = city.ask(phone)
    for left in (4, 3, 2, 1, 0):
        with pytest.raises(LoginCodeWrong) as refusal:
            city.logins.log_in(phone.log_in(challenge_id, wrong(code)))
        assert refusal.value.data == {"tries_left": left}
    for tried in (code, wrong(code)):
        with pytest.raises(LoginLocked):
            city.logins.log_in(phone.log_in(challenge_id, tried))
    assert count(city, person) == 0
    city.clock.advance(timedelta(seconds=60))
    assert city.log_in(phone)  # another code is another challenge


def test_four_wrong_tries_do_not(city):
    phone = city.phone()
    challenge_id, code = city.ask(phone)
    for _ in range(4):
        with pytest.raises(LoginCodeWrong):
            city.logins.log_in(phone.log_in(challenge_id, wrong(code)))
    assert city.logins.log_in(phone.log_in(challenge_id, code))


@pytest.mark.parametrize("code", ["", "12345", "1234567", "十二万三千四", "\ud800"])
def test_what_is_no_code_is_a_wrong_code(city, code):
    phone = city.phone()
    challenge_id, _ = city.ask(phone)
    with pytest.raises(LoginCodeWrong):
        city.logins.log_in(phone.log_in(challenge_id, code))


def test_a_code_expires_after_300_s(city):
    phone = city.phone()
    challenge_id, code = city.ask(phone)
    city.clock.advance(timedelta(seconds=300))
    with pytest.raises(LoginCodeExpired):
        city.logins.log_in(phone.log_in(challenge_id, code))
    challenge_id, code = city.ask(phone)
    city.clock.advance(timedelta(seconds=299.9))
    assert city.logins.log_in(phone.log_in(challenge_id, code))


def test_a_locked_challenge_expires_too(city):
    phone = city.phone()
    challenge_id, code = city.ask(phone)
    for _ in range(5):
        with pytest.raises(LoginCodeWrong):
            city.logins.log_in(phone.log_in(challenge_id, wrong(code)))
    city.clock.advance(timedelta(seconds=300))
    with pytest.raises(LoginCodeExpired):
        city.logins.log_in(phone.log_in(challenge_id, code))


def test_a_code_seen_twice(city):
    phone = city.phone()
    challenge_id, code = city.ask(phone)
    city.logins.log_in(phone.log_in(challenge_id, code))
    for other in (phone, city.phone()):  # a new request by this key, and by another key
        with pytest.raises(LoginCodeUsed):
            city.logins.log_in(other.log_in(challenge_id, code))
    assert count(city, login_session) == 1


def test_the_very_same_log_in_hears_the_same_session_for_60_s(city):
    phone = city.phone()
    command = phone.log_in(*city.ask(phone))
    first = city.logins.log_in(command)
    city.clock.advance(timedelta(seconds=60))
    again = city.logins.log_in(command)
    assert (again.session_id, again.refresh_token) == (first.session_id, first.refresh_token)
    assert city.logins.refresh(again.refresh_token, phone.refresh_proof())
    with pytest.raises(LoginCodeUsed):  # the session went on: no way back to its first token
        city.logins.log_in(command)
    assert count(city, login_session) == 1


def test_after_60_s_the_same_log_in_is_a_used_code(city):
    phone = city.phone()
    command = phone.log_in(*city.ask(phone))
    city.logins.log_in(command)
    city.clock.advance(timedelta(seconds=60.1))
    with pytest.raises(LoginCodeUsed):
        city.logins.log_in(command)


def test_a_repeat_with_a_wrong_code_is_a_used_code(city):
    phone = city.phone()
    challenge_id, code = city.ask(phone)
    command = phone.log_in(challenge_id, code)
    city.logins.log_in(command)
    with pytest.raises(LoginCodeUsed):
        city.logins.log_in(phone.log_in(challenge_id, wrong(code), proof=command.proof))


def test_a_challenge_of_another_phone(city):
    phone, other = city.phone(), city.phone("13800000002")
    challenge_id, code = city.ask(phone)
    city.ask(other)
    with pytest.raises(LoginCodeForeign):
        city.logins.log_in(other.log_in(challenge_id, code))
    assert city.logins.log_in(phone.log_in(challenge_id, code))


def test_a_challenge_nobody_asked_for(city):
    with pytest.raises(LoginUnknown):
        city.logins.log_in(city.phone().log_in(new_id("otc"), "123456"))


def test_a_proof_is_needed(city):
    """Goal: no bad proof costs a try, and none gets in."""
    phone, thief = city.phone(), city.phone()
    challenge_id, code = city.ask(phone)
    proofs = [
        "",
        "a.b.c",
        thief.proof("/v1/login/sessions", challenge_id),
        phone.proof("/v1/login/refresh", challenge_id),
        phone.proof("/v1/login/sessions", new_id("otc")),
    ]
    for proof in proofs:
        with pytest.raises(ProofInvalid):
            city.logins.log_in(phone.log_in(challenge_id, wrong(code), proof=proof))
    command = phone.log_in(challenge_id, code)
    city.clock.advance(timedelta(seconds=299))
    with pytest.raises(LoginCodeWrong) as refusal:
        city.logins.log_in(phone.log_in(challenge_id, wrong(code)))
    assert refusal.value.data == {"tries_left": 4}
    assert city.logins.log_in(command)
