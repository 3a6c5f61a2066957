"""Refresh tokens: rotation, the lost answer asked again, reuse, the device key, expiry."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import update

from backend.db import Which
from backend.identity.errors import RefreshInvalid, RefreshReused, SessionEnded
from backend.identity.tables import login_session
from backend.web import ProofInvalid


def test_refresh_rotates(city):
    phone = city.phone()
    tokens = city.log_in(phone)
    seen = {tokens.refresh_token}
    for _ in range(3):
        renewed = city.logins.refresh(tokens.refresh_token, phone.refresh_proof())
        assert renewed.session_id == tokens.session_id
        assert city.person_id(renewed) == city.person_id(tokens)
        assert renewed.refresh_token not in seen
        seen.add(renewed.refresh_token)
        tokens = renewed


@pytest.mark.parametrize("waited_seconds", [0, 60, 61, 86_400])
def test_an_old_token_with_another_proof_ends_the_session(city, waited_seconds):
    phone = city.phone()
    old = city.log_in(phone)
    new = city.logins.refresh(old.refresh_token, phone.refresh_proof())
    city.clock.advance(timedelta(seconds=waited_seconds))
    with pytest.raises(RefreshReused):
        city.logins.refresh(old.refresh_token, phone.refresh_proof())
    for token in (old, new):
        with pytest.raises(SessionEnded):
            city.logins.refresh(token.refresh_token, phone.refresh_proof())


def test_the_identical_repeat_hears_the_same_token_for_a_day(city):
    phone = city.phone()
    old = city.log_in(phone).refresh_token
    new = city.logins.refresh(old, phone.refresh_proof("jti-1")).refresh_token
    city.clock.advance(timedelta(days=1))
    again = city.logins.refresh(old, phone.refresh_proof("jti-1"))
    assert again.refresh_token == new
    assert city.tokens.check(again.access_token)
    third = city.logins.refresh(new, phone.refresh_proof("jti-2"))
    assert third.refresh_token != new
    with pytest.raises(RefreshReused):  # the session went on: now it is an old token
        city.logins.refresh(old, phone.refresh_proof("jti-1"))


def test_the_identical_repeat_after_a_day_ends_the_session(city):
    phone = city.phone()
    old = city.log_in(phone).refresh_token
    new = city.logins.refresh(old, phone.refresh_proof("jti-1")).refresh_token
    city.clock.advance(timedelta(days=1, seconds=1))
    with pytest.raises(RefreshReused):
        city.logins.refresh(old, phone.refresh_proof("jti-1"))
    with pytest.raises(SessionEnded):
        city.logins.refresh(new, phone.refresh_proof())


def test_a_token_of_long_ago_ends_the_session(city):
    phone = city.phone()
    first = tokens = city.log_in(phone)
    for _ in range(3):
        tokens = city.logins.refresh(tokens.refresh_token, phone.refresh_proof())
    with pytest.raises(RefreshReused):
        city.logins.refresh(first.refresh_token, phone.refresh_proof())
    with pytest.raises(SessionEnded):
        city.logins.refresh(tokens.refresh_token, phone.refresh_proof())


def test_one_rotation_when_two_overlap(city):
    """Goal: two threads of one phone with different proofs never both get a living token."""
    phone = city.phone()
    tokens = city.log_in(phone)
    outcomes = []

    def refresh():
        try:
            outcomes.append(city.logins.refresh(tokens.refresh_token, phone.refresh_proof()))
        except (RefreshReused, SessionEnded) as refusal:
            outcomes.append(refusal)

    threads = [threading.Thread(target=refresh) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(getattr(one, "code", "tokens") for one in outcomes) == [
        "refresh_reused",
        "session_ended",
        "session_ended",
        "tokens",
    ]


def test_a_refresh_token_is_bound_to_the_device_key(city):
    phone, thief = city.phone(), city.phone()
    tokens = city.log_in(phone)
    stolen = city.logins.refresh(tokens.refresh_token, phone.refresh_proof("jti-1"))
    for token, jti in ((stolen, None), (tokens, "jti-1"), (tokens, None)):
        with pytest.raises(ProofInvalid):
            city.logins.refresh(token.refresh_token, thief.refresh_proof(jti))
    wrong_purpose = phone.proof("/v1/login/sessions", "jti-2")
    with pytest.raises(ProofInvalid):
        city.logins.refresh(stolen.refresh_token, wrong_purpose)
    # A thief without the key can neither use the session nor end it.
    assert city.logins.refresh(stolen.refresh_token, phone.refresh_proof())


def test_a_refresh_token_lives_30_days_from_each_rotation(city):
    phone = city.phone()
    tokens = city.log_in(phone)
    city.clock.advance(timedelta(days=29, hours=23))
    tokens = city.logins.refresh(tokens.refresh_token, phone.refresh_proof())
    city.clock.advance(timedelta(days=29, hours=23))
    tokens = city.logins.refresh(tokens.refresh_token, phone.refresh_proof())
    city.clock.advance(timedelta(days=30))
    with pytest.raises(SessionEnded):
        city.logins.refresh(tokens.refresh_token, phone.refresh_proof())


def test_a_token_of_another_session_or_made_up(city):
    phone, other = city.phone(), city.phone("13800000002")
    mine, theirs = city.log_in(phone), city.log_in(other)
    mixed = theirs.session_id + mine.refresh_token.removeprefix(mine.session_id)
    for text in ("", "x" * 200, mixed, mine.refresh_token.replace(".0.", ".1.")):
        with pytest.raises(RefreshInvalid):
            city.logins.refresh(text, phone.refresh_proof())
    with pytest.raises(ProofInvalid):
        city.logins.refresh(theirs.refresh_token, phone.refresh_proof())
    assert city.logins.refresh(mine.refresh_token, phone.refresh_proof())


def test_a_genuine_token_that_is_not_the_session_s_own(city):
    """Goal: the stored mac decides, not the form of the token."""
    phone = city.phone()
    tokens = city.log_in(phone)
    with city.units.write(Which.IDENTITY) as work:
        work.execute(update(login_session).values(refresh_mac=bytes(32)))
    with pytest.raises(RefreshInvalid):
        city.logins.refresh(tokens.refresh_token, phone.refresh_proof())


def test_sessions_are_independent(city):
    phone, tablet = city.phone(), city.phone()
    on_phone = city.log_in(phone)
    city.clock.advance(timedelta(seconds=60))
    on_tablet = city.log_in(tablet)
    city.logins.refresh(on_phone.refresh_token, phone.refresh_proof())
    with pytest.raises(RefreshReused):
        city.logins.refresh(on_phone.refresh_token, phone.refresh_proof())
    assert city.logins.refresh(on_tablet.refresh_token, tablet.refresh_proof())
