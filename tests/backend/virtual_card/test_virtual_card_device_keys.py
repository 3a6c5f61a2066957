"""A phone's SM2 key: proven, told once, at enrolment or later; by nobody but the phone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from card_world import Phone, World, operation
from suites_world import add, enrolled

from backend.db import IdempotencyConflict
from backend.virtual_card import (
    DeviceEnded,
    DeviceKeyExists,
    DeviceUnknown,
    EndDevice,
    Sm2Given,
)
from backend.virtual_card.devices import add_audience
from backend.web import ProofInvalid
from card_protocol.mobile_card import Suite, sign


def test_a_phone_enrols_with_its_sm2_key(world: World) -> None:
    phone = enrolled(world)
    device = world.devices.get(world.person_id, phone.device_id)
    assert (device.sm2_key, device.suites) == (phone.sm2.public_key, tuple(Suite))
    again = world.enrol(phone, sm2=phone.sm2_given())  # another signature, the same key
    assert again == device


def test_a_phone_of_before_adds_its_key_once(world: World) -> None:
    phone = enrolled(world, sm2=None)
    before = world.devices.get(world.person_id, phone.device_id)
    assert before.suites == (Suite.AES_ES256,)
    after = add(world, phone)
    assert after == replace(before, sm2_key=phone.sm2.public_key)
    assert add(world, phone) == after
    assert world.devices.get(world.person_id, phone.device_id) == after
    assert world.enrol(phone) == after  # the first enrolment, its answer lost, is heard of again
    other = replace(phone, sm2=Phone().sm2)
    with pytest.raises(DeviceKeyExists):
        add(world, other)
    assert world.devices.get(world.person_id, phone.device_id) == after


def test_an_enrolment_told_again_with_a_key_it_did_not_have_is_another(world: World) -> None:
    phone = enrolled(world, sm2=None)
    with pytest.raises(IdempotencyConflict) as conflict:
        world.enrol(phone, sm2=phone.sm2_given())
    assert conflict.value.data == {"fields": "sm2_key"}


WRONG_PROOFS: dict[str, Callable[[Phone], Sm2Given]] = {
    "another device": lambda phone: phone.sm2_given(device_id=Phone().device_id),
    "another phone's P-256 key": lambda phone: phone.sm2_given(signing_key=Phone().sm2.public_key),
    "said of another SM2 key": lambda phone: phone.sm2_given(sm2_key=Phone().sm2.public_key),
    "another's key, one's own proof": lambda phone: replace(
        phone.sm2_given(), signing_key=Phone().sm2.public_key
    ),
    "the same by ES256": lambda phone: replace(
        phone.sm2_given(), proof=sign(phone.signing, b"whatever")
    ),
    "none": lambda phone: replace(phone.sm2_given(), proof=bytes(64)),
}


@pytest.mark.parametrize("make", WRONG_PROOFS.values(), ids=WRONG_PROOFS)
def test_a_key_nobody_proved_is_not_taken(world: World, make: Callable[[Phone], Sm2Given]) -> None:
    phone = Phone()
    with pytest.raises(ProofInvalid):
        world.enrol(phone, sm2=make(phone))
    with pytest.raises(DeviceUnknown):
        world.devices.get(world.person_id, phone.device_id)
    world.enrol(phone)
    with pytest.raises(ProofInvalid):
        add(world, phone, sm2=make(phone))
    assert world.devices.get(world.person_id, phone.device_id).sm2_key is None


def test_a_further_key_needs_the_word_of_the_phones_own(world: World) -> None:
    """Goal: a stolen log-in is not enough to put a key of one's own on somebody's phone."""
    phone = enrolled(world, sm2=None)
    path = add_audience(phone.device_id)
    thief = Phone(device_id=phone.device_id, sealing=phone.sealing)
    for proof in (
        thief.proof(world.clock, aud=path),
        phone.proof(world.clock),  # for enrolment
        phone.proof(world.clock, aud=add_audience(Phone().device_id)),
        phone.proof(world.clock, aud=path, jti=Phone().device_id),
        phone.proof(world.clock, aud=path, iat=world.unix - 301),
    ):
        with pytest.raises(ProofInvalid):
            add(world, phone, proof=proof)
    with pytest.raises(DeviceUnknown):
        add(world, phone, person_id="per_other")
    world.devices.end(EndDevice(world.person_id, phone.device_id), operation())
    with pytest.raises(DeviceEnded):
        add(world, phone)
