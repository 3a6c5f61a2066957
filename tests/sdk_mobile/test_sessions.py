"""Rotation of tokens on a network that loses answers: no session is lost, none mixed up."""

from __future__ import annotations

import pytest

from sdk_mobile import SdkError
from tests.sdk_mobile.fake_backend import CODE, PHONE
from tests.sdk_mobile.fake_server import Fault
from tests.sdk_mobile.test_hostile_network import DONE_THEN_LOST, always


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("fault", DONE_THEN_LOST)
def test_a_lost_rotation_is_asked_again_and_not_taken_for_theft(
    backend, clock, make_wallet, storage, fault
):
    clock.seconds += backend.access_seconds
    backend.fault = always(fault, "/v1/login/refresh")
    assert not make_wallet(storage).balance().is_fresh
    backend.fault = always(None)
    assert make_wallet(storage).balance().is_fresh
    assert backend.done["refresh"] == 1
    assert backend.ended == set()


def test_a_lost_rotation_asked_again_much_later_has_a_fresh_proof_of_the_same_jti(
    ready, backend, clock
):
    clock.seconds += backend.access_seconds
    backend.fault = always(Fault.DROP_AFTER, "/v1/login/refresh")
    with pytest.raises(SdkError):
        ready.history()
    backend.fault = always(None)
    clock.seconds += 86_400
    assert ready.history().is_fresh is True
    assert backend.done["refresh"] == 2  # the first answer again; its token is old too by now
    assert backend.ended == set()


def test_a_new_log_in_forgets_the_rotation_the_old_session_left_open(ready, backend, clock):
    clock.seconds += backend.access_seconds
    backend.fault = always(Fault.DROP_AFTER, "/v1/login/refresh")
    assert not ready.balance().is_fresh
    backend.fault = always(None)
    backend.ended |= set(backend.access.values())
    ready.request_login_code(PHONE)
    ready.log_in(PHONE, CODE)
    clock.seconds += backend.access_seconds
    assert ready.balance().is_fresh
